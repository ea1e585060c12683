import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.output_folder import MANIFEST
from pv_stream.audit.replay import replay
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.codec.events import RECORD_BYTES_MAX, encode_event
from pv_stream.domain.codes import HoldCode, Status
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.domain.times import parse_instant
from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import RawRecord, ShardFold, clock_record
from tests.builders import (
    at,
    corrected,
    dose,
    eosinophils,
    held,
    resent,
    retracted,
    with_status,
)
from tests.unit.audit.logs import (
    PATIENT,
    RULEBOOK,
    envelope,
    header,
    imatinib_lines,
    plan_of,
    values,
    write_lines,
)

COURSE = [dose("imatinib", at(day, 9)) for day in range(21)]
COUNT = eosinophils(1600, at(20, 10))


def log_of(tmp_path: Path, *lines: bytes) -> Path:
    return write_lines(tmp_path / "log", [*map(encode_event, COURSE), *lines])


def alerts_of(tmp_path: Path, *lines: bytes) -> list[tuple[object, object]]:
    """Return status and tier of each alert record of a course of imatinib followed by some lines."""
    replay(plan_of(log_of(tmp_path, *lines)), tmp_path / "out", force=True)
    return [(value["status"], value["tier"]) for value in values(tmp_path / "out" / "alerts.jsonl")]


def dead_letters_of(tmp_path: Path, *lines: bytes) -> list[object]:
    replay(plan_of(log_of(tmp_path, *lines)), tmp_path / "out", force=True)
    return [value["code"] for value in values(tmp_path / "out" / "dead_letters.jsonl")]


def test_a_replay_writes_the_bytes_of_the_fold_in_order(tmp_path: Path) -> None:
    lines = imatinib_lines()
    replay(
        plan_of(write_lines(tmp_path / "log", lines), clock=ClockMode.NONE, run_records_max=7),
        tmp_path / "out",
    )

    fold = ShardFold(shard=0, shard_count=1, rulebook=RULEBOOK)
    run = fold.process([RawRecord(i, PATIENT.encode(), line) for i, line in enumerate(lines)])
    for stream in FILE_OF:
        told = b"".join(output.value + b"\n" for output in run.outputs if output.stream is stream)
        assert (tmp_path / "out" / FILE_OF[stream]).read_bytes() == told


