"""A replay by shard: the same bytes for any number of processes, and a stopped one keeps finished shards."""

import json
from pathlib import Path

import pytest

from pv_stream.audit import replay as replaying
from pv_stream.audit.clock import ClockMode
from pv_stream.audit.log import EVENTS_TOPIC, open_log, originating
from pv_stream.audit.output_folder import MANIFEST, OutputFolder
from pv_stream.audit.replay import ReplayPlan, ShardWork, replay
from pv_stream.audit.shard_outputs import FILE_OF, PLACES_OF, STATES, ShardDone
from pv_stream.audit.verify.recorded import STATE_TOPIC, TOPIC_OF
from pv_stream.codec.events import encode_event
from pv_stream.errors import ActivationRefused, DataError, UsageError
from tests.builders import RULEBOOK
from tests.rulebooks import HIGHER, by_digest
from tests.unit.audit.logs import imatinib_lines, write_lines
from tests.unit.audit.recordings import SHARDS, Recording, patient_of, reaction, story
from tests.unit.cli.calling import pv_stream


def plan_of(folder: Path, **options: object) -> ReplayPlan:
    return ReplayPlan(open_log(folder), RULEBOOK, carried=by_digest(), with_states=True, **options)  # type: ignore[arg-type]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return story()


@pytest.fixture
def archive(recording: Recording, tmp_path: Path) -> Path:
    return recording.archive(tmp_path / "archive")


def test_any_number_of_processes_writes_what_was_recorded(
    recording: Recording, archive: Path, tmp_path: Path
) -> None:
    for processes in (2, 4):
        replay(plan_of(archive), tmp_path / f"out{processes}", processes=processes)
    manifest = replay(plan_of(archive), tmp_path / "out1")
    assert files_of(tmp_path / "out1") == files_of(tmp_path / "out2") == files_of(tmp_path / "out4")
    out = tmp_path / "out1"
    for stream, topic in TOPIC_OF.items():
        live = [record for shard in recording.topics[topic] for record in shard]
        assert (out / FILE_OF[stream]).read_bytes() == b"".join(
            (record.value or b"") + b"\n" for record in live
        )
        places = [dict(record.headers)["ce_id"] for record in live]
        assert (out / PLACES_OF[stream]).read_bytes().split() == places
    assert manifest["transfers"] == {"mode": "log", "records": 2, "not_in_log": 0, "only_in_log": 0}
    assert [rulebook["version"] for rulebook in manifest["rulebooks"]] == [RULEBOOK.version, "lower"]
    assert manifest["counts"]["dead_letters"]["by_code"] == {"malformed_json": 1}


def test_the_final_states_are_those_that_a_worker_wrote_last(
    recording: Recording, archive: Path, tmp_path: Path
) -> None:
    replay(plan_of(archive), tmp_path / "out")
    live = {
        (shard, record.key.decode()): (record.value or b"").decode()
        for shard, records in enumerate(recording.topics[STATE_TOPIC])
        for record in records
        if record.key not in {None, b"checkpoint"}
    }
    rows = [json.loads(line) for line in (tmp_path / "out" / STATES).read_bytes().splitlines()]
    assert {(row["shard"], row["key"]): row["value"] for row in rows} == live
    assert len(rows) == len(live)


def test_another_rulebook_is_a_what_if_in_every_shard(archive: Path, tmp_path: Path) -> None:
    plan = ReplayPlan(open_log(archive), HIGHER, what_if=True)
    manifest = replay(plan, tmp_path / "out")
    assert manifest["what_if"]
    assert manifest["rulebooks"] == [{"version": "higher", "digest": HIGHER.digest}]


