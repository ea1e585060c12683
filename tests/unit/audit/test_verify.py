"""Verify: equal is equal, what was altered, lost or doubled is found and named, and only what is known explains it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pv_stream.audit.log import EVENTS_TOPIC, open_log
from pv_stream.audit.replay import ReplayPlan, replay
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.audit.verify.classes import Difference, Finding, Kind, differing_fields
from pv_stream.audit.verify.places import fields_of
from pv_stream.audit.verify.recorded import STATE_TOPIC, TOPIC_OF, open_recorded
from pv_stream.audit.verify.replayed import open_replayed
from pv_stream.audit.verify.verifying import Verification, verify
from pv_stream.domain.codes import Analyte
from pv_stream.errors import DataError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream
from tests.builders import RULEBOOK, at, eosinophils, measured, with_patient
from tests.merging import merge
from tests.rulebooks import HIGHER, by_digest
from tests.shards import clock
from tests.unit.audit.recordings import SHARDS, Recording, patient_of, reaction, told_story
from tests.unit.cli.calling import pv_stream

ALERTS, CASES = TOPIC_OF[OutputStream.ALERTS], TOPIC_OF[OutputStream.CASES]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    return replay_of(told_story().archive(folder / "archive"), folder / "replayed")


def replay_of(archive: Path, out: Path, what_if: Rulebook | None = None) -> Path:
    plan = ReplayPlan(
        open_log(archive),
        what_if or RULEBOOK,
        carried=by_digest(),
        with_states=True,
        what_if=what_if is not None,
    )
    replay(plan, out)
    return out


def verified(recording: Recording, folder: Path, replayed: Path) -> Verification:
    return verify(open_recorded(recording.archive(folder / "altered")), open_replayed(replayed))


def only(found: Verification) -> Finding:
    (finding,) = found.findings
    return finding


def counts(found: Verification, stream: str) -> tuple[int, int, int]:
    (compared,) = [each for each in found.compared if each.stream == stream]
    return compared.recorded, compared.replayed, compared.equal


def test_a_replay_of_what_was_recorded_is_equal_in_every_stream(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    found = verified(recording, tmp_path, replayed)
    assert (found.unexplained, found.findings, found.notes) == (0, [], [])
    for stream, topic in TOPIC_OF.items():
        written = sum(map(len, recording.topics[topic]))
        if stream is not OutputStream.CASES:
            assert counts(found, stream) == (written, written, written)
    assert counts(found, "alerts")[0] > SHARDS
    assert counts(found, "cases")[2] >= SHARDS
    assert counts(found, "states")[2] > 2 * SHARDS


def test_an_altered_alert_is_named_with_the_event_that_it_came_from(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    record = recording.topics[ALERTS][1][0]
    assert record.value is not None
    recording.change(ALERTS, 1, 0, value=record.value.replace(b'"tier":"info"', b'"tier":"warning"'))
    found = verified(recording, tmp_path, replayed)
    finding = only(found)
    assert (finding.stream, finding.kind, finding.difference) == (
        "alerts",
        Kind.DIFFERS,
        Difference.UNEXPLAINED,
    )
    assert finding.patient_id == patient_of(1)
    assert finding.fields == (("tier", '"warning"', '"info"'),)
    assert found.cause is not None
    assert finding.place is not None
    assert (found.cause.shard, found.cause.position) == (1, finding.place.position)
    assert found.cause.event["type"] == "observation"
    assert found.cause.event["patient_id"] == patient_of(1)


def dropped(recording: Recording) -> None:
    del recording.topics[ALERTS][0][0]


def doubled(recording: Recording) -> None:
    records = recording.topics[ALERTS][0]
    records.insert(1, records[0])
    _renumber(recording, ALERTS)


def swapped(recording: Recording) -> None:
    records = recording.topics[ALERTS][0]
    records[0], records[1] = records[1], records[0]
    _renumber(recording, ALERTS)


def without_place(recording: Recording) -> None:
    recording.change(ALERTS, 0, 0, headers=())


def under_another_key(recording: Recording) -> None:
    recording.change(ALERTS, 0, 0, key=b"al_another")


def invented(recording: Recording) -> None:
    record = recording.topics[ALERTS][0][0]
    recording.change(ALERTS, 0, 0, headers=(("ce_id", b"0-0-0"),), value=record.value)


def with_a_rulebook_of_its_own_making(recording: Recording) -> None:
    record = recording.topics[ALERTS][2][-1]
    assert record.value is not None
    value = record.value.replace(b'"digest":"sha256:', b'"digest":"sha256:0', 1)
    recording.change(ALERTS, 2, len(recording.topics[ALERTS][2]) - 1, value=value)


def a_state(recording: Recording) -> None:
    records = recording.topics[STATE_TOPIC][1]
    number = next(n for n, r in reversed(list(enumerate(records))) if r.key == patient_of(1).encode())
    value = (records[number].value or b"").replace(b'"schema":1', b'"schema":2')
    recording.change(STATE_TOPIC, 1, number, value=value)


def a_case(recording: Recording) -> None:
    records = recording.topics[CASES][0]
    value = (records[-1].value or b"").replace(b'"state":"', b'"state":"x')
    recording.change(CASES, 0, len(records) - 1, value=value)


def _renumber(recording: Recording, topic: str) -> None:
    for shard, records in enumerate(recording.topics[topic]):
        for number in range(len(records)):
            recording.change(topic, shard, number, position=2 * number)


@pytest.mark.parametrize(
    ("alter", "kinds"),
    [
        (dropped, {Kind.ONLY_REPLAYED}),
        (doubled, {Kind.DOUBLED}),
        (swapped, {Kind.OUT_OF_ORDER, Kind.ONLY_REPLAYED}),
        (without_place, {Kind.NO_PLACE, Kind.ONLY_REPLAYED}),
        (under_another_key, {Kind.DIFFERS}),
        (invented, {Kind.ONLY_RECORDED, Kind.ONLY_REPLAYED}),
        (with_a_rulebook_of_its_own_making, {Kind.DIFFERS}),
        (a_state, {Kind.DIFFERS}),
        (a_case, {Kind.DIFFERS}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_whatever_is_altered_is_found_and_nothing_explains_it(
    alter: Callable[[Recording], None], kinds: set[Kind], tmp_path: Path, replayed: Path
) -> None:
    recording = told_story()
    alter(recording)
    found = verified(recording, tmp_path, replayed)
    assert {finding.kind for finding in found.findings} == kinds
    assert {finding.difference for finding in found.findings} == {Difference.UNEXPLAINED}
    assert found.unexplained == len(found.findings)
    assert found.first in found.findings


# What explains a difference ---------------------------------------------------------------------------------------


def test_an_erased_output_is_not_unexplained(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    recording.change(ALERTS, 0, 0, value=None)
    assert only(verified(recording, tmp_path, replayed)).difference is Difference.ERASED


def test_what_follows_from_an_erased_input_record_is_not_unexplained(tmp_path: Path) -> None:
    recording = told_story()
    events = recording.topics[EVENTS_TOPIC][2]
    number = next(
        n
        for n, r in enumerate(events)
        if b"eosinophils" in (r.value or b"") and r.key == patient_of(2).encode()
    )
    recording.change(EVENTS_TOPIC, 2, number, value=None)
    out = replay_of(recording.archive(tmp_path / "altered"), tmp_path / "out")
    found = verify(open_recorded(tmp_path / "altered"), open_replayed(out))
    assert found.unexplained == 0
    assert {finding.patient_id for finding in found.findings} == {patient_of(2), None}
    assert {finding.difference for finding in found.findings} == {Difference.ERASED}


def test_a_record_that_was_empty_live_explains_nothing(tmp_path: Path) -> None:
    recording = Recording().send(*reaction(patient_of(0)))
    recording.send_bytes(patient_of(0), None)
    recording.send(clock(20))
    out = replay_of(recording.archive(tmp_path / "whole"), tmp_path / "out")
    recording.change(ALERTS, 0, 0, key=b"al_another")
    assert verified(recording, tmp_path, out).unexplained == 1


def test_another_rulebook_explains_what_it_changes_and_what_follows(tmp_path: Path) -> None:
    recording = told_story()
    out = replay_of(recording.archive(tmp_path / "altered"), tmp_path / "out", HIGHER)
    found = verify(open_recorded(tmp_path / "altered"), open_replayed(out))
    assert found.unexplained == 0
    assert {finding.difference for finding in found.findings} == {Difference.RULEBOOK}
    assert any("WHAT IF" in note for note in found.notes)


def test_another_engine_version_explains_a_difference(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    found = open_replayed(replayed)
    recording.change(ALERTS, 1, len(recording.topics[ALERTS][1]) - 1, key=b"al_another")
    manifest: dict[str, Any] = {**found.manifest, "engine_version": 99}
    recorded = open_recorded(recording.archive(tmp_path / "altered"))
    assert only(verify(recorded, type(found)(replayed, manifest))).difference is Difference.ENGINE


# How far both have come -------------------------------------------------------------------------------------------


def test_what_a_worker_has_not_come_to_is_counted_and_not_missed(tmp_path: Path, replayed: Path) -> None:
    recording, later = told_story(), told_story()
    for topic in (*TOPIC_OF.values(), STATE_TOPIC):
        later.topics[topic][0] = []
    found = verified(later, tmp_path, replayed)
    beyond = sum(each.beyond for each in found.compared)
    assert found.unexplained == 0
    assert beyond > len(recording.topics[ALERTS][0])
    assert "shard 0: the worker had come to position 0" in found.notes[0]


def test_what_was_recorded_after_the_replayed_log_is_counted_and_not_missed(tmp_path: Path) -> None:
    recording = Recording().send(*reaction(patient_of(0)))
    out = replay_of(recording.archive(tmp_path / "archive"), tmp_path / "out")
    recording.send(with_patient(eosinophils(2500, at(18)), patient_of(0)))
    found = verify(open_recorded(recording.archive(tmp_path / "archive")), open_replayed(out))
    assert found.unexplained == 0
    assert sum(each.beyond for each in found.compared) > 0
    assert any("digests differ" in note for note in found.notes)


def test_a_replay_under_another_clock_is_said_to_be_one(tmp_path: Path) -> None:
    recording = Recording().send(*reaction(patient_of(0)))
    out = replay_of(recording.archive(tmp_path / "archive"), tmp_path / "out")
    found = verify(open_recorded(tmp_path / "archive"), open_replayed(out))
    assert any("the log's clock" in note for note in found.notes)
    assert {finding.key for finding in found.findings} == {"@clock"}


def test_topics_that_were_not_archived_are_said_to_be_left_out(tmp_path: Path, replayed: Path) -> None:
    recorded = open_recorded(told_story().archive(tmp_path / "archive", [ALERTS]))
    found = verify(recorded, open_replayed(replayed))
    assert [each.stream for each in found.compared] == ["alerts"]
    assert len(found.notes) == len(TOPIC_OF)
    assert found.unexplained == 0


# What cannot be verified ------------------------------------------------------------------------------------------


def test_a_changed_file_of_the_replay_and_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    recording = Recording().send(*reaction(patient_of(0)))
    archive = recording.archive(tmp_path / "archive")
    out = replay_of(archive, tmp_path / "out")
    (out / FILE_OF[OutputStream.ALERTS]).write_bytes((out / FILE_OF[OutputStream.ALERTS]).read_bytes()[:-1])
    with pytest.raises(DataError, match=r"alerts\.jsonl was changed after the replay"):
        verify(open_recorded(archive), open_replayed(out))
    with pytest.raises(DataError, match="not the manifest of a replay"):
        open_replayed(archive)
    with pytest.raises(DataError, match="no archive of an output topic"):
        open_recorded(out)
    with pytest.raises(DataError, match="is no folder"):
        open_recorded(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("input",), []),
        (("input", "shards"), "3"),
        (("input", "shards"), 0),
        (("input", "last_positions"), {"0": "x"}),
        (("engine_version",), None),
        (("rulebooks",), [1]),
        (("activated",), {"0": [[1, 2]]}),
        (("what_if",), "no"),
        (("clock",), {}),
        (("files", "alerts.jsonl"), 3),
        (("files",), {}),
        (("places",), {}),
        (("files", "../elsewhere"), {"digest": "sha256:"}),
    ],
)
def test_a_damaged_manifest_of_a_replay_is_one_line_that_says_where(
    tmp_path: Path, replayed: Path, path: tuple[str, ...], value: object
) -> None:
    manifest = json.loads((replayed / "manifest.json").read_bytes())
    inside = manifest
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"is damaged at {path[0]}"):
        open_replayed(tmp_path)


@pytest.mark.parametrize("name", ["alerts.places", "states.jsonl"])
def test_a_file_is_refused_before_anything_of_it_is_read(tmp_path: Path, replayed: Path, name: str) -> None:
    folder = shutil.copytree(replayed, tmp_path / "replayed")
    (folder / name).write_bytes(b"{\n" + (folder / name).read_bytes()[2:])
    with pytest.raises(DataError, match=rf"{name} was changed after the replay"):
        open_replayed(folder)


def test_values_and_places_that_nobody_wrote_are_differences_and_no_failure(
    tmp_path: Path, replayed: Path
) -> None:
    recording = told_story()
    headers = (("ce_id", b"1-1-" + b"9" * 5_000),)
    recording.change(ALERTS, 1, 0, headers=headers)
    recording.change(ALERTS, 2, 0, value=b"[" * 100_000)
    found = verified(recording, tmp_path, replayed)
    assert found.unexplained >= 2
    assert Kind.NO_PLACE in {each.kind for each in found.findings}


@pytest.mark.parametrize("depth", [400, 100_000])
def test_what_is_nested_too_deeply_is_not_compared_inside(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    assert len(differing_fields(deep, b"{}", fields_max=3)) >= 1
    assert fields_of(b"[" * 100_000) == {}


def test_the_segments_of_a_state_are_compared_and_those_that_are_no_more_are_not_missed(
    tmp_path: Path,
) -> None:
    def archived(name: str) -> Path:
        return long_stay.archive(tmp_path / name, segment_bytes=1 << 20)

    stay = [measured(Analyte.AST, 20, at(day, hour)) for day in range(50) for hour in (6, 12, 18)]
    long_stay = Recording().send(*[with_patient(sent, patient_of(0)) for sent in stay])
    long_stay.send(*merge(patient_of(0), patient_of(1), at(61)), clock(62))
    assert [record.key for record in long_stay.topics[STATE_TOPIC][0] if record.value is None]
    replayed = open_replayed(replay_of(archived("archive"), tmp_path / "replayed"))
    found = verify(open_recorded(tmp_path / "archive"), replayed)
    assert (found.unexplained, found.findings) == (0, [])
    keys = [(record.key or b"").decode() for record in long_stay.topics[STATE_TOPIC][1]]
    number = max(number for number, key in enumerate(keys) if "@" in key[1:])
    long_stay.change(STATE_TOPIC, 1, number, value=b"{}")
    assert only(verify(open_recorded(archived("changed")), replayed)).key == keys[number]


def test_that_nothing_could_be_compared_is_said(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    recording.topics[STATE_TOPIC] = [[] for _ in range(SHARDS)]
    found = verified(recording, tmp_path, replayed)
    assert found.unexplained == 0
    assert found.notes[0].startswith("NOTHING WAS COMPARED: ")


def test_archives_of_two_logs_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = Recording().send(*reaction(patient_of(0))).archive(tmp_path / "archive", [ALERTS, STATE_TOPIC])
    shutil.copytree(folder / ALERTS, folder / f"ward.{ALERTS}")
    with pytest.raises(DataError, match=rf"holds {ALERTS} and ward.{ALERTS}"):
        open_recorded(folder)


def test_a_replay_of_another_number_of_shards_is_refused(tmp_path: Path, replayed: Path) -> None:
    one = Recording(1).send(*reaction(patient_of(0)))
    with pytest.raises(DataError, match="not of one log"):
        verified(one, tmp_path, replayed)


# The command ------------------------------------------------------------------------------------------------------


def test_the_command_ends_with_1_and_names_the_record_or_with_0(tmp_path: Path, replayed: Path) -> None:
    recording = told_story()
    recording.archive(tmp_path / "recorded")
    done = pv_stream("verify", "--recorded", str(tmp_path / "recorded"), "--replayed", str(replayed))
    assert (done.returncode, "Nothing is unexplained." in done.stdout) == (0, True), done.stderr
    alert_id = (recording.topics[ALERTS][1][0].key or b"").decode()
    dropped_one = [records[shard == 1 :] for shard, records in enumerate(recording.topics[ALERTS])]
    recording.topics[ALERTS] = dropped_one
    recording.archive(tmp_path / "altered")
    done = pv_stream("verify", "--recorded", str(tmp_path / "altered"), "--replayed", str(replayed))
    assert done.returncode == 1
    assert f"alerts {alert_id} of {patient_of(1)} at 1-" in done.stdout
    assert "only replayed" in done.stdout
    assert f"explain {alert_id}" in done.stderr
