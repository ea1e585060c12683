"""Merges in a replay: transfers are made where the log holds none, and compared where it holds them."""

from pathlib import Path

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.explain import alerts_of_log, explain
from pv_stream.audit.replay import replay
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.codec.events import encode_event
from pv_stream.shard.fold import OutputStream
from tests.builders import at, dose, eosinophils, with_patient
from tests.merging import PatientEvent, Topic, merge, separated
from tests.unit.audit.logs import envelope, header, plan_of, values, write_lines

A, B = "patient-a", "patient-b"
REACTION = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(1690, at(15)))
FEED: tuple[PatientEvent, ...] = (
    *(with_patient(sent, A) for sent in REACTION),
    *merge(A, B, at(16)),
    separated(A, B, at(18)),
)


def _recorded(shards: int) -> Topic:
    topic = Topic(shards)
    for sent in FEED:
        topic.send(sent)
    topic.settle()
    return topic


def _archive(tmp_path: Path, topic: Topic) -> Path:
    lines = [
        envelope(shard, record.position, record.value, (record.key or b"").decode())
        for shard, log in enumerate(topic.logs)
        for record in log
    ]
    return write_lines(tmp_path / "archive", [header(len(topic.logs)), *lines])


def test_a_file_of_a_feed_gets_its_transfers_from_the_replay(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log", [encode_event(sent) for sent in FEED])
    manifest = replay(plan_of(path), tmp_path / "out")
    assert manifest["transfers"] == {"mode": "made", "records": 4}
    told = [(a["patient_id"], a["status"]) for a in values(tmp_path / "out" / "alerts.jsonl")]
    assert told == [(A, "raised"), (B, "raised"), (A, "transferred"), (A, "raised"), (B, "withdrawn")]


def test_an_archive_gives_what_was_told_live_and_its_transfers_are_compared(tmp_path: Path) -> None:
    topic = _recorded(3)
    manifest = replay(plan_of(_archive(tmp_path, topic), clock=ClockMode.NONE), tmp_path / "out")
    assert manifest["transfers"] == {"mode": "log", "records": 4, "not_in_log": 0, "only_in_log": 0}
    for stream, name in FILE_OF.items():
        live = [out.value for outputs in topic.outputs for out in outputs if out.stream is stream]
        assert (tmp_path / "out" / name).read_bytes().splitlines() == live


def test_an_archive_without_its_last_transfer_says_so(tmp_path: Path) -> None:
    topic = _recorded(1)
    topic.logs[0].pop()
    manifest = replay(plan_of(_archive(tmp_path, topic), clock=ClockMode.NONE), tmp_path / "out")
    assert manifest["transfers"] == {"mode": "log", "records": 3, "not_in_log": 1, "only_in_log": 0}


def test_a_file_of_events_in_which_a_transfer_stands_is_a_recorded_log(tmp_path: Path) -> None:
    topic = _recorded(1)
    path = write_lines(tmp_path / "log", [record.value or b"" for record in topic.logs[0]])
    manifest = replay(plan_of(path, clock=ClockMode.NONE), tmp_path / "out")
    assert manifest["transfers"]["mode"] == "log"
    alerts = [out.value for out in topic.outputs[0] if out.stream is OutputStream.ALERTS]
    assert (tmp_path / "out" / "alerts.jsonl").read_bytes().splitlines() == alerts


def test_an_alert_of_the_survivor_is_explained_by_the_facts_of_the_prior(tmp_path: Path) -> None:
    plan = plan_of(write_lines(tmp_path / "log", [encode_event(sent) for sent in FEED[:5]]))
    alerts = {patient: alert_id for alert_id, patient in alerts_of_log(plan).items()}
    explanation = explain(plan, alerts[B], B)
    assert explanation.alert["continues"] == [alerts[A]]
    (count,) = next(item.facts for item in explanation.items if item.item == "eosinophils")
    assert count.used == "1690 /µL"
    assert [value["status"] for value in explain(plan, alerts[A], A).revisions] == ["raised", "transferred"]
