"""The main promise: live outputs, through a kill -9, equal the replay of the archived log, byte for byte.

The real engine and the real commands from end to end: the demo's log, ingested to Kafka, two `pv-stream run`. Two
patients of different workers are merged on the way, and one worker is killed while the transfer is under way.
"""

import json
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from pv_stream.audit.archive.folder import ShardReader, read_topic
from pv_stream.audit.archive.writing import writing
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.domain.times import Instant
from pv_stream.stream.publish import publish
from pv_stream.stream.topics import Topic
from tests.builders import at, measured, with_patient
from tests.integration.cluster import SHARDS, Cluster, Record, Worker, eventually
from tests.integration.test_commands import call, environment_of
from tests.merging import merge

RUN = [sys.executable, "-m", "pv_stream.cli", "run"]
#: Small transactions, so that there are many.
SMALL_RUNS = {"PV_STREAM_RUN_RECORDS_MAX": "25"}
#: A worker that is stopped while the other works off its shards, on a slow machine too, is not replaced: it would end
#: and ask to be started again.
LONG_SESSION = {"PV_STREAM_SESSION_TIMEOUT_SECONDS": "90"}
FILE_OF_TOPIC = {
    Topic.ALERTS: "alerts.jsonl",
    Topic.RECURRENCES: "recurrences.jsonl",
    Topic.CASES: "cases.jsonl",
    Topic.ALERT_ACTIONS: "actions.jsonl",
    Topic.DEAD_LETTERS: "dead_letters.jsonl",
}


def succeed(*arguments: str, **environment: str) -> None:
    """Call a command that must end with exit code 0."""
    done = call(*arguments, **environment)
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr}"


def halves(log: Path) -> tuple[Path, Path]:
    """Split a log in two files."""
    lines = log.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    first, second = log.with_name("first.jsonl"), log.with_name("second.jsonl")
    first.write_bytes(b"".join(lines[:middle]))
    second.write_bytes(b"".join(lines[middle:]))
    return first, second


def processed(cluster: Cluster) -> int:
    """Return how many positions of the input log were processed."""
    return sum(cluster.committed().values())


def of_type(cluster: Cluster, kind: str) -> int:
    """Return how many records of a type the input log holds."""
    return sum(f'"type":"{kind}"'.encode() in (record.value or b"") for record in cluster.read(Topic.EVENTS))


