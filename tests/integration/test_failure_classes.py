"""Each class of failure has its outcome (docs/live.md, What goes wrong and what then), with the real worker."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

import pytest
from kafka import KafkaProducer

from pv_stream.codec.events import RECORD_BYTES_MAX, encode_event
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.errors import EnvironmentBroken
from pv_stream.rulebooks import load_default
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard import steps
from pv_stream.shard.fold import OutRecord, RawRecord, ShardFold
from pv_stream.shard.slices import SLICE_KEY
from pv_stream.stream.headers import TOPIC_OF_STREAM
from pv_stream.stream.topics import Topic
from pv_stream.stream.worker import EXIT_CODE_OUTDATED
from tests.builders import at, dose, eosinophils, temperature, with_patient
from tests.integration.cluster import SHARDS, Cluster, eventually
from tests.integration.failing_worker import FAILING, QUOTED, failing_advance
from tests.rulebooks import activation

WORKER = [sys.executable, str(Path(__file__).with_name("failing_worker.py")), "run"]
#: Each patient who is due is a transaction of its own, so that one clock record is told in several.
SLICED = {"PV_STREAM_RUN_DUE_MAX": "1"}
SHARD = shard_of(FAILING, SHARDS)
REACTION = (dose("imatinib", at(7)), eosinophils(1690, at(15)), temperature("39", at(15)))
#: A record for Kafka, and the code of its dead letter, or None for one that can be used.
Line = tuple[bytes | None, bytes | None, DeadLetterCode | None]


def patients(shard: int) -> Iterator[PatientId]:
    """Return patients of a shard, one after another."""
    return (
        PatientId(name)
        for name in (f"patient-{number}" for number in count())
        if shard_of(PatientId(name), SHARDS) == shard
    )


def good(patient: PatientId, *events: FactArrived) -> list[Line]:
    return [(patient.encode(), encode_event(with_patient(event, patient)), None) for event in events]


def spoilt(patient: PatientId) -> list[Line]:
    """Return records of every kind that cannot be used, between the good ones of a patient."""
    key, (event, *_) = patient.encode(), REACTION
    value = encode_event(with_patient(event, patient))
    stranger = next(patients((SHARD + 1) % SHARDS))
    fails = encode_event(with_patient(event, FAILING))
    return [
        (key, b"\xff\x00 no text", DeadLetterCode.MALFORMED_JSON),
        (key, value[:-20], DeadLetterCode.MALFORMED_JSON),
        (key, b'{"schema_version":1,"type":"observation"}', DeadLetterCode.INVALID_EVENT),
        (key, None, DeadLetterCode.EMPTY),
        (key, value + b" " * RECORD_BYTES_MAX, DeadLetterCode.TOO_LARGE),
        (None, value, DeadLetterCode.MISROUTED),
        (key, encode_event(with_patient(event, stranger)), DeadLetterCode.MISROUTED),
        (stranger.encode(), encode_event(with_patient(event, stranger)), DeadLetterCode.MISROUTED),
        (FAILING.encode(), fails, DeadLetterCode.ENGINE_FAILED),
        (FAILING.encode(), fails, DeadLetterCode.ENGINE_FAILED),
    ]


def write(cluster: Cluster, lines: list[Line]) -> dict[int, DeadLetterCode]:
    """Write records to the shard and return the codes of those that cannot be used, by position."""
    codes = {}
    producer = KafkaProducer(
        bootstrap_servers=cluster.bootstrap_servers, max_request_size=4 * RECORD_BYTES_MAX
    )
    for key, value, code in lines:
        sending = producer.send(cluster.name(Topic.EVENTS), key=key, value=value, partition=SHARD)
        if code is not None:
            codes[sending.get(60).offset] = code
    producer.flush()
    producer.close()
    return codes


def offline(cluster: Cluster) -> dict[Topic, list[tuple[OutRecord, bytes]]]:
    """Fold the log of the shard without Kafka and without limits; return its outputs with their CloudEvents ids.

    It ends where the rulebook is asked for that is not carried.
    """
    fold = ShardFold(shard=SHARD, shard_count=SHARDS, rulebook=load_default())
    records = [
        RawRecord(each.position, each.key, each.value)
        for each in cluster.read(Topic.EVENTS)
        if each.shard == SHARD
    ]
    known = takewhile(lambda record: b"control.activate" not in (record.value or b""), records)
    told: dict[Topic, list[tuple[OutRecord, bytes]]] = {
        topic: [] for topic in TOPIC_OF_STREAM.values() if topic is not Topic.EVENTS
    }
    for output in fold.process(tuple(known)).outputs:
        ce_id = f"{SHARD}-{output.position}-{output.ordinal}".encode()
        told[TOPIC_OF_STREAM[output.stream]].append((output, ce_id))
    return told


def unknown_rulebook() -> Rulebook:
    return replace(load_default(), digest="sha256:" + "0" * 64)


def test_each_failure_of_a_record_has_its_outcome_and_touches_nobody_else(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead letters with code and pointer, one system alert, everything else told; then what ends a worker, and how."""
    monkeypatch.setattr(steps, "advance", failing_advance)
    names = patients(SHARD)
    disturbed, *others = [next(names) for _ in range(4)]
    first, *rest = REACTION
    lines = [*good(disturbed, first), *spoilt(disturbed), *good(disturbed, *rest)]
    lines += [line for other in others for line in good(other, *REACTION)]
    codes = write(cluster, lines)
    worker = cluster.start_worker(SLICED, command=WORKER)
    eventually(
        lambda: any(record.key == SLICE_KEY for record in cluster.read(Topic.STATE)),
        what="a clock record is told in slices",
    )
    cluster.wait_until_processed()

    letters = cluster.read(Topic.DEAD_LETTERS)
    pointers = [dict(letter.headers) for letter in letters]
    assert {each["__streams.errors.partition"] for each in pointers} == {b"%d" % SHARD}
    told = [
        (int(each["__streams.errors.offset"]), json.loads(letter.value or b"")["code"])
        for each, letter in zip(pointers, letters, strict=True)
    ]
    assert told == list(codes.items())
    alerts = [json.loads(record.value or b"") for record in cluster.read(Topic.ALERTS)]
    raised = [(alert["patient_id"], alert["kind"]) for alert in alerts if alert["status"] == "raised"]
    assert raised.count((FAILING, "system")) == 1
    assert [raised.count((each, "suspected_dress")) for each in (disturbed, *others)] == [1, 1, 1, 1]

    # What the log asks for that is not here ends the worker before anything of it is written, with a code of its own.
    write(cluster, [(None, encode_event(activation(unknown_rulebook())), None), *good(disturbed, *REACTION)])
    assert worker.ended() == EXIT_CODE_OUTDATED, worker.said()
    assert f"rulebook {unknown_rulebook().digest}, which is not carried here" in worker.said()
    assert QUOTED not in worker.said()
    assert disturbed not in worker.said()

    # Another partition count ends it as well: patients would be looked for in the wrong shard.
    with cluster.admin() as admin:
        admin.create_partitions({cluster.name(topic): SHARDS + 1 for topic in Topic})
    # In a group of its own: in the other the first, who could not take its leave, is still waited for.
    again = cluster.start_worker({"PV_STREAM_GROUP_ID": f"{cluster.prefix}again"}, command=WORKER)
    assert again.ended() == EnvironmentBroken.exit_code, again.said()
    assert "its state was made with 4 partitions and the input topic has 5" in again.said()
    assert_equals_offline(cluster)


def assert_equals_offline(cluster: Cluster) -> None:
    """Compare key, value and id of every output with those of the fold without Kafka."""
    for topic, expected in offline(cluster).items():
        live = [(record.key, record.value, dict(record.headers)["ce_id"]) for record in cluster.read(topic)]
        assert live == [(output.key, output.value, ce_id) for output, ce_id in expected], topic
