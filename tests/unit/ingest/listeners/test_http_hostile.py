"""The HTTP listener against senders that are slow, lie, flood or pry: it stays there, bounded, and says nothing."""

import asyncio
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.errors import UsageError
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners import http_server
from pv_stream.ingest.listeners.http_answers import Refusal
from pv_stream.ingest.listeners.http_body import BodyLimits, read_body
from pv_stream.ingest.listeners.http_tokens import Tokens
from tests.unit.ingest.listeners.http_serving import (
    BYTES_MAX,
    FHIR,
    HL7,
    LIMITS,
    OPTIONS,
    PATIENCE_SECONDS,
    TOKEN,
    Served,
    received,
    serving,
)
from tests.unit.ingest.messages import as_json, bundle, observation, obx, oru

CANARIES = ["Zyxwvut", "MRN8675309", "19420229", "13-Canary-Row"]
FEW_REQUESTS = replace(LIMITS, requests_max=2)
FEW_CONNECTIONS = replace(OPTIONS, connections_max=4)
#: Only the tests of a limit of time meet it, and each in a listener that has no other.
HASTY_BODIES = replace(LIMITS, body_seconds_max=0.3)
HASTY_HEADS = replace(OPTIONS, head_seconds_max=0.3)
#: Who drips sends so often at most, with a pause between: far longer than any limit here lasts.
DRIPS = 3_000
DRIP_SECONDS = 0.02
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def listener(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A listener with little room."""
    folder = tmp_path_factory.mktemp("hostile")
    with serving(intake, folder, limits=FEW_REQUESTS, options=FEW_CONNECTIONS) as served:
        yield served


@pytest.fixture(scope="module")
def hasty_with_bodies(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A listener that waits for heads, and hardly for bodies."""
    with serving(intake, tmp_path_factory.mktemp("bodies"), limits=HASTY_BODIES) as served:
        yield served
        _still_answers(served)


@pytest.fixture(scope="module")
def hasty_with_heads(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A listener that waits for bodies, and hardly for heads."""
    with serving(intake, tmp_path_factory.mktemp("heads"), options=HASTY_HEADS) as served:
        yield served
        _still_answers(served)


@pytest.fixture
def served(listener: Served) -> Iterator[Served]:
    """The listener; whatever was done to it, it goes on answering and has written nothing of that."""
    listener.memory.clear()
    yield listener
    listener.memory.may_write.set()
    _wait_for_room(listener)
    assert listener.post("/fhir", as_json(observation(id=f"after-{time.monotonic_ns()}"))).status == 200
    assert "Traceback" not in "".join((*listener.lines, *listener.logged))


def _wait_for_room(listener: Served) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while listener.server.server_state.connections:
        assert time.monotonic() < deadline, "a connection is left over"
        time.sleep(0.01)


def _still_answers(hasty: Served) -> None:
    connection, answer = answered(hasty, LIVEZ)
    connection.close()
    assert status_of(answer) == 200
    assert hasty.memory.messages == []
    assert "Traceback" not in "".join((*hasty.lines, *hasty.logged))


def answered(hasty: Served, request: bytes) -> tuple[socket.socket, bytes]:
    """Return a connection on which a request was answered, and the beginning of the answer.

    On a busy machine the limit may strike before the request was sent: then on another connection.
    """
    for _ in range(100):
        connection = hasty.connect()
        with suppress(ConnectionError):
            connection.sendall(request)
            if answer := connection.recv(65536):
                return connection, answer
        connection.close()
    pytest.fail("the listener answers nothing")


def head(path: str = "/fhir", *lines: str, content_type: str = FHIR) -> bytes:
    return "\r\n".join(
        (f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {content_type}", *lines, "", "")
    ).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- slow, short and lying bodies -----------------------------------------------------------------------------


def test_a_body_that_takes_too_long_is_408_and_the_end_of_the_connection(hasty_with_bodies: Served) -> None:
    body = as_json(observation())
    with hasty_with_bodies.connect() as connection:
        connection.sendall(head("/fhir", f"Content-Length: {len(body)}") + body[:10])
        answer = received(connection)
    assert status_of(answer) == 408
    assert b"body_timeout" in answer
    assert hasty_with_bodies.memory.messages == []


def test_a_body_that_drips_has_one_deadline_and_not_one_for_each_byte(hasty_with_bodies: Served) -> None:
    """With one for each byte it would come whole, and be refused as what it is."""
    with hasty_with_bodies.connect() as connection:
        connection.sendall(head("/fhir", f"Content-Length: {DRIPS}"))
        connection.settimeout(DRIP_SECONDS)
        answer = b""
        for _ in range(DRIPS):
            with suppress(ConnectionError):
                connection.sendall(b"x")
            with suppress(TimeoutError):
                answer = connection.recv(65536)
                break
        connection.settimeout(PATIENCE_SECONDS)
        answer += received(connection)
    assert status_of(answer) == 408


@pytest.mark.parametrize("sent", [b"", b"GE", b"POST /fhir HTTP/1.1\r\nHost: x\r\nX-A: "], ids=len)
def test_a_head_that_takes_too_long_ends_the_connection(hasty_with_heads: Served, sent: bytes) -> None:
    with hasty_with_heads.connect() as connection:
        connection.sendall(sent)
        assert received(connection) == b""


def drip(connection: socket.socket, piece: bytes) -> None:
    """Send a piece again and again, until the other side ends the connection: then raise ConnectionError."""
    for _ in range(DRIPS):
        connection.sendall(piece)
        time.sleep(DRIP_SECONDS)


def test_a_head_that_drips_ends_too_also_after_an_answer(hasty_with_heads: Served) -> None:
    connection, answer = answered(hasty_with_heads, LIVEZ)
    assert status_of(answer) == 200
    with connection, pytest.raises(ConnectionError):
        drip(connection, b"G")


def test_a_body_that_goes_on_after_its_refusal_ends_the_connection(hasty_with_heads: Served) -> None:
    connection, answer = answered(hasty_with_heads, head("/nothing", "Transfer-Encoding: chunked"))
    assert status_of(answer) == 404
    with connection, pytest.raises(ConnectionError):
        drip(connection, b"400\r\n" + b"x" * 1024 + b"\r\n")


def test_a_body_that_ends_before_its_length_is_not_read(served: Served) -> None:
    body = as_json(observation())
    served.raw(head("/fhir", f"Content-Length: {len(body) + 1}") + body)
    served.raw(head("/fhir", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body))
    assert served.memory.messages == []


def test_a_length_that_is_too_large_is_413_before_anything_is_sent(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(head("/fhir", f"Content-Length: {BYTES_MAX + 1}", "Expect: 100-continue"))
        assert status_of(connection.recv(65536)) == 413


def test_chunks_are_413_as_soon_as_they_are_too_many(served: Served) -> None:
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    with served.connect() as connection:
        connection.sendall(head("/fhir", "Transfer-Encoding: chunked") + chunk * (BYTES_MAX // 1024 + 1))
        assert status_of(connection.recv(65536)) == 413


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: -1"],
        ["Content-Length: 1", "Content-Length: 2"],
        ["Content-Length: " + "9" * 5_000],
        ["Content-Length: 3x"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ],
    ids=["negative", "two", "endless", "no-number", "coding", "length-and-chunks"],
)
def test_a_length_that_is_none_is_400(served: Served, lines: list[str]) -> None:
    answer = served.raw(head("/fhir", *lines) + b"0\r\n\r\n")
    assert status_of(answer) in {400, 413}
    assert served.memory.messages == []


def test_what_follows_a_body_that_is_longer_than_stated_is_no_message(served: Served) -> None:
    body = as_json(observation(id="smuggled"))
    answer = served.raw(head("/fhir", "Content-Length: 2") + b"{}" + body + b"\r\n\r\n", is_all=False)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"422", b"400"]
    assert served.memory.messages == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /livez HTTP/99\r\n\r\n",
        b"GET /%zz%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        head("/fhir", "Transfer-Encoding: chunked") + b"zz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n",
    ],
    ids=[f"case-{number}" for number in range(11)],
)
def test_what_is_no_request_is_refused(served: Served, request_bytes: bytes) -> None:
    answer = served.raw(request_bytes)
    assert answer == b"" or status_of(answer) in {400, 401, 404, 415}
    assert served.memory.messages == []


_ADDRESSES = [("/fhir", FHIR), ("/hl7v2", HL7), ("/e2b", "text/xml"), ("/openfda", "application/json")]


@given(
    where=st.sampled_from(_ADDRESSES), body=st.binary(max_size=300) | st.text(max_size=300).map(str.encode)
)
def test_any_body_is_refused_or_read_and_never_a_fault(
    listener: Served, where: tuple[str, str], body: bytes
) -> None:
    path, content_type = where
    assert listener.post(path, body, content_type).status in {200, 400, 413, 422}


@given(
    begin=st.sampled_from([b"", b"GET /livez HTTP/1.1\r\n", b"POST /fhir HTTP/1.1\r\nHost: x\r\n"]),
    noise=st.binary(max_size=200),
)
def test_any_noise_is_no_fault(listener: Served, begin: bytes, noise: bytes) -> None:
    answer = listener.raw(begin + noise)
    assert answer == b"" or status_of(answer) in {200, 400, 401, 404, 405, 408, 415}
    assert listener.ask("GET", "/livez").status == 200


# --- packed too well ------------------------------------------------------------------------------------------


def test_a_bomb_is_413(served: Served) -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    assert len(bomb) < BYTES_MAX
    assert served.post("/fhir", bomb, content_encoding="gzip").status == 413


def test_a_bomb_of_empty_blocks_is_bounded_by_what_is_sent(served: Served) -> None:
    blocks = gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * BYTES_MAX
    assert served.post("/fhir", blocks, content_encoding="gzip").status == 413


async def _unpack(packed: bytes, bytes_max: int) -> bytes | Refusal:
    async def pieces() -> AsyncIterator[bytes]:
        yield packed

    return await read_body(pieces(), {"content-encoding": "gzip"}, BodyLimits(bytes_max, PATIENCE_SECONDS))


def test_a_bomb_is_never_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        unpacked = asyncio.run(_unpack(bomb, 100_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert unpacked is Refusal.BODY_TOO_LARGE
    assert peak < 3_000_000


# --- too many -------------------------------------------------------------------------------------------------


def test_more_requests_than_there_is_room_for_are_503_and_it_stays_alive(served: Served) -> None:
    served.memory.may_write.clear()
    with ThreadPoolExecutor(2) as pool:
        inside = [pool.submit(served.post, "/fhir", as_json(observation(id=f"in-{n}"))) for n in range(2)]
        # Both must be inside: a third that came between them would take the room of the second.
        assert served.memory.has_begun(2)
        said = served.post("/fhir", b"{}")
        assert (said.status, said.codes) == (503, ["busy"])
        assert said.headers["retry-after"] == "1"
        assert served.ask("GET", "/livez").status == 200
        served.memory.may_write.set()
        assert [each.result().status for each in inside] == [200, 200]


def test_more_connections_than_there_is_room_for_are_ended(served: Served) -> None:
    _wait_for_room(served)
    room = FEW_CONNECTIONS.connections_max
    with ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(room + 3)]
        assert [received(each) for each in connections[room:]] == [b""] * 3
        for each in connections[:room]:
            each.sendall(LIVEZ)
            assert status_of(each.recv(65536)) == 200


def test_requests_that_are_sent_before_the_answer_are_answered_in_order(served: Served) -> None:
    body = as_json(observation(id="pipelined"))
    one = head("/fhir", f"Content-Length: {len(body)}") + body
    last = head("/fhir", f"Content-Length: {len(body)}", "Connection: close") + body
    answer = served.raw(one + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + last, is_all=False)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 3
    assert len(served.memory.messages) == 1


def test_a_client_that_does_not_read_its_answer_is_left(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS_MAX", 0.2)
    many = bundle(*(observation(id=f"n{number}", subject={}) for number in range(1_000)))
    with (
        serving(intake, tmp_path, limits=replace(LIMITS, body_bytes_max=1_000_000)) as one,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        connection.connect(("127.0.0.1", one.port))
        request = head("/fhir", f"Content-Length: {len(many)}") + many
        with suppress(OSError):
            for _ in range(60):
                connection.sendall(request)
        _wait_for_room(one)


# --- prying ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canary", CANARIES)
def test_no_answer_no_line_and_no_log_repeats_what_was_sent(served: Served, canary: str) -> None:
    bodies = [
        canary.encode(),
        f'{{"resourceType":"{canary}"}}'.encode(),
        f'{{"{canary}":'.encode(),
        bundle(observation(id=canary, subject={"display": canary}), id=canary, type=canary),
        bundle(observation(id=canary, subject={"reference": f"Patient/{canary}"}), observation(subject={})),
        as_json(observation(id=canary, status=canary)),
        as_json(observation(id=canary, valueQuantity={"value": 1, "unit": canary})),
        as_json(observation(id=canary, effectiveDateTime=canary, code={"text": canary})),
    ]
    named = {"idempotency_key": canary, "authorization": f"Bearer {canary}", "x_request_id": canary}
    said = []
    for body in bodies:
        said += [
            served.post(f"/fhir/{canary}?name={canary}", body),
            served.post("/fhir", body, **named),
            served.post("/fhir", body, **named, content_encoding=canary),
            served.post("/fhir", body, canary),
            served.post(f"/{canary}", body, **named),
            served.ask("GET", f"/fhir/Patient/{canary}", **named),
            served.ask("PUT", f"/fhir/{canary}", **named),
        ]
    hl7 = oru(f"OBR|1|{canary}|{canary}|58410-2^{canary}", obx(canary, canary))
    said += [served.post("/hl7v2", hl7, HL7), served.post("/hl7v2", canary.encode(), HL7)]
    report = {"safetyreportid": canary, "receiptdate": canary, "patient": {"drug": [{canary: canary}]}}
    said += [served.post("/openfda", as_json({"results": [report, canary]}), "application/json")]
    said += [served.post("/e2b", f"<a {canary}='{canary}'>{canary}</a>".encode(), "text/xml")]
    raw = served.raw(f"GET /{canary} HTTP/1.1\r\n{canary}\r\n\r\n".encode())
    seen = "".join((*(each.whole for each in said), *served.lines, *served.logged, raw.decode()))
    assert canary not in seen
    assert {each.status for each in said} >= {200, 400, 404, 405, 415, 422}


def test_nothing_is_printed(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    served.post("/fhir", b"{")
    served.raw(b"\0\0\0\r\n\r\n")
    assert capfd.readouterr() == ("", "")


def test_what_is_kept_is_the_owners_alone(served: Served) -> None:
    served.post("/fhir", b'{"resourceType":"Zyxwvut"}')
    folder = served.desk.store.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("listed", ["", "short", f"{TOKEN} {'x' * 31}", f"{TOKEN}:colon", "ü" * 40])
def test_a_token_that_cannot_serve_is_refused_and_not_repeated(listed: str) -> None:
    with pytest.raises(UsageError, match=r"token [12] must have at least 32") as refused:
        Tokens(listed)
    assert "xxx" not in str(refused.value)
    assert TOKEN not in str(refused.value)


# --- stopping -------------------------------------------------------------------------------------------------


def test_a_stop_answers_what_is_in_work_and_takes_nothing_new(intake: Intake, tmp_path: Path) -> None:
    with serving(intake, tmp_path) as one, ThreadPoolExecutor(1) as pool:
        one.memory.may_write.clear()
        inside = pool.submit(one.post, "/fhir", as_json(observation()))
        assert one.memory.has_begun()
        one.server.stop()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _listens(one):
            assert time.monotonic() < deadline, "it still takes connections"
            time.sleep(0.02)
        assert not inside.done()
        one.memory.may_write.set()
        assert inside.result().status == 200
    assert len(one.memory.messages) == 1


def test_a_stop_waits_no_longer_than_it_may_and_acknowledges_nothing(intake: Intake, tmp_path: Path) -> None:
    with (
        serving(intake, tmp_path, options=replace(OPTIONS, stop_seconds_max=1)) as one,
        ThreadPoolExecutor(1) as pool,
    ):
        one.memory.may_write.clear()
        inside = pool.submit(one.post, "/fhir", as_json(observation()))
        assert one.memory.has_begun()
        one.server.stop()
        assert inside.result().status >= 500
        assert one.memory.messages == []


def _listens(one: Served) -> bool:
    try:
        one.connect().close()
    except OSError:
        return False
    return True
