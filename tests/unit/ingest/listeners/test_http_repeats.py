"""Requests that come again, and what is written or not: once, and acknowledged only then."""

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor

import pytest

from pv_stream.errors import DataError, EnvironmentBroken, Unavailable
from pv_stream.ingest.listeners.http_answers import Answer, Refusal, refusal
from pv_stream.ingest.listeners.http_repeats import Repeats, request_digest
from tests.unit.ingest.listeners.http_serving import (
    Served,
    fresh,
    is_outcome,
)
from tests.unit.ingest.messages import as_json, bundle

# --- requests that come again ---------------------------------------------------------------------------------


def test_the_same_bytes_again_get_the_same_answer_and_are_written_once(served: Served) -> None:
    body = as_json(fresh())
    first, again = served.post("/fhir", body), served.post("/fhir", body)
    packed = served.post("/fhir", gzip.compress(body), content_encoding="gzip")
    assert first.body == again.body == packed.body
    assert len(served.memory.messages) == 1


def test_the_same_bytes_at_the_same_time_are_written_once(served: Served) -> None:
    body = as_json(fresh())
    served.memory.may_write.clear()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(served.post, "/fhir", body) for _ in range(4)]
        assert served.memory.has_begun()
        served.memory.may_write.set()
        said = [answer.result() for answer in answers]
    assert {answer.status for answer in said} == {200}
    assert len(served.memory.messages) == 1


def test_a_key_that_comes_again_with_the_same_body_is_written_once(served: Served) -> None:
    body = as_json(fresh())
    answers = [served.post("/fhir", body, idempotency_key='"k-1"') for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len(served.memory.messages) == 1


def test_a_key_that_comes_again_with_another_body_is_refused(served: Served) -> None:
    served.post("/fhir", as_json(fresh()), idempotency_key="k-2")
    said = served.post("/fhir", as_json(fresh()), idempotency_key="k-2")
    assert (said.status, said.codes) == (422, ["key_reused"])
    assert is_outcome(said)
    assert len(served.memory.messages) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "k\tk", "k\xe9"])
def test_a_key_that_is_none_is_refused(served: Served, key: str) -> None:
    said = served.post("/fhir", as_json(fresh()), idempotency_key=key)
    assert (said.status, said.codes) == (400, ["key_malformed"])
    assert served.memory.messages == []


# --- what is written, or not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Unavailable("away"), "unavailable"), (EnvironmentBroken("ended"), "outcome_unknown")],
    ids=["away", "unknown"],
)
def test_without_kafka_nothing_is_acknowledged_and_the_next_try_is_a_new_one(
    served: Served, failure: Exception, code: str
) -> None:
    body = as_json(fresh())
    served.memory.failure = failure
    said = served.post("/fhir", body, idempotency_key=code)
    assert (said.status, said.codes) == (503, [code])
    assert is_outcome(said)
    assert int(said.headers["retry-after"]) > 0
    assert served.memory.messages == []
    served.memory.failure = None
    assert served.post("/fhir", body, idempotency_key=code).status == 200
    assert len(served.memory.messages) == 1


def test_what_cannot_be_kept_is_not_written(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "reject store: No space left on device"
        raise DataError(message)

    body = bundle(fresh(), fresh(subject={}))
    with monkeypatch.context() as patch:
        patch.setattr(served.desk.store, "keep", fail)
        said = served.post("/fhir", body)
    assert (said.status, said.codes) == (503, ["not_kept"])
    assert served.memory.messages == []
    assert served.lines[-1] == "reject store: No space left on device"
    assert served.post("/fhir", body).status == 200


def test_a_fault_of_ours_is_one_answer_and_one_line_without_content(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "Zyxwvut"
        raise KeyError(message)

    with monkeypatch.context() as patch:
        patch.setattr(type(served.desk), "read", fail)
        said = served.post("/fhir", as_json(fresh()))
    assert (said.status, said.codes) == (500, ["fault"])
    assert "a fault in pv_stream: KeyError at test_http_repeats.py:" in served.lines[-1]
    assert "Zyxwvut" not in said.whole + "".join(served.lines)


# --- what is remembered ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("entries_max", "bytes_max"), [(3, 10_000), (100, 30)])
def test_what_is_remembered_is_bounded(entries_max: int, bytes_max: int) -> None:
    repeats = Repeats(entries_max=entries_max, bytes_max=bytes_max)
    done: list[int] = []

    async def run() -> None:
        for number in (*range(10), 9, 8, 7, 0):

            async def do(number: int = number) -> Answer:
                done.append(number)
                return Answer(200, b"x" * 10)

            name = request_digest(str(number).encode())
            await repeats.answer(name, name, do)

    asyncio.run(run())
    assert done == [*range(10), 0]


def test_a_refusal_is_not_remembered() -> None:
    repeats, done = Repeats(), []

    async def do() -> Answer:
        done.append(1)
        return refusal(Refusal.UNAVAILABLE)

    async def run() -> None:
        for _ in range(2):
            await repeats.answer(b"digest", None, do)

    asyncio.run(run())
    assert len(done) == 2


def test_the_parts_of_a_request_are_told_apart() -> None:
    assert request_digest(b"ab", b"c") != request_digest(b"a", b"bc")
