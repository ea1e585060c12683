"""Files as messages: formats, splitting, sizes, canonical input, and the reject store."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.canonical import canonical_json
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import Analyte, HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Held, Retracted
from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.intake import Intake, digest_of
from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import Format, find_format, records
from tests.builders import at, measured, reviewed
from tests.unit.ingest.messages import (
    OBR,
    SPM,
    as_json,
    bundle,
    fixture,
    observation,
    obx,
    oru,
)

LIMIT = 1024 * 1024
EVENT = encode_event(
    decode_event(
        as_json(
            {
                "schema_version": 1,
                "type": "observation",
                "patient_id": "pat_1",
                "fact_key": "lab_1",
                "status": "final",
                "effective": {"earliest": "2021-04-12T05:15:00Z", "latest": "2021-04-12T05:15:00Z"},
                "received_at": "2021-04-12T06:00:00Z",
                "source": {"format": "canonical", "message_digest": "sha256:" + "0" * 64, "path": "line"},
                "observation": {"analyte": "eosinophils", "value": "1690"},
            }
        )
    )  # type: ignore[arg-type]
)
ACTIVATION = canonical_json(
    {
        "schema_version": 1,
        "type": "control.activate",
        "engine_version": 1,
        "rulebook_digest": f"sha256:{'a' * 64}",
    }
)
CLOCK = canonical_json({"schema_version": 1, "type": "clock", "instant": "2021-04-12T06:00:00Z"})
ACTION = canonical_json(
    {
        "schema_version": 1,
        "type": "alert.action",
        "patient_id": "pat_1",
        "action_id": "act_1",
        "alert_id": "al_1",
        "action": "acknowledge",
        "reason": None,
        "drugs": [],
        "actor": "actor_1",
        "seen_tier": "info",
        "seen_revision": 1,
        "received_at": "2021-04-12T06:00:00Z",
    }
)


def _feed(intake: Intake, folder: Path, chosen: Format = Format.AUTO) -> Feed:
    return Feed(intake, RejectStore(folder / "rejects"), LIMIT, chosen)


def _write(folder: Path, content: bytes, name: str = "input") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "suffix", "expected"),
    [
        (fixture("hl7v2/final.hl7"), "", Format.HL7V2),
        (b"\x0bMSH|^~\\&|", "", Format.HL7V2),
        (b"FHS|^~\\&|\rBHS|^~\\&|\rMSH|^~\\&|", ".txt", Format.HL7V2),
        (fixture("fhir_r4/cbc.json"), "", Format.FHIR),
        (as_json(observation()), "", Format.FHIR),
        (EVENT, "", Format.CANONICAL),
        (b"{broken\n" + EVENT, "", Format.CANONICAL),
        (b"not json\n" + EVENT, "", Format.CANONICAL),
        (EVENT[:100], ".jsonl", Format.CANONICAL),
        (b"{broken", "", Format.FHIR),
        (b"<xml/>", ".xml", None),
        (b"", "", None),
    ],
    ids=str,
)
def test_a_format_is_found_by_the_beginning_of_a_file(
    content: bytes, suffix: str, expected: Format | None
) -> None:
    assert find_format(content, suffix) is expected


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_file_of_many_messages_is_split_at_each_msh(tmp_path: Path, end: str, count: int) -> None:
    one = oru(OBR, *[obx()] * 60, SPM, end=end)
    path = _write(tmp_path, b"".join([one] * count))
    found = [record for _, record in records(path, Format.AUTO, LIMIT)]
    assert [record.content for record in found] == [one] * count
    assert [record.number for record in found] == list(range(1, count + 1))
    assert [record.offset for record in found] == [number * len(one) for number in range(count)]


def test_batch_headers_and_framing_are_no_messages(tmp_path: Path, intake: Intake) -> None:
    one = oru(OBR, obx(), SPM)
    path = _write(
        tmp_path, b"FHS|^~\\&|x\rBHS|^~\\&|y\r\x0b" + one + b"\x1c\r\x0b" + one + b"\x1c\rBTS|2\rFTS|1\r"
    )
    feed = _feed(intake, tmp_path)
    assert len(list(feed.read([path]))) == 2
    assert feed.report.rejected == {}


def test_text_before_the_first_message_is_rejected_and_takes_nothing_with_it(
    tmp_path: Path, intake: Intake
) -> None:
    feed = _feed(intake, tmp_path, Format.HL7V2)
    path = _write(tmp_path, b"rubbish|here\r" + oru(OBR, obx(), SPM))
    assert len(list(feed.read([path]))) == 1
    assert feed.report.rejected == {"malformed_hl7": 1}


def test_resources_one_to_a_line_are_messages_of_their_own(tmp_path: Path, intake: Intake) -> None:
    lines = [as_json(observation(id=f"o{number}")) for number in range(3)]
    feed = _feed(intake, tmp_path)
    path = _write(tmp_path, b"\n".join([lines[0], b"{torn", lines[1], b"", lines[2]]))
    assert len(list(feed.read([path]))) == 3
    assert feed.report.messages == {"accepted": 3, "rejected": 1}
    assert feed.report.rejected == {"malformed_json": 1}


def test_canonical_lines_pass_through_byte_for_byte(tmp_path: Path, intake: Intake) -> None:
    feed = _feed(intake, tmp_path)
    spaced = json.dumps(json.loads(EVENT)).encode()
    path = _write(
        tmp_path,
        b"\xef\xbb\xbf" + EVENT + b"\r\n\n" + spaced + b"\n" + CLOCK + b"\n" + ACTION + b"\n" + ACTIVATION,
    )
    assert [encode_event(event) for event in feed.read([path])] == [EVENT, EVENT, CLOCK, ACTION, ACTIVATION]
    assert feed.report.events == {
        "observation": 2,
        "clock": 1,
        "alert.action": 1,
        "control.activate": 1,
    }


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{torn", RejectCode.MALFORMED_JSON),
        (EVENT.replace(b"final", b"finished"), RejectCode.INVALID_EVENT),
        (EVENT.replace(b'"schema_version":1', b'"schema_version":2'), RejectCode.UNSUPPORTED_VERSION),
        (EVENT.replace(b'"type":"observation"', b'"type":"rumour"'), RejectCode.UNSUPPORTED_TYPE),
        (EVENT.replace(b"2021-04-12T06", b"2026-11-22T13"), RejectCode.RECEIVED_IN_FUTURE),
        (CLOCK.replace(b"2021-04-12T06", b"2026-11-22T13"), RejectCode.RECEIVED_IN_FUTURE),
        (ACTION.replace(b"2021-04-12T06", b"2026-11-22T13"), RejectCode.RECEIVED_IN_FUTURE),
    ],
)
def test_a_malformed_line_is_rejected_and_takes_nothing_with_it(
    tmp_path: Path, intake: Intake, line: bytes, code: RejectCode
) -> None:
    feed = _feed(intake, tmp_path)
    path = _write(tmp_path, EVENT + b"\n" + line + b"\n" + EVENT + b"\n", "log.jsonl")
    assert len(list(feed.read([path]))) == 2
    assert feed.report.rejected == {code.value: 1}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((b'"1690"', b'"-1"'), HoldCode.OUT_OF_RANGE),
        ((b'"1690"', b'"0.9"'), HoldCode.FRACTION_OF_A_CELL),
        ((b'"2021-04-12T05:15:00Z"', b'"2052-04-12T05:15:00Z"'), HoldCode.TIME_IN_FUTURE),
    ],
)
def test_a_canonical_value_that_is_not_believable_is_held_under_its_key(
    tmp_path: Path, intake: Intake, change: tuple[bytes, bytes], code: HoldCode
) -> None:
    feed = _feed(intake, tmp_path)
    (event,) = feed.read([_write(tmp_path, EVENT.replace(*change))])
    assert isinstance(event, FactArrived)
    assert event.version.key == "lab_1"
    assert feed.report.held == {code.value: 1}
    held = event.version.statement.content
    assert isinstance(held, Held)
    # Only a value whose time alone is in doubt stays with its hold, for the person who settles it.
    assert (held.said is not None) == (b"1690" in encode_event(event)) == (code is HoldCode.TIME_IN_FUTURE)
    assert event.version.statement.effective.latest <= event.received_at


def test_a_decision_about_a_held_value_passes_as_it_is_and_is_counted_by_its_name(
    tmp_path: Path, intake: Intake
) -> None:
    doubted = measured(Analyte.EOSINOPHILS, "0.9", at(20))
    content = doubted.version.statement.content
    known = reviewed(doubted, content, even_if_implausible=True)
    unknown = reviewed(doubted, content, actor="actor_2")
    feed = _feed(intake, tmp_path)
    lines = b"".join(encode_event(sent) + b"\n" for sent in (known, unknown, reviewed(doubted, Retracted())))
    first, second, third = feed.read([_write(tmp_path, lines)])
    assert (first, third) == (known, reviewed(doubted, Retracted()))
    assert isinstance(second, FactArrived)
    assert isinstance(second.version.statement.content, Held)
    assert second.version.provenance.review == unknown.version.provenance.review
    assert feed.report.events == {"hold.resolved": 3}
    assert feed.report.held == {"fraction_of_a_cell": 1}


def test_a_message_over_the_limit_is_rejected_and_the_next_is_read(tmp_path: Path, intake: Intake) -> None:
    small = oru(OBR, obx(), SPM)
    large = oru(OBR, obx(), "NTE|1||" + "x" * 2 * LIMIT)
    feed = _feed(intake, tmp_path)
    assert len(list(feed.read([_write(tmp_path, small + large + small)]))) == 2
    assert feed.report.rejected == {"too_large": 1}
    (line,) = (tmp_path / "rejects" / "index.jsonl").read_text().splitlines()
    assert json.loads(line)["bytes"] == len(large)
    assert json.loads(line)["bytes_kept"] == LIMIT


@pytest.mark.parametrize("name", ["input.json", "input.jsonl"])
def test_a_document_or_line_over_the_limit_is_rejected(tmp_path: Path, intake: Intake, name: str) -> None:
    content = as_json(observation(note=[{"text": "x" * 2 * LIMIT}]))
    feed = _feed(intake, tmp_path)
    path = _write(
        tmp_path, (EVENT + b"\n" + content + b"\n" + EVENT) if name.endswith("l") else content, name
    )
    assert len(list(feed.read([path]))) == (2 if name.endswith("l") else 0)
    assert feed.report.rejected == {"too_large": 1}


def test_a_message_just_at_the_limit_is_read(tmp_path: Path, intake: Intake) -> None:
    start = oru(OBR, obx(), SPM, "NTE|1||")
    content = start.rstrip(b"\r") + b"x" * (LIMIT - len(start)) + b"\r"
    assert len(content) == LIMIT
    assert len(list(_feed(intake, tmp_path).read([_write(tmp_path, content)]))) == 1
    over = content.replace(b"xx", b"xxx", 1)
    assert list(_feed(intake, tmp_path).read([_write(tmp_path, over)])) == []


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=200_000), min_size=1, max_size=4),
    end=st.sampled_from(["\r", "\n", "\r\n"]),
)
def test_splitting_loses_and_invents_no_byte(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], end: str
) -> None:
    messages = [oru("NTE|1||" + "y" * size, end=end) for size in sizes]
    path = _write(tmp_path_factory.mktemp("split"), b"".join(messages))
    assert [record.content for _, record in records(path, Format.HL7V2, LIMIT)] == messages


@pytest.mark.parametrize("content", [b"", b"\n\n", b"<xml/>", b"\x00\x01"])
@pytest.mark.parametrize("chosen", list(Format))
def test_a_file_of_nothing_known_is_rejected_with_a_code(
    tmp_path: Path, intake: Intake, content: bytes, chosen: Format
) -> None:
    feed = _feed(intake, tmp_path, chosen)
    assert list(feed.read([_write(tmp_path, content)])) == []
    assert feed.report.messages == {"rejected": 1}


def test_the_store_is_the_owners_alone_and_holds_the_bytes(tmp_path: Path, intake: Intake) -> None:
    feed = _feed(intake, tmp_path)
    good, bad = oru(OBR, obx(unit="heaps"), SPM), b"MSH|broken"
    path = _write(tmp_path, good + bad)
    for _ in range(2):  # a second run adds nothing
        assert len(list(_feed(intake, tmp_path).read([path]))) == 1
    assert len(list(feed.read([path]))) == 1
    folder = tmp_path / "rejects"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["code"]) for entry in entries] == [
        ("held", "unknown_unit"),
        ("rejected", "malformed_hl7"),
    ]
    for entry, content in zip(entries, (good, bad), strict=True):
        assert entry["message_digest"] == digest_of(content)
        assert (folder / f"{entry['message_digest'][7:]}.bin").read_bytes() == content
    assert entries[1]["position"] == {"input": 1, "message": 2, "offset": len(good)}
    assert entries[0]["value_digest"].startswith("sha256:")


def test_nothing_is_made_when_there_is_nothing_to_keep(tmp_path: Path, intake: Intake) -> None:
    list(_feed(intake, tmp_path).read([_write(tmp_path, oru(OBR, obx(), SPM))]))
    assert not (tmp_path / "rejects").exists()


def test_a_torn_line_of_the_index_is_no_entry(tmp_path: Path, intake: Intake) -> None:
    folder = tmp_path / "rejects"
    folder.mkdir(mode=0o700)
    (folder / "index.jsonl").write_bytes(b'{"entry": "x"}\n{"torn\n[]\n')
    list(_feed(intake, tmp_path).read([_write(tmp_path, b"MSH|broken")]))
    assert len((folder / "index.jsonl").read_text().splitlines()) == 4


def test_a_store_that_cannot_be_written_is_said_by_name(tmp_path: Path, intake: Intake) -> None:
    _write(tmp_path, b"", "rejects")
    with pytest.raises(DataError, match="rejects"):
        list(_feed(intake, tmp_path).read([_write(tmp_path, b"MSH|broken")]))


def test_a_folder_that_others_can_read_is_refused_and_left_as_it_is(tmp_path: Path, intake: Intake) -> None:
    folder = tmp_path / "rejects"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(UsageError, match="chmod 700"):
        list(_feed(intake, tmp_path).read([_write(tmp_path, b"MSH|broken")]))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert list(folder.iterdir()) == []


def test_bytes_that_a_full_disk_cut_short_are_written_again(
    tmp_path: Path, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, b"MSH|broken")
    folder = tmp_path / "rejects"

    def fail(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(DataError, match="No space left"):
            list(_feed(intake, tmp_path).read([path]))
    assert list(folder.iterdir()) == []
    list(_feed(intake, tmp_path).read([path]))
    (kept,) = folder.glob("*.bin")
    kept.write_bytes(b"")
    list(_feed(intake, tmp_path).read([path]))
    assert kept.read_bytes() == b"MSH|broken"
    assert len((folder / "index.jsonl").read_text().splitlines()) == 1


def test_a_fault_of_ours_is_counted_kept_and_takes_nothing_with_it(
    tmp_path: Path, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_content: bytes, _intake: Intake) -> None:
        message = "a fault with Jane Doe in it"
        raise RuntimeError(message)

    monkeypatch.setattr("pv_stream.ingest.feed._READERS", {Format.HL7V2: fail})
    feed = _feed(intake, tmp_path)
    assert list(feed.read([_write(tmp_path, b"MSH|^~\\&|\rMSH|^~\\&|\r")])) == []
    assert feed.report.rejected == {"internal_error": 2}
    assert "Jane" not in (tmp_path / "rejects" / "index.jsonl").read_text()


def test_files_are_all_tried_before_the_first_is_read(tmp_path: Path, intake: Intake) -> None:
    feed = _feed(intake, tmp_path)
    with pytest.raises(DataError, match="absent"):
        next(feed.read([_write(tmp_path, oru(OBR, obx(), SPM)), tmp_path / "absent"]))
    with pytest.raises(DataError):
        next(feed.read([tmp_path]))


def test_progress_is_told_in_bytes(tmp_path: Path, intake: Intake) -> None:
    told: list[int] = []
    one = oru(OBR, obx(), SPM)
    list(_feed(intake, tmp_path).read([_write(tmp_path, one * 3)], told.append))
    assert told == [3 * len(one), *(number * len(one) for number in (4, 5, 6))], "looked through, then read"


def test_a_bundle_is_one_message(tmp_path: Path, intake: Intake) -> None:
    feed = _feed(intake, tmp_path)
    path = _write(tmp_path, bundle(observation(), observation(id="o2")))
    assert len(list(feed.read([path]))) == 2
    assert feed.report.messages == {"accepted": 1}
