"""What waits or was refused, against a real broker: found in the topics, and settled there."""

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from pv_stream.audit.dead_letters import digest_of
from pv_stream.cli import main as entry
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import shard_of
from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.headers import output_headers
from pv_stream.stream.publish import publish
from pv_stream.stream.topics import Topic
from tests.builders import PATIENT, at, dose, eosinophils, held
from tests.integration.cluster import Cluster, Record
from tests.integration.test_commands import environment_of

READABLE = encode_event(eosinophils(1690, at(20)))


def _write(cluster: Cluster) -> list[Record]:
    """Write a held value, a record that once could not be read, and one that never can; return what stands."""
    publish(
        [
            (PATIENT.encode(), value)
            for value in (
                encode_event(dose("imatinib", at(0))),
                encode_event(held(HoldCode.MISSING_UNIT, at(20))),
                READABLE,
                b"{",
            )
        ],
        settings=cluster.settings(),
        topic=cluster.name(Topic.EVENTS),
        shard_of=lambda key, count: shard_of(key.decode(), count),
    )
    return cluster.read(Topic.EVENTS)


def _write_dead_letters(cluster: Cluster, refused: list[Record]) -> None:
    """Write the dead letters of input records, as a worker of an earlier version did."""

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
            for record in refused:
                value = record.value or b""
                letter = {
                    "schema_version": 1,
                    "code": "malformed_json",
                    "value_digest": digest_of(value),
                    "value_bytes": len(value),
                    "patient_id": None,
                }
                out = OutRecord(OutputStream.DEAD_LETTERS, b"k", b"", record.position, 0)
                headers = output_headers(out, source_topic=cluster.name(Topic.EVENTS), shard=record.shard)
                body = json.dumps(letter).encode()
                topic = cluster.name(Topic.DEAD_LETTERS)
                await producer.send_and_wait(topic, body, partition=record.shard, headers=headers)

    asyncio.run(write())


def test_holds_and_dead_letters_are_found_in_the_topics_and_a_decision_is_written_there(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> str:
        environment = {**environment_of(cluster), "PV_STREAM_STATE_DIR": str(tmp_path / "state")}
        result = CliRunner().invoke(entry.app, words, env=environment)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    *_, readable, poison = _write(cluster)
    _write_dead_letters(cluster, [readable, poison])

    rows = json.loads(call("dlq", "list", "--from", "kafka", "--json"))
    assert rows["by_code"] == {"malformed_json": 2}
    told = json.loads(call("dlq", "retry", "--from", "kafka", "--json"))["entries"]
    assert {each["said"] for each in told} == {"can be read", "still malformed_json"}
    found = next(each["id"] for each in told if each["reads_today"])
    call("dlq", "show", found, "--from", "kafka", "--bytes", "refused.jsonl")
    assert (tmp_path / "refused.jsonl").read_bytes() == READABLE

    (hold,) = json.loads(call("holds", "list", "--from", "kafka", "--json"))
    words = ["--value", "1.6", "--unit", "10*3/uL", "--reason", "checked_in_source"]
    call("holds", "resolve", hold["hold_id"], *words)
    assert json.loads(call("holds", "list", "--json")) == []
    last = cluster.read(Topic.EVENTS)[-1]
    decided = decode_event(last.value)
    assert isinstance(decided, FactArrived)
    assert decided.version.order.reviewed_at == decided.received_at
    assert (last.key, last.shard) == (PATIENT.encode(), readable.shard)
