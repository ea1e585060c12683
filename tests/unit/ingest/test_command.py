"""The command: what it writes where, what it says, and how it ends."""

import json
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pv_stream.cli.ingest import is_loopback
from pv_stream.cli.main import app
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import shard_of
from pv_stream.errors import DataError, UsageError
from tests.unit.ingest.messages import FIXTURES, OBR, PID, SPM, as_json, bundle, msh, observation, obx, oru
from tests.unit.ingest.test_feed import ACTIVATION, CLOCK, EVENT

Ingest = Callable[..., Result]
KEY = "a key for the tests of the command"


@pytest.fixture
def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """Run the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["ingest", *map(str, arguments)])

    return run


def _events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _refused(folder: Path) -> Path:
    """Write a message of a type that is not read."""
    path = folder / "refused.hl7"
    path.write_text(f"{msh('QBP^Q11')}\r{PID}\r")
    return path


def test_files_become_events_and_a_summary_with_the_next_step(ingest: Ingest, tmp_path: Path) -> None:
    names = ("dispense", "final", "leukaemia", "order", "preliminary", "stop")
    paths = (
        *(FIXTURES / f"hl7v2/{name}.hl7" for name in names),
        FIXTURES / "fhir_r4/cbc.json",
        _refused(tmp_path),
    )
    result = ingest(*paths, "--to", "events.jsonl")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "8 messages in 8 files" in result.stderr
    assert "1 unsupported_type" in result.stderr
    assert "replay events.jsonl --out out" in result.stderr
    for line in (tmp_path / "events.jsonl").read_bytes().splitlines():
        assert isinstance(decode_event(line), FactArrived)


def test_without_a_destination_events_go_to_stdout_and_nothing_else_does(ingest: Ingest) -> None:
    result = ingest(FIXTURES / "hl7v2/final.hl7")
    assert result.exit_code == 0
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["observation", "observation"]


def test_the_summary_as_json(ingest: Ingest, tmp_path: Path) -> None:
    result = ingest(FIXTURES / "hl7v2/leukaemia.hl7", _refused(tmp_path), "--to", "e.jsonl", "--json")
    summary = json.loads(result.stdout)
    assert summary["messages"] == {"read": 2, "accepted": 1, "held": 0, "rejected": 1}
    assert summary["events"] == {"written": 3, "by_type": {"observation": 3}}
    assert summary["rejected"] == {"unsupported_type": 1}
    assert summary["ignored"] == {"code_not_used": 1, "text_value": 1}
    assert "messages accepted" not in result.stderr
    assert "Next:" not in result.stderr


def test_entries_refused_in_a_message_that_was_read_are_counted_apart(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(bundle(observation(), observation(id="o2", subject={})))
    result = ingest("in.json", "--to", "my events.jsonl")
    assert re.search(r"messages rejected +0\b", result.stderr)
    assert re.search(r"entries rejected +1 +1 missing_patient", result.stderr)
    assert "replay 'my events.jsonl' --out out" in result.stderr
    value = json.loads(ingest("in.json", "--to", "e.jsonl", "--json").stdout)
    assert value["messages"] == {"read": 1, "accepted": 1, "held": 0, "rejected": 0}
    assert value["rejected"] == {}
    assert value["entries_rejected"] == {"missing_patient": 1}
    assert ingest("in.json", "--to", "e.jsonl", "--strict").exit_code == 1


def test_json_needs_another_place_for_the_events(ingest: Ingest) -> None:
    result = ingest(FIXTURES / "hl7v2/final.hl7", "--json")
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize("to", ["in.hl7", "./in.hl7", "linked.hl7", ""])
def test_an_input_is_never_its_own_destination(ingest: Ingest, tmp_path: Path, to: str) -> None:
    content = oru(OBR, obx())
    (tmp_path / "in.hl7").write_bytes(content)
    (tmp_path / "linked.hl7").symlink_to("in.hl7")
    result = ingest(FIXTURES / "hl7v2/final.hl7", "in.hl7", "--to", to)
    assert isinstance(result.exception, UsageError)
    assert (tmp_path / "in.hl7").read_bytes() == content


def test_strict_makes_a_reject_a_finding(ingest: Ingest, tmp_path: Path) -> None:
    refused = _refused(tmp_path)
    assert ingest(refused, "--to", "e.jsonl").exit_code == 0
    assert ingest(refused, "--to", "e.jsonl", "--strict").exit_code == 1
    assert ingest(FIXTURES / "hl7v2/final.hl7", "--to", "e.jsonl", "--strict").exit_code == 0


def test_a_file_that_cannot_be_read_is_a_data_error_and_writes_nothing(
    ingest: Ingest, tmp_path: Path
) -> None:
    result = ingest(FIXTURES / "hl7v2/final.hl7", "absent.hl7", "--to", "events.jsonl")
    assert isinstance(result.exception, DataError)
    assert "absent.hl7" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--received-at", "yesterday"),
        ("--received-at", "2021-04-12T08:00:00"),
        ("--utc-offset", "+25:00"),
        ("--utc-offset", "Berlin"),
    ],
)
def test_an_option_that_cannot_work_is_a_usage_error(ingest: Ingest, arguments: tuple[str, str]) -> None:
    result = ingest(FIXTURES / "hl7v2/final.hl7", *arguments)
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize("arguments", [("--format", "cda"), ("--no-such",)])
def test_a_wrong_call_ends_with_2(ingest: Ingest, arguments: tuple[str, ...]) -> None:
    assert ingest(FIXTURES / "hl7v2/final.hl7", *arguments).exit_code == 2


def test_received_at_is_the_operators(ingest: Ingest, tmp_path: Path) -> None:
    drug = FIXTURES / "fhir_r4/unknown-drug.json"
    refused = ingest(drug, "--to", "e.jsonl")
    assert refused.exit_code == 0
    assert "no_received_at" in refused.stderr
    assert "--received-at now" in refused.stderr
    ingest(drug, "--to", "e.jsonl", "--received-at", "2021-05-01T00:00:00Z")
    assert [event["received_at"] for event in _events(tmp_path / "e.jsonl")] == ["2021-05-01T00:00:00Z"]
    assert ingest(drug, "--to", "e.jsonl", "--received-at", "now", "--strict").exit_code == 0


def test_the_offset_of_the_facility_is_used_where_a_message_states_none(
    ingest: Ingest, tmp_path: Path
) -> None:
    (tmp_path / "in.hl7").write_bytes(oru(OBR.replace("+0200", ""), obx(), sent="20210412080000"))
    ingest("in.hl7", "--to", "e.jsonl", "--utc-offset", "+01:00")
    (event,) = _events(tmp_path / "e.jsonl")
    assert event["received_at"] == "2021-04-12T07:00:00Z"
    assert event["utc_offset_minutes"] == 60


def test_a_format_can_be_forced(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(oru(OBR, obx()))
    assert "malformed_json" in ingest("odd", "--format", "fhir", "--to", "e.jsonl").stderr


def test_rejects_go_where_they_are_told(ingest: Ingest, tmp_path: Path) -> None:
    ingest(_refused(tmp_path), "--to", "e.jsonl", "--rejects", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "index.jsonl").exists()
    assert not (tmp_path / ".pv-stream").exists()
    ingest(_refused(tmp_path), "--to", "e.jsonl")
    assert stat.S_IMODE((tmp_path / ".pv-stream/rejects").stat().st_mode) == 0o700


def test_a_key_is_made_once_and_named(
    ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PV_STREAM_PSEUDONYM_KEY")
    first = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "one.jsonl")
    assert "Made a pseudonym key: .pv-stream/pseudonym.key" in first.stderr
    second = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "two.jsonl")
    assert "Made a pseudonym key" not in second.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    key = (tmp_path / ".pv-stream/pseudonym.key").read_text().strip()
    assert key not in first.output + second.output


def test_the_same_input_and_key_give_the_same_bytes(ingest: Ingest, tmp_path: Path) -> None:
    ingest(FIXTURES / "hl7v2/leukaemia.hl7", "--to", "one.jsonl")
    ingest(FIXTURES / "hl7v2/leukaemia.hl7", "--to", "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_log_ingested_again_is_the_same_log(ingest: Ingest, tmp_path: Path) -> None:
    ingest(*sorted((FIXTURES / "hl7v2").iterdir()), "--to", "one.jsonl")
    ingest("one.jsonl", "--to", "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_run_that_fails_leaves_the_earlier_file_whole(
    ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(FIXTURES / "hl7v2/final.hl7", "--to", "e.jsonl")
    before = (tmp_path / "e.jsonl").read_bytes()

    def fail(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pv_stream.cli.ingest.encode_event", fail)
    result = ingest(FIXTURES / "hl7v2/leukaemia.hl7", "--to", "e.jsonl")
    assert isinstance(result.exception, DataError)
    assert (tmp_path / "e.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.jsonl"]


def test_a_special_file_is_written_to_as_it_is(ingest: Ingest) -> None:
    assert ingest(FIXTURES / "hl7v2/final.hl7", "--to", "/dev/null").exit_code == 0


def test_a_two_megabyte_message_is_rejected_and_the_others_are_read(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "in.hl7").write_bytes(oru(OBR, obx(), "NTE|1||" + "x" * 2_000_000) + oru(OBR, obx(), SPM))
    result = ingest("in.hl7", "--to", "e.jsonl", "--json")
    assert json.loads(result.stdout)["rejected"] == {"too_large": 1}
    assert len(_events(tmp_path / "e.jsonl")) == 1
    assert "smaller bundles" in result.stderr


class Published:
    """Stand for a broker that takes everything."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.options: dict[str, Any] = {}

    def publish(self, records: Iterable[tuple[bytes, bytes]], **options: Any) -> int:
        self.options = options
        self.records = list(records)
        return len(self.records)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    broker = Published()
    monkeypatch.setattr("pv_stream.stream.publish.publish", broker.publish)
    return broker