def merge_across(cluster: Cluster, prior_of: Worker, survivor_of: Worker) -> None:
    """Write the merge of a patient of one worker into a patient of the other."""
    patients = sorted(
        {json.loads(record.value or b"")["patient_id"] for record in cluster.read(Topic.ALERTS)}
    )
    prior, survivor = (
        next(patient for patient in patients if shard_of(PatientId(patient), SHARDS) in worker.shards())
        for worker in (prior_of, survivor_of)
    )
    told = merge(prior, survivor, Instant(time.time_ns() // 1_000))
    publish(
        [(event.patient_id.encode(), encode_event(event)) for event in told],
        settings=cluster.settings(),
        topic=cluster.name(Topic.EVENTS),
        shard_of=lambda key, count: shard_of(PatientId(key.decode()), count),
    )


def stay_long(cluster: Cluster, patient: str, days: range) -> None:
    """Write the values of a patient whose state becomes too large for one record."""
    values = [measured(Analyte.AST, 20, at(day, hour)) for day in days for hour in (6, 12, 18)]
    publish(
        [(patient.encode(), encode_event(with_patient(value, patient))) for value in values],
        settings=cluster.settings(),
        topic=cluster.name(Topic.EVENTS),
        shard_of=lambda key, count: shard_of(PatientId(key.decode()), count),
    )


def begin_to_stay(cluster: Cluster, worker: Worker) -> str:
    """Return a patient of a worker whose state already is in segments."""
    patient = next(
        name for name in map("long-{}".format, range(99)) if shard_of(name, SHARDS) in worker.shards()
    )
    stay_long(cluster, patient, range(50))
    cluster.wait_until_processed()
    keys = {record.key or b"" for record in cluster.read(Topic.STATE)}
    assert any(key.startswith(f"{patient}@".encode()) for key in keys), (
        "no segments: nothing is proved of them"
    )
    return patient


def values_of(records: list[Record]) -> list[bytes]:
    return [record.value or b"" for record in records]


def test_live_outputs_equal_the_replay_of_the_log_through_a_kill(cluster: Cluster, tmp_path: Path) -> None:
    """Two workers, one killed half way through a merge: lost 0, doubled 0, and the same bytes as the replay."""
    key = tmp_path / "ledger.pem"
    succeed("audit", "keygen", "--out", str(key))
    environment = {**environment_of(cluster), "PV_STREAM_LEDGER_KEY_FILE": str(key)}
    succeed("demo", "--out", str(tmp_path / "demo"))
    first_half, second_half = halves(tmp_path / "demo" / "events.jsonl")
    succeed("ingest", str(first_half), "--to", "kafka", **environment)
    signing = {**SMALL_RUNS, "PV_STREAM_LEDGER_KEY_FILE": str(key)}
    first = cluster.start_worker(signing, command=RUN)
    second = cluster.start_worker(signing | LONG_SESSION, command=RUN)
    eventually(
        lambda: len(first.shards()) == len(second.shards()) == SHARDS // 2,
        what="each owns half of the shards",
    )
    long_stay = begin_to_stay(cluster, first)
    # Stopped before there is more to do, so that its half of it is surely left when the other is killed.
    second.process.send_signal(signal.SIGSTOP)
    succeed("ingest", str(second_half), "--to", "kafka", **environment)
    stay_long(cluster, long_stay, range(50, 60))
    written = len(cluster.read(Topic.EVENTS))
    merge_across(cluster, first, second)
    eventually(lambda: of_type(cluster, "identity.transferred"), what="the prior is handed over")
    first.kill()
    assert of_type(cluster, "identity.received") == 0, "the worker was killed too late to prove anything"
    assert processed(cluster) < written, "the worker was killed too late to prove anything"
    second.process.send_signal(signal.SIGCONT)
    eventually(lambda: of_type(cluster, "identity.received"), what="the survivor has confirmed")
    cluster.wait_until_processed()
    assert second.stop() == 0
    cluster.wait_until_processed(seconds=1)  # no clock record was left behind by the worker that stopped

    archive, replayed = tmp_path / "archive", tmp_path / "replay"
    succeed("archive", "--out", str(archive), **environment)
    succeed("replay", str(archive), "--out", str(replayed), "--states", "--processes", "2")
    transfers = json.loads((replayed / "manifest.json").read_bytes())["transfers"]
    assert (transfers["not_in_log"], transfers["only_in_log"]) == (0, 0), transfers
    for topic, file in FILE_OF_TOPIC.items():
        live = values_of(cluster.read(topic))
        again = (replayed / file).read_bytes().splitlines()
        assert len(live) == len(again), f"{topic}: {len(live)} live, {len(again)} in the replay"
        assert live == again, topic
    alerts = [json.loads(value) for value in values_of(cluster.read(Topic.ALERTS))]
    assert any("imatinib" in alert["reason"] for alert in alerts), (
        "the imatinib case is missing: nothing was proved"
    )

    verified = call("verify", "--recorded", str(archive), "--replayed", str(replayed), "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = json.loads(verified.stdout)
    assert (found["unexplained"], found["findings"], found["notes"]) == (0, [], [])
    assert found["compared"]["alerts"]["equal"] == len(alerts)
    assert found["compared"]["states"]["equal"] > 100
    the_ledgers_are_whole(archive, key, cluster, environment)
    a_second_call_adds_nothing(archive, environment)
    an_altered_alert_is_named(archive / cluster.name(Topic.ALERTS), archive, replayed)
    any_number_of_processes_gives_the_same_digests(archive, replayed, tmp_path)
    an_archive_and_the_tail_of_its_topic_are_the_same_log(archive, replayed, tmp_path, environment)


def the_ledgers_are_whole(archive: Path, key: Path, cluster: Cluster, environment: dict[str, str]) -> None:
    """See every output under a signed tree head, through kill and merge, in the archive and in the topics."""
    for source in (str(archive), "kafka"):
        checked = call("audit", "verify", source, "--public-key", f"{key}.pub", "--json", **environment)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        shards = json.loads(checked.stdout)["shards"]
        covered = (Topic.ALERTS, Topic.RECURRENCES, Topic.ALERT_ACTIONS, Topic.DEAD_LETTERS)
        records = sum(len(cluster.read(topic)) for topic in covered)
        assert sum(shard["signed"] for shard in shards) == records > 100
        assert not any(shard["earlier"] or shard["unproved"] for shard in shards)
        succeed("audit", "export", source, "--to", str(archive.with_name("elsewhere")), **environment)


def a_second_call_adds_nothing(archive: Path, environment: dict[str, str]) -> None:
    """Archive again: no file changes."""
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    succeed("archive", "--out", str(archive), **environment)
    assert {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()} == before


def any_number_of_processes_gives_the_same_digests(archive: Path, replayed: Path, tmp_path: Path) -> None:
    """Replay with one and with four processes: not one byte differs, so neither does any digest."""
    expected = json.loads((replayed / "manifest.json").read_bytes())["files"]
    for processes in ("1", "4"):
        out = tmp_path / f"replay-{processes}"
        succeed("replay", str(archive), "--out", str(out), "--states", "--processes", processes)
        assert json.loads((out / "manifest.json").read_bytes())["files"] == expected, processes


def an_altered_alert_is_named(alerts: Path, archive: Path, replayed: Path) -> None:
    """Alter one alert, and make its archive anew so that every digest is right: verify still names it."""
    kept = read_topic(alerts)
    shards = [list(ShardReader((kept,), shard)) for shard in range(kept.shard_count)]
    shard = next(shard for shard, records in enumerate(shards) if records)
    altered = shards[shard][0]
    assert altered.value is not None
    shards[shard][0] = replace(altered, value=altered.value.replace(b'"revision":1', b'"revision":9'))
    shutil.rmtree(alerts)
    with writing(alerts, topic=kept.topic, shard_count=kept.shard_count) as writer:
        for number, records in enumerate(shards):
            writer.append(number, records, first=0, end=kept.end(number), segment_bytes_max=1 << 20)
    verified = call("verify", "--recorded", str(archive), "--replayed", str(replayed), "--json")
    assert verified.returncode == 1
    found = json.loads(verified.stdout)
    assert found["unexplained"] == 1
    assert found["first"]["key"] == (altered.key or b"").decode()
    assert found["first"]["fields"] == [{"path": "revision", "recorded": "9", "replayed": "1"}]
    assert found["cause"]["position"] == found["first"]["position"]


def an_archive_and_the_tail_of_its_topic_are_the_same_log(
    archive: Path, replayed: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Replay an archive whose end is still in the topic: the same outputs."""
    expected = json.loads((replayed / "manifest.json").read_bytes())
    for manifest in archive.rglob("*.v1/manifest.json"):
        without_the_last_segment(manifest)
    tail = ("--tail", "--processes", "1", "--states")
    succeed("replay", str(archive), "--out", str(tmp_path / "tail"), *tail, **environment)
    assert json.loads((tmp_path / "tail" / "manifest.json").read_bytes())["files"] == expected["files"]


def without_the_last_segment(manifest: Path) -> None:
    """Let an archive be what it was before its last segments were written."""
    values = json.loads(manifest.read_bytes())
    for segments in values["shards"].values():
        for segment in segments[-1:]:
            (manifest.parent / segment["file"]).unlink()
        del segments[-1:]
    manifest.write_text(json.dumps(values))