def test_the_manifest_says_what_was_read_with_what_and_what_came(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", imatinib_lines())

    manifest = replay(plan_of(path), tmp_path / "out")

    assert manifest == json.loads((tmp_path / "out" / MANIFEST).read_bytes())
    assert manifest["input"]["records"] == len(imatinib_lines())
    assert manifest["clock"]["mode"] == "daily"
    assert manifest["what_if"] is False
    assert manifest["rulebooks"] == [{"version": RULEBOOK.version, "digest": RULEBOOK.digest}]
    assert manifest["counts"]["alerts"]["by_kind_and_tier"] == {
        "culprit_restart": {"critical": 1, "warning": 1},
        "suspected_dress": {"critical": 1},
    }
    assert manifest["counts"]["recurrences"]["by_class"] == {"rechallenge": 1}
    assert str(tmp_path) not in json.dumps(manifest)


def test_runs_of_any_size_give_the_same_manifest(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", imatinib_lines())

    manifests = [
        replay(plan_of(path, run_records_max=size), tmp_path / f"out{size}") for size in (1, 3, 1000)
    ]

    assert manifests[0] == manifests[1] == manifests[2]


def test_two_replays_under_other_hash_seeds_and_time_zones_are_the_same_bytes(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", imatinib_lines())
    manifests = []
    for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("4242", "America/St_Johns")):
        out = tmp_path / seed
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "pv_stream.cli", "replay", str(path), "--out", str(out)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
            capture_output=True,
        )
        manifests.append((out / MANIFEST).read_bytes())

    assert manifests[0] == manifests[1] == manifests[2]


def test_a_clock_record_at_every_midnight_gives_no_other_outputs_than_the_daily_clock(tmp_path: Path) -> None:
    ticks = [(at(day, 0), clock_record(at(day, 0))[1]) for day in range(20, 105)]
    stamped = [(_received(line), line) for line in imatinib_lines()]
    every = [line for _, line in sorted([*ticks, *stamped], key=lambda pair: pair[0])]

    daily = replay(plan_of(write_lines(tmp_path / "daily", imatinib_lines())), tmp_path / "out-daily")
    often = replay(plan_of(write_lines(tmp_path / "often", every)), tmp_path / "out-often")

    assert often["clock"] == {"mode": "log", "records_added": 0}
    assert daily["files"] == often["files"]


def _received(line: bytes) -> int:
    return parse_instant(json.loads(line)["received_at"])


# What each kind of record does ------------------------------------------------------------------------------------


def test_a_malformed_line_is_a_dead_letter_and_the_next_goes_on(tmp_path: Path) -> None:
    assert dead_letters_of(tmp_path, b"{broken", encode_event(COUNT)) == ["malformed_json"]
    assert alerts_of(tmp_path, b"{broken", encode_event(COUNT)) == [("raised", "info")]


def test_a_line_of_2_mb_is_too_large(tmp_path: Path) -> None:
    line = b'{"patient_id":"%s"}' % (b"x" * 2 * RECORD_BYTES_MAX)

    assert dead_letters_of(tmp_path, line) == ["too_large"]


def test_a_negative_count_waits_for_a_person(tmp_path: Path) -> None:
    assert alerts_of(tmp_path, encode_event(eosinophils(-5, at(20, 10)))) == [("raised", "info")]
    assert values(tmp_path / "out" / "alerts.jsonl")[0]["kind"] == "data_review"


def test_a_count_without_a_unit_waits_for_a_person(tmp_path: Path) -> None:
    assert alerts_of(tmp_path, encode_event(held(HoldCode.MISSING_UNIT, at(20, 10)))) == [("raised", "info")]


def test_a_result_dated_2052_fires_nothing_but_a_review(tmp_path: Path) -> None:
    dated = resent(eosinophils(5000, at(9_500)), received_at=at(20, 10))

    alerts_of(tmp_path, encode_event(dated))

    assert [value["kind"] for value in values(tmp_path / "out" / "alerts.jsonl")] == ["data_review"]


def test_a_duplicate_does_nothing(tmp_path: Path) -> None:
    again = resent(COUNT, received_at=at(20, 12))

    assert alerts_of(tmp_path, encode_event(COUNT), encode_event(again)) == [("raised", "info")]


def test_a_correction_below_the_threshold_withdraws(tmp_path: Path) -> None:
    content = eosinophils(300, at(20, 10)).version.statement.content
    told = alerts_of(
        tmp_path, encode_event(COUNT), encode_event(corrected(COUNT, content, received_at=at(21)))
    )

    assert told == [("raised", "info"), ("withdrawn", "info")]


def test_a_retraction_withdraws_and_one_before_its_original_prevents(tmp_path: Path) -> None:
    taken_back = encode_event(retracted(COUNT, received_at=at(21)))

    assert alerts_of(tmp_path, encode_event(COUNT), taken_back) == [("raised", "info"), ("withdrawn", "info")]
    assert alerts_of(tmp_path, taken_back, encode_event(COUNT)) == []


def test_a_preliminary_after_its_final_changes_nothing(tmp_path: Path) -> None:
    late = with_status(eosinophils(100, at(20, 10)), Status.PRELIMINARY)

    assert alerts_of(tmp_path, encode_event(COUNT), encode_event(late)) == [("raised", "info")]


# Shards -----------------------------------------------------------------------------------------------------------


def _patient_of_shard(shard: int, shards: int) -> PatientId:
    return next(PatientId(f"p{number}") for number in range(1000) if shard_of(f"p{number}", shards) == shard)


def test_outputs_of_an_archive_stand_by_shard_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    patients = [_patient_of_shard(shard, 2) for shard in (0, 1)]
    stories = [imatinib_lines(patient) for patient in patients]
    lines = [header(2)]
    for position in range(len(stories[0])):
        lines += [envelope(shard, position, stories[shard][position], patients[shard]) for shard in (1, 0)]

    manifest = replay(plan_of(write_lines(tmp_path / "archive", lines)), tmp_path / "out")

    told = [value["patient_id"] for value in values(tmp_path / "out" / "alerts.jsonl")]
    half = len(told) // 2
    assert half > 1
    assert told == [patients[0]] * half + [patients[1]] * half
    assert manifest["input"]["shards"] == 2


def test_a_record_in_the_wrong_shard_or_without_its_key_is_misrouted(tmp_path: Path) -> None:
    patient = _patient_of_shard(1, 2)
    line = imatinib_lines(patient)[0]
    lines = [
        header(2),
        envelope(0, 0, line, patient),
        envelope(1, 0, line, None),
        envelope(1, 1, line, patient),
    ]

    replay(plan_of(write_lines(tmp_path / "archive", lines)), tmp_path / "out")

    assert [value["code"] for value in values(tmp_path / "out" / "dead_letters.jsonl")] == ["misrouted"] * 2


# The folder -------------------------------------------------------------------------------------------------------


def test_an_earlier_replay_of_the_same_log_is_replaced(tmp_path: Path) -> None:
    plan = plan_of(write_lines(tmp_path / "log", imatinib_lines()))
    replay(plan, tmp_path / "out")
    (tmp_path / "out" / "alerts.jsonl").write_bytes(b"")

    replay(plan_of(plan.log.path, what_if=True), tmp_path / "out")

    assert values(tmp_path / "out" / "alerts.jsonl")


def test_a_replay_of_another_log_is_replaced_only_by_force(tmp_path: Path) -> None:
    replay(plan_of(write_lines(tmp_path / "log", imatinib_lines())), tmp_path / "out")
    other = plan_of(write_lines(tmp_path / "other", []))

    with pytest.raises(UsageError, match="another log"):
        replay(other, tmp_path / "out")
    assert values(tmp_path / "out" / "alerts.jsonl")

    replay(other, tmp_path / "out", force=True)
    assert values(tmp_path / "out" / "alerts.jsonl") == []


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    plan = plan_of(write_lines(tmp_path / "log", imatinib_lines()))

    with pytest.raises(UsageError, match="--force"):
        replay(plan, out)
    assert [entry.name for entry in out.iterdir()] == ["thesis.txt"]

    replay(plan, out, force=True)
    assert (out / "thesis.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", [])

    with pytest.raises(UsageError, match="is a file"):
        replay(plan_of(path), path)


def test_a_replay_that_breaks_off_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    replay(plan_of(write_lines(tmp_path / "log", imatinib_lines())), tmp_path / "out")
    before = {entry.name: entry.read_bytes() for entry in (tmp_path / "out").iterdir()}
    damaged = write_lines(tmp_path / "archive", [header(1), envelope(0, 0, imatinib_lines()[0]), b"damage"])

    with pytest.raises(DataError):
        replay(plan_of(damaged), tmp_path / "out", force=True)
    with pytest.raises(DataError):
        replay(plan_of(damaged), tmp_path / "new")

    assert not (tmp_path / "new").exists()
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "out").iterdir()} == before


def test_progress_is_told_in_bytes_up_to_the_whole(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", imatinib_lines())
    told: list[tuple[int, int]] = []

    replay(plan_of(path), tmp_path / "out", on_progress=lambda *done: told.append(done))

    assert told[-1][0] == path.stat().st_size