def test_events_go_to_the_shard_of_their_patient(ingest: Ingest, published: Published) -> None:
    result = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "kafka")
    assert result.exit_code == 0
    assert published.options["topic"] == "pv.clinical.events.v1"
    for key, value in published.records:
        assert json.loads(value)["patient_id"] == key.decode()
        assert published.options["shard_of"](key, 7) == shard_of(key.decode(), 7)
    assert result.stderr.rstrip().endswith("run")


def test_the_clock_and_the_rulebook_of_a_file_never_enter_a_topic(
    ingest: Ingest, published: Published, tmp_path: Path
) -> None:
    (tmp_path / "log.jsonl").write_bytes(EVENT + b"\n" + CLOCK + b"\n" + ACTIVATION + b"\n")
    result = ingest("log.jsonl", "--to", "kafka", "--json")
    assert [value for _, value in published.records] == [EVENT]
    summary = json.loads(result.stdout)
    assert summary["ignored"] == {"activation_record": 1, "clock_record": 1}
    assert summary["events"] == {"written": 1, "by_type": {"observation": 1}}


def test_the_demo_key_is_refused_for_a_broker_elsewhere(
    ingest: Ingest, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "demo")
    monkeypatch.setenv("PV_STREAM_BOOTSTRAP_SERVERS", "kafka.example.org:9092")
    refused = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "kafka")
    assert isinstance(refused.exception, UsageError)
    assert published.records == []
    monkeypatch.setenv("PV_STREAM_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    assert ingest(FIXTURES / "hl7v2/final.hl7", "--to", "kafka").exit_code == 0


def test_no_key_is_made_in_passing_for_a_broker_elsewhere(
    ingest: Ingest, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PV_STREAM_PSEUDONYM_KEY")
    monkeypatch.setenv("PV_STREAM_BOOTSTRAP_SERVERS", "kafka.example.org:9092")
    refused = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "kafka")
    assert isinstance(refused.exception, UsageError)
    assert "PV_STREAM_PSEUDONYM_KEY_FILE" in str(refused.exception)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("PV_STREAM_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    made = ingest(FIXTURES / "hl7v2/final.hl7", "--to", "kafka")
    assert "Made a pseudonym key" in made.stderr
    assert "PV_STREAM_STATE_DIR" in made.stderr
    assert published.records


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("127.0.0.1:9092", True),
        ("localhost:9092, [::1]:9093", True),
        ("127.0.0.1:9092,kafka.example.org:9092", False),
        ("localhost.example.org:9092", False),
        ("127.0.0.1.example.org:9092", False),
        ("10.0.0.1:9092", False),
        ("", False),
    ],
)
def test_which_brokers_are_on_this_host(servers: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(servers) is expected


def test_a_resource_with_half_a_character_is_read(ingest: Ingest, tmp_path: Path) -> None:
    subject = {"identifier": {"system": "x", "value": "\ud800"}}
    (tmp_path / "odd.json").write_bytes(as_json(observation(subject=subject)))
    result = ingest("odd.json", "--to", "e.jsonl", "--json")
    assert json.loads(result.stdout)["messages"]["accepted"] == 1