def test_an_error_of_one_process_is_the_error_of_the_replay(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ActivationRefused, match="is not carried here"):
        replay(ReplayPlan(open_log(archive), RULEBOOK), tmp_path / "out", processes=2)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_is_damaged_is_refused_and_nothing_is_kept(archive: Path, tmp_path: Path) -> None:
    *_, last = sorted((archive / EVENTS_TOPIC).glob("00001-*.gz"))
    last.write_bytes(b"damage")
    with pytest.raises(DataError, match="00001-"):
        replay(plan_of(archive), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Stopped and resumed ----------------------------------------------------------------------------------------------


def stop_at(monkeypatch: pytest.MonkeyPatch, stopped_shard: int) -> list[int]:
    """Let a replay be stopped when it comes to a shard; return the shards that are replayed."""
    replayed: list[int] = []
    work = ShardWork.replay

    def once(self: ShardWork, shard: int, on_progress: replaying.OnProgress) -> ShardDone:
        replayed.append(shard)
        if shard == stopped_shard and replayed.count(shard) == 1:
            raise KeyboardInterrupt
        return work(self, shard, on_progress)

    monkeypatch.setattr(ShardWork, "replay", once)
    return replayed


def test_a_replay_that_is_stopped_goes_on_with_the_shards_that_are_left(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay(plan_of(archive), tmp_path / "whole")
    plan = plan_of(archive)
    by_size = sorted(range(SHARDS), key=lambda shard: (-plan.log.shard_bytes(shard), shard))
    replayed, kept = stop_at(monkeypatch, by_size[-1]), list[int]()
    with pytest.raises(KeyboardInterrupt):
        replay(plan, tmp_path / "out", on_stop=kept.append)
    assert kept == [SHARDS - 1]
    assert not (tmp_path / "out" / MANIFEST).exists()
    replay(plan_of(archive), tmp_path / "out")
    assert replayed == [*by_size, by_size[-1]]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_shards_of_another_plan_are_not_kept(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(archive)
    by_size = sorted(range(SHARDS), key=lambda shard: (-plan.log.shard_bytes(shard), shard))
    replayed = stop_at(monkeypatch, by_size[-1])
    with pytest.raises(KeyboardInterrupt):
        replay(plan, tmp_path / "out")
    replay(ReplayPlan(open_log(archive), HIGHER, what_if=True), tmp_path / "out")
    assert replayed == [*by_size, *by_size]


def test_a_replay_that_is_stopped_before_a_shard_is_finished_leaves_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(archive)
    largest = min(range(SHARDS), key=lambda shard: (-plan.log.shard_bytes(shard), shard))
    stop_at(monkeypatch, largest)
    with pytest.raises(KeyboardInterrupt):
        replay(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_replays_do_not_write_into_one_folder(archive: Path, tmp_path: Path) -> None:
    first, plan = OutputFolder(tmp_path / "out"), {"plan": 1}
    first.begin("digest", plan, force=False)
    with pytest.raises(UsageError, match="another replay is writing there"):
        replay(plan_of(archive), tmp_path / "out")
    first.abandon()


# Feeds ------------------------------------------------------------------------------------------------------------


def test_transfers_are_made_for_one_shard_without_any_and_refused_where_that_cannot_be(
    tmp_path: Path,
) -> None:
    several = story().archive(tmp_path / "several")
    with pytest.raises(UsageError, match="3 shards, and their order is not known"):
        originating(open_log(several))
    recorded = write_lines(tmp_path / "recorded", [b'{"type":"identity.transferred"}'])
    with pytest.raises(UsageError, match="holds transfers"):
        originating(open_log(recorded))
    one = Recording(1).send(*reaction(patient_of(0))).archive(tmp_path / "one")
    assert originating(open_log(one)).makes_transfers
    feed = write_lines(tmp_path / "feed", map(encode_event, reaction(patient_of(0))))
    assert originating(open_log(feed)).makes_transfers


def test_an_archive_without_clock_records_gets_a_daily_clock_in_every_shard(tmp_path: Path) -> None:
    recording = Recording()
    for shard in range(SHARDS):
        recording.send(*reaction(patient_of(shard)))
    manifest = replay(plan_of(recording.archive(tmp_path / "archive")), tmp_path / "out")
    assert manifest["clock"] == {"mode": ClockMode.DAILY, "records_added": 4 * SHARDS}


# The command ------------------------------------------------------------------------------------------------------


def test_the_command_names_what_is_damaged_and_ends_with_4(tmp_path: Path) -> None:
    archive = Recording().send(*reaction(patient_of(2))).archive(tmp_path / "archive", [EVENTS_TOPIC])
    next((archive / EVENTS_TOPIC).glob("00002-*.gz")).unlink()
    done = pv_stream("replay", str(archive), "--out", str(tmp_path / "out"), "--processes", "1")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "00002-00000000000000000000.gz: positions" in done.stderr


def test_a_tail_of_one_file_is_refused(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log", imatinib_lines())
    done = pv_stream("replay", str(log), "--out", str(tmp_path / "out"), "--tail")
    assert (done.returncode, "archive the topic into a folder" in done.stderr) == (2, True)
