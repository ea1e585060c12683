"""What was refused, from the command line: listed without content, shown, its bytes for the owner, and read again."""

import json
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from pv_stream.audit.dead_letters import digest_of, reads_today, row_of
from pv_stream.audit.replay import replay
from pv_stream.cli import main as entry
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import ClockTicked, FactArrived
from pv_stream.errors import ConnectionFailed, DataError, PvStreamError, UsageError
from pv_stream.ingest.rejects import INDEX_NAME
from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream import publish
from pv_stream.stream.headers import output_headers
from pv_stream.stream.reading import TopicRecord
from tests.builders import at, eosinophils
from tests.unit.audit.logs import plan_of, write_lines

CANARY = "Quixwell"
EVENT = encode_event(eosinophils(1690, at(20)))
#: A message whose sender does not say when it was sent.
UNSTAMPED = (
    b"MSH|^~\\&|LAB|H|||||ORU^R01|1|P|2.5\rPID|||7^^^H^MR||Quixwell^Ada\rOBR|1||F1|||20260120080000+0000\r"
    b"OBX|1|NM|711-2^Eosinophils^LN||1.69|10*3/uL|||||F\r"
)
POISON = b'{"schema_version": 1, "name": "Quixwell"'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where the command is called, with two messages that ingest has refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oru.hl7").write_bytes(UNSTAMPED)
    (tmp_path / "log.jsonl").write_bytes(EVENT + b"\n" + POISON + b"\n")
    call("ingest", "oru.hl7", "log.jsonl", "--to", "events.jsonl")
    return tmp_path


def call(*words: str, fails: type[PvStreamError] | None = None) -> Any:
    """Call a command; return what it printed, or the error that it ends with."""
    result = CliRunner().invoke(entry.app, words, env={"COLUMNS": "140"})
    assert CANARY not in result.output
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
        return result
    assert isinstance(result.exception, fails), (result.output, result.exception)
    return str(result.exception)


def listed(*words: str) -> dict[str, str]:
    """Return the ids of what was refused, by code."""
    found = json.loads(call("dlq", "list", *words, "--json").stdout)
    assert sum(found["by_code"].values()) == len(found["entries"])
    return {each["code"]: each["id"] for each in found["entries"]}


# What ingest refused ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_what_ingest_refused_is_listed_with_age_code_and_pointer_and_counted() -> None:
    result = call("dlq", "list")
    assert "no_received_at" in result.stdout
    assert "file 2, message 2" in result.stdout
    assert "2 refused: 1 malformed_json, 1 no_received_at" in result.stderr
    assert "dlq retry" in result.stderr
    assert set(listed("--code", "malformed_json")) == {"malformed_json"}


def test_the_bytes_go_only_to_a_new_file_of_the_owner(folder: Path) -> None:
    refused = listed()["malformed_json"]
    shown = call("dlq", "show", refused[:12])
    assert "malformed_json" in shown.stdout
    call("dlq", "show", refused, "--bytes", "refused.bin")
    written = folder / "refused.bin"
    assert written.read_bytes() == POISON
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert "not replaced" in call("dlq", "show", refused, "--bytes", "refused.bin", fails=UsageError)
    assert "no/where" in call("dlq", "show", refused, "--bytes", "no/where", fails=DataError)


def test_without_a_destination_nothing_is_written_only_told(folder: Path) -> None:
    index = folder / ".pv-stream" / "rejects" / INDEX_NAME
    before = index.read_bytes()
    result = call("dlq", "retry", "--received-at", "2026-01-20T09:00:00Z")
    assert "1 of 2 can be read, 1 events. Nothing was written." in result.stderr
    assert "still malformed_json" in result.stdout
    assert index.read_bytes() == before


def test_after_a_fix_what_is_read_becomes_events_and_is_marked_but_not_deleted(folder: Path) -> None:
    index = folder / ".pv-stream" / "rejects" / INDEX_NAME
    before = index.read_bytes()
    words = ["dlq", "retry", "--received-at", "2026-01-20T09:00:00Z", "--to", "events.jsonl"]
    said = json.loads(call(*words, "--json").stdout)
    assert (said["events"], said["settled"], said["written_to"]) == (1, 1, "events.jsonl")
    event = decode_event((folder / "events.jsonl").read_bytes().splitlines()[-1])
    assert isinstance(event, FactArrived)
    assert index.read_bytes().startswith(before)
    assert set(listed()) == {"malformed_json"}
    assert set(listed("--all")) == {"malformed_json", "no_received_at"}
    assert "0 of 1 read, 0 events" in call(*words).stderr
    assert "nothing is left" in call(*words, "--code", "no_received_at").stderr

    call("ingest", "oru.hl7", "--to", "again.jsonl")
    assert set(listed()) == {"malformed_json", "no_received_at"}  # refused again, so open again


