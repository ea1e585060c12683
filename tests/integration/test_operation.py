"""What an operator sees of a real worker: health, metrics, logs, and what `doctor` finds."""

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from pv_stream.cli import main as entry
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import HoldCode
from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.keys import new_key
from pv_stream.stream.kafka_dev.broker import free_port
from pv_stream.stream.publish import publish
from pv_stream.stream.topics import Topic
from tests.builders import RULEBOOK, at, dose, eosinophils, held, with_patient
from tests.integration.cluster import SHARDS, Cluster, Worker, eventually
from tests.integration.test_commands import call, environment_of
from tests.integration.test_live_equals_replay import RUN
from tests.integration.test_opening import commit_offset

CANARY = "canary-name-smith"
REACTION = (dose("imatinib", at(0)), eosinophils(1690, at(15)), held(HoldCode.MISSING_UNIT, at(16)))
WEEK_MS = str(7 * 24 * 3_600 * 1_000)


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def total(metrics: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def write_log(cluster: Cluster) -> None:
    """Write a reaction, a held value, and a record that is none; names and content are canaries."""
    records = [(CANARY.encode(), encode_event(with_patient(each, CANARY))) for each in REACTION]
    publish(
        [*records, (CANARY.encode(), f"not an event of {CANARY}".encode())],
        settings=cluster.settings(),
        topic=cluster.name(Topic.EVENTS),
        shard_of=lambda key, shard_count: shard_of(key.decode(), shard_count),
    )


def doctor(cluster: Cluster, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Return exit code and rows."""
    done = call("doctor", "--json", *options, **environment_of(cluster))
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


@contextmanager
def held_back(cluster: Cluster, topic: Topic) -> Iterator[None]:
    """Let no worker get on with shard 0 of a topic meanwhile: somebody else has a transaction open on it."""
    with closing(
        KafkaProducer(
            bootstrap_servers=cluster.bootstrap_servers,
            transactional_id=f"{cluster.prefix}foreign",
            transaction_timeout_ms=600_000,
        )
    ) as foreign:
        foreign.init_transactions()
        foreign.begin_transaction()
        foreign.send(cluster.name(topic), key=b"foreign", value=b"never committed", partition=0)
        foreign.flush(60)
        yield
        foreign.abort_transaction()


def open_and_watch(cluster: Cluster, port: int, signing: dict[str, str]) -> Worker:
    """Start a worker and return it when it is ready; before that it was live and said why it was not."""
    environment = {
        "PV_STREAM_HEALTH_PORT": str(port),
        "PV_STREAM_LOG_FORMAT": "json",
        "PV_STREAM_READY_LAG_SECONDS_MAX": "2",
    }
    with held_back(cluster, Topic.STATE):
        worker = cluster.start_worker(environment | signing, command=RUN)
        eventually(lambda: "is being opened" in get(port, "/readyz")[1], what="the worker opens its shards")
        assert (get(port, "/livez")[0], get(port, "/readyz")[0]) == (200, 503)
    eventually(lambda: get(port, "/readyz")[0] == 200, what="the worker is ready")
    return worker


def assert_counts_what_the_topics_hold(metrics: str, cluster: Cluster) -> None:
    """Compare the metrics of the one worker with what stands in the topics."""
    alerts = len(cluster.read(Topic.ALERTS))
    assert alerts > 0
    assert total(metrics, "pv_stream_alerts_total") == alerts
    assert total(metrics, "pv_stream_outputs_total", stream="alerts") == alerts
    assert total(metrics, "pv_stream_dead_letters_total", code="malformed_json") == 1
    # By the clock that the worker wrote the reaction is long over; the held value still waits.
    assert total(metrics, "pv_stream_open_alerts", acknowledged="no") == 1
    assert total(metrics, "pv_stream_open_holds") == 1
    assert total(metrics, "pv_stream_shard_patients") == 1
    assert total(metrics, "pv_stream_shards") == total(metrics, "pv_stream_shards_open") == SHARDS
    assert total(metrics, "pv_stream_shard_rulebook_info") == SHARDS
    assert total(metrics, "pv_stream_restore_seconds_count") == SHARDS
    assert total(metrics, "pv_stream_ready") == 1


def a_shard_that_an_open_transaction_holds_back_is_seen(cluster: Cluster, port: int) -> None:
    eventually(
        lambda: total(get(port, "/metrics")[1], "pv_stream_shard_lag_records") == 0, what="no lag is left"
    )
    with held_back(cluster, Topic.EVENTS):
        waits = "shard 0: its oldest unprocessed event is"
        eventually(lambda: waits in get(port, "/readyz")[1], what="the shard is seen to be held back")
        assert total(get(port, "/metrics")[1], "pv_stream_shard_lag_records", shard="0") == 1
    eventually(lambda: get(port, "/readyz")[0] == 200, what="the markers are passed")


def test_an_operator_sees_a_worker_and_what_is_wrong(cluster: Cluster, tmp_path: Path) -> None:
    """Live while it opens, ready when it is done, counted, logged by name; the doctor finds what was broken."""
    write_log(cluster)
    port = free_port()
    private_pem, public_pem = new_key()
    public_key = tmp_path / "ledger.pem.pub"
    public_key.write_bytes(public_pem)
    worker = open_and_watch(cluster, port, {"PV_STREAM_LEDGER_KEY": private_pem.decode()})

    written = len(REACTION) + 1

    def counted() -> bool:
        metrics = get(port, "/metrics")[1]
        clocks = total(metrics, "pv_stream_clock_records_total")
        return clocks == 1 and total(metrics, "pv_stream_records_total") == written + clocks

    eventually(counted, what="every record and the clock are processed")
    cluster.wait_until_processed()
    metrics = get(port, "/metrics")[1]
    assert_counts_what_the_topics_hold(metrics, cluster)
    a_shard_that_an_open_transaction_holds_back_is_seen(cluster, port)

    code, rows = doctor(cluster, "--public-key", str(public_key))
    assert (code, {row["outcome"] for row in rows}) == (0, {"ok"}), rows
    assert [row["saw"] for row in rows if row["check"] == "rulebook"] == [
        f"{RULEBOOK.version} is in force and carried"
    ]
    assert [row["saw"] for row in rows if row["check"] == "clocks"] == [
        "nothing was written in the future; 1 of the shards' workers agree with their broker"
    ]
    signed = [row["saw"] for row in rows if row["check"] == "tree heads" and "signed by" in row["saw"]]
    assert len(signed) == 1, "the one patient's shard"
    assert signed[0].endswith("one of those given")

    assert worker.stop() == 0
    said = [json.loads(line) for line in worker.said().splitlines()]
    assert [line["event"] for line in said][:2] == ["worker_started", "health_served"]
    assert [line["event"] for line in said][-2:] == ["worker_stopping", "worker_stopped"]
    assert sorted(line["shard"] for line in said if line["event"] == "shard_opened") == list(range(SHARDS))
    assert CANARY not in metrics + worker.said()

    an_auditor_replays_and_verifies_the_topics_themselves(cluster, tmp_path / "replayed")
    break_it(cluster)
    code, rows = doctor(cluster)
    found = {(row["check"], row["subject"]): row for row in rows if row["outcome"] == "finding"}
    assert code == 1
    assert set(found) == {
        ("topics", cluster.name(Topic.ALERTS)),
        ("topics", cluster.name(Topic.ALERT_ACTIONS)),
        ("group", f"{cluster.prefix}group"),
        ("offsets", "shard 2"),
    }
    assert found["topics", cluster.name(Topic.ALERTS)]["saw"] == f"retention.ms is {WEEK_MS}, wanted -1"
    assert "999999, ahead of the checkpoint" in found["offsets", "shard 2"]["saw"]
    assert all(row["fix"] for row in found.values())
    assert CANARY not in json.dumps(rows)


def an_auditor_replays_and_verifies_the_topics_themselves(cluster: Cluster, replayed: Path) -> None:
    """Replay the input topic and verify the others, without an archive; the same bytes, and no file is left behind."""
    folder = replayed.with_name("tmp")
    folder.mkdir()

    def audit(*words: str) -> Result:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tempfile, "tempdir", str(folder))
            result = CliRunner().invoke(entry.app, words, env=environment_of(cluster))
        assert list(folder.iterdir()) == []
        return result

    done = audit("replay", "kafka", "--out", str(replayed), "--states")
    assert done.exit_code == 0, (done.output, done.exception)
    live = cluster.read(Topic.ALERTS)
    assert [record.value for record in live] == (replayed / "alerts.jsonl").read_bytes().splitlines()

    verify = ("verify", "--replayed", str(replayed), "--json", "--recorded")
    done = audit(*verify, "kafka")
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert (found["findings"], found["notes"]) == ([], [])
    assert {stream: each["equal"] for stream, each in found["compared"].items()} == {
        "alerts": len(live),
        "recurrences": 0,
        "actions": 0,
        "dead_letters": 1,
        "cases": 1,
        "states": 3,  # the patient's, the clock's and the rulebook's
    }
    done = audit(*verify, cluster.name(Topic.ALERTS))
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["compared"]["alerts"]["equal"] == len(live)
    assert sum("are not compared" in note for note in found["notes"]) == 4
    done = audit(*verify, "no.such.topic")
    assert isinstance(done.exception, EnvironmentBroken)


def break_it(cluster: Cluster) -> None:
    """Let alerts be deleted after a week, give a topic a partition too many, and commit an offset nobody reached."""
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - only here

    with cluster.admin() as admin:
        name = cluster.name(Topic.ALERTS)
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": WEEK_MS})])
        admin.create_partitions({cluster.name(Topic.ALERT_ACTIONS): SHARDS + 1})
    commit_offset(cluster, 2, 999_999)