def test_one_entry_may_be_read_again_alone(folder: Path) -> None:
    refused = listed()
    words = ["dlq", "retry", refused["no_received_at"], "--received-at", "now", "--to", "one.jsonl"]
    assert "1 of 1 read" in call(*words).stderr
    assert len((folder / "one.jsonl").read_bytes().splitlines()) == 1


def test_what_is_refused_otherwise_today_becomes_an_entry_of_its_own(folder: Path) -> None:
    refused = listed()["malformed_json"]
    said = call("dlq", "retry", refused, "--format", "hl7v2", "--to", "events.jsonl").stdout
    assert "now malformed_hl7" in said
    assert set(listed()) == {"malformed_hl7", "no_received_at"}
    assert (folder / ".pv-stream" / "rejects").is_dir()


def test_what_was_kept_in_part_or_is_gone_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = folder / ".pv-stream" / "rejects"
    for kept in store.glob("*.bin"):
        kept.unlink()
    assert call("dlq", "retry").stdout.count("not in the store") == 2
    assert "not there" in call("dlq", "show", listed()["malformed_json"], "--bytes", "x", fails=DataError)
    monkeypatch.setenv("PV_STREAM_RECORD_BYTES_MAX", "1024")
    (folder / "large.jsonl").write_bytes(b'{"schema_version": 1, "x": "' + b"y" * 2000 + b'"}\n')
    call("ingest", "large.jsonl", "--to", "large.events")
    assert "only a part was kept" in call("dlq", "retry", "--code", "too_large").stdout


def test_clock_records_are_never_fed_again(folder: Path) -> None:
    (folder / "clock.jsonl").write_bytes(encode_event(ClockTicked(at(30 * 365))) + b"\n")
    call("ingest", "clock.jsonl", "--to", "events.jsonl")
    assert "received_in_future" in listed()


def test_an_empty_store_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert listed() == {}
    assert "0 refused" in call("dlq", "list").stderr
    assert not (tmp_path / ".pv-stream").exists()


def test_a_store_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / ".pv-stream" / "rejects").chmod(0o755)
    assert "chmod 700" in call("dlq", "list", fails=UsageError)


@pytest.mark.parametrize(
    ("words", "what_to_do"),
    [
        (["list", "--from", "redis"], "say kafka"),
        (["list", "--from", "kafka", "--out", "x"], "name one of them"),
        (["show", "rej_x", "--log", "x"], "--out"),
        (["show", "rej_nothing"], "dlq list"),
        (["show", "rej_"], "several"),
        (["retry", "--received-at", "yesterday"], "--received-at"),
        (["retry", "--utc-offset", "east"], "--utc-offset"),
        (["retry", "--to", ""], "--to"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_wrong_call_says_what_to_do(words: list[str], what_to_do: str) -> None:
    assert what_to_do in call("dlq", *words, fails=UsageError)


# What a replay could not use --------------------------------------------------------------------------------------


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a log with two records that cannot be used, replayed into `out`."""
    monkeypatch.chdir(tmp_path)
    log = write_lines(tmp_path / "events.jsonl", (EVENT, POISON, POISON))
    replay(plan_of(log), tmp_path / "out")
    return log


def test_the_dead_letters_of_a_replay_are_listed_and_their_bytes_found_in_its_log(replayed: Path) -> None:
    (code,) = listed("--out", "out")
    assert code == "malformed_json"
    first, second = json.loads(call("dlq", "list", "--out", "out", "--json").stdout)["entries"]
    assert first["id"] != second["id"]
    assert "name its log" in call(
        "dlq", "show", first["id"], "--out", "out", "--bytes", "x", fails=UsageError
    )
    call("dlq", "show", first["id"], "--out", "out", "--log", str(replayed), "--bytes", "x")
    assert (replayed.parent / "x").read_bytes() == POISON


def test_the_records_of_a_replay_are_looked_at_and_never_written_again(replayed: Path) -> None:
    words = ["dlq", "retry", "--out", "out", "--log", str(replayed)]
    result = call(*words)
    assert result.stdout.count("still malformed_json") == 2
    assert "0 of 2 can be read today. Nothing was written." in result.stderr
    assert "dlq show --bytes" in call(*words, "--to", "events.jsonl", fails=UsageError)


def test_a_folder_without_dead_letters_is_a_data_error(tmp_path: Path) -> None:
    assert "not the dead letters" in call("dlq", "list", "--out", str(tmp_path), fails=DataError)


# What the stream could not use ------------------------------------------------------------------------------------

SOURCE = "pv.clinical.events.v1"


class _Reader:
    """Stand for a reader of the topics: dead letters of the input records 3, 4 and 5, of which 5 is gone."""

    inputs: dict[int, bytes] = {3: POISON, 4: EVENT}  # noqa: RUF012 - what stands in the input

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def records(self, _topic: str) -> Iterable[TopicRecord]:
        for position, code in ((3, "malformed_json"), (4, "unsupported_version"), (5, "empty")):
            value = self.inputs.get(position, b"")
            letter = {"code": code, "value_digest": digest_of(value), "value_bytes": len(value)}
            out = OutRecord(OutputStream.DEAD_LETTERS, b"k", b"", position, 0)
            headers = tuple(output_headers(out, source_topic=SOURCE, shard=2))
            body = json.dumps({**letter, "patient_id": None}).encode()
            yield TopicRecord(2, position, b"k", body, headers, 1_768_900_000_000)
        yield TopicRecord(2, 9, b"k", b"[]", (), 0)

    def record_at(self, topic: str, shard: int, position: int) -> TopicRecord | None:
        assert (topic, shard) == (SOURCE, 2)
        value = self.inputs.get(position)
        return None if value is None else TopicRecord(shard, position, b"k", value)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where the command is called, with Kafka played by a reader of ours."""
    from pv_stream.cli import dead_letter_topic  # noqa: PLC0415 - imported where it is patched

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dead_letter_topic, "TopicReader", _Reader)
    return tmp_path


@pytest.mark.usefixtures("live")
def test_the_dead_letters_of_the_stream_are_listed_with_their_position_in_the_input() -> None:
    result = call("dlq", "list", "--from", "kafka")
    assert f"{SOURCE} shard 2 position 3" in result.stdout
    assert "3 refused" in result.stderr


def test_the_input_position_is_read_again_and_reported(live: Path) -> None:
    result = call("dlq", "retry", "--from", "kafka")
    assert "still malformed_json" in result.stdout
    assert "can be read" in result.stdout
    assert "not there any more" in result.stdout
    assert "ingest refused.jsonl --format canonical --to kafka" in result.stderr
    refused = listed("--from", "kafka")["unsupported_version"]
    call("dlq", "show", refused, "--from", "kafka", "--bytes", "refused.jsonl")
    assert (live / "refused.jsonl").read_bytes() == EVENT


@pytest.mark.usefixtures("live")
def test_what_listeners_refused_is_listed_as_it_stands_now_with_where_its_bytes_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def records(_self: object, topic: str) -> Iterable[TopicRecord]:
        for number, settled in ((1, None), (2, None), (2, "2026-01-21T08:00:00Z")):
            refusal = {
                "schema_version": 1, "entry_id": f"rej_{number}abc", "code": "malformed_hl7",
                "value_digest": "sha256:0", "value_bytes": 9, "path": "OBX[1]", "kept_by": "north",
                "kept_at": "2026-01-20T08:00:00Z", "settled_at": settled,
            }  # fmt: skip
            if topic == "pv.rejects.v1":
                yield TopicRecord(0, 0, b"k", json.dumps(refusal).encode())

    monkeypatch.setattr(_Reader, "records", records)
    result = call("dlq", "list", "--from", "kafka")
    assert "reject store of north at OBX[1]" in result.stdout
    assert "1 refused: 1 malformed_hl7" in result.stderr
    assert "2 refused" in call("dlq", "list", "--from", "kafka", "--all").stderr
    assert "retry it there" in call("dlq", "retry", "--from", "kafka").stdout
    words = ["dlq", "show", "rej_1abc", "--from", "kafka", "--bytes", "refused.bin"]
    assert "in the reject store of north: say this there" in call(*words, fails=DataError)


def test_another_record_at_the_position_is_never_taken_for_the_one_that_was_refused() -> None:
    letter = {"code": "empty", "value_digest": digest_of(b"x"), "value_bytes": 1, "patient_id": None}
    row = row_of(json.dumps(letter).encode(), None, None)
    assert reads_today(row, EVENT) == (False, "another record stands there: was the topic made anew?")


def test_a_record_that_is_refused_for_another_reason_today_says_so() -> None:
    letter = {"code": DeadLetterCode.EMPTY, "value_digest": digest_of(b"{"), "value_bytes": 1}
    row = row_of(json.dumps({**letter, "patient_id": None}).encode(), None, None)
    assert reads_today(row, b"{") == (False, "now malformed_json")


@pytest.mark.usefixtures("folder")
def test_events_of_a_retry_go_to_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(publish, "publish", lambda records, **_: written.extend(records))
    call("dlq", "retry", "--received-at", "now", "--to", "kafka")
    assert len(written) == 1


def test_a_broker_that_is_not_there_is_one_line() -> None:
    words = ["dlq", "list", "--from", "kafka", "--bootstrap-servers", "127.0.0.1:1"]
    assert "does not answer" in call(*words, fails=ConnectionFailed)
