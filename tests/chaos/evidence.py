"""Collect what the checkers look at: topics through kafka-python, expected bytes through the installed commands."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from tests.chaos.checkers import (
    Checkpointed,
    Finding,
    Seen,
    check_causes,
    check_checkpoints,
    check_input,
    check_ledger,
    check_offsets,
    check_outputs,
    check_reach,
    check_states,
    check_transactions,
    check_transfers,
)
from tests.chaos.expected_states import expected_states
from tests.chaos.story import Entry

ROOT: Final = Path(__file__).parents[2]
EVENTS: Final = "pv.clinical.events.v1"
STATES: Final = "pv.state.v1"
CHECKPOINT: Final = b"checkpoint"
OFFSETS: Final = "__consumer_offsets"
TREE_HEADS: Final = "pv.tree-heads.v1"
RECURRENCES: Final = "pv.dress.recurrences.v1"
CASES: Final = "pv.dress.cases.v1"
#: The topics of outputs, and what the replay calls each.
FILE_OF: Final = {
    "pv.dress.alerts.v1": "alerts.jsonl",
    RECURRENCES: "recurrences.jsonl",
    CASES: "cases.jsonl",
    "pv.dress.alert-actions.v1": "actions.jsonl",
    "pv.dlq.v1": "dead_letters.jsonl",
}
_READ_SECONDS_MAX: Final = 180.0
_COMMAND_SECONDS_MAX: Final = 600.0


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold what was found, and how much of everything there was to find it in."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Topics:
    """Know where the topics of a run are."""

    servers: str
    prefix: str
    group: str
    shards: int

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic."""
        return [TopicPartition(f"{self.prefix}{topic}", shard) for shard in range(self.shards)]

    def read(self, topic: str) -> list[Seen]:
        """Return every committed record of a topic, shard by shard."""
        with self._consumer("read_committed") as consumer:
            ends = consumer.end_offsets(self.partitions(topic))
            return [seen for tp in self.partitions(topic) for seen in _read(consumer, tp, ends[tp])]

    def ends(self, isolation_level: str) -> dict[tuple[str, int], int]:
        """Return where each partition ends for readers of an isolation level."""
        with self._consumer(isolation_level) as consumer:
            partitions = [
                tp for topic in (EVENTS, STATES, TREE_HEADS, *FILE_OF) for tp in self.partitions(topic)
            ]
            found = consumer.end_offsets(partitions)
            return {(tp.topic, tp.partition): found[tp] for tp in partitions}

    def committed(self) -> dict[int, int]:
        """Return the group's offsets."""
        with self._consumer("read_committed", group_id=self.group) as consumer:
            return {tp.partition: consumer.committed(tp) or 0 for tp in self.partitions(EVENTS)}

    def offsets_ever(self) -> dict[int, list[int]]:
        """Return every offset that the group committed, by shard and in order, as the broker keeps them.

        Of the broker's own topic, which is compacted, only full segments lose records: no run fills one.
        """
        found: dict[int, list[int]] = {shard: [] for shard in range(self.shards)}
        with self._consumer("read_committed") as consumer:
            partitions = [
                TopicPartition(OFFSETS, number) for number in consumer.partitions_for_topic(OFFSETS) or ()
            ]
            ends = consumer.end_offsets(partitions)
            for tp in partitions:
                for seen in _read(consumer, tp, ends[tp]):
                    place = _place_of_offset(seen.key or b"")
                    if seen.value is not None and place[:2] == (self.group, f"{self.prefix}{EVENTS}"):
                        # After its version a value begins with the offset.
                        found[place[2]].append(int.from_bytes(seen.value[2:10], signed=True))
        return found

    def last_positions(self, since: Mapping[int, int]) -> dict[int, int]:
        """Return, of each shard that holds records from `since` on, the position after the last of them."""
        found = {}
        with self._consumer("read_committed") as consumer:
            ends = consumer.end_offsets(self.partitions(EVENTS))
            for tp in self.partitions(EVENTS):
                seen = list(_read(consumer, tp, ends[tp], since.get(tp.partition, 0)))
                if seen:
                    found[tp.partition] = seen[-1].position + 1
        return found

    def _consumer(self, isolation_level: str, **options: Any) -> Any:
        return closing(
            KafkaConsumer(
                bootstrap_servers=self.servers,
                isolation_level=isolation_level,
                enable_auto_commit=False,
                max_poll_records=5_000,
                **options,
            )
        )


def judge(topics: Topics, story: Sequence[Entry], directory: Path) -> Judged:
    """Run every checker on what the topics hold now; all workers are stopped."""
    archive, replayed = directory / "log.jsonl", directory / "replay"
    environment = {
        "PV_STREAM_BOOTSTRAP_SERVERS": topics.servers,
        "PV_STREAM_TOPIC_PREFIX": topics.prefix,
        "PV_STREAM_CONNECT_TIMEOUT_SECONDS": "60",
    }
    command("archive", "--out", str(archive), environment=environment)
    command("replay", str(archive), "--out", str(replayed), "--clock", "log", environment={})
    log = topics.read(EVENTS)
    findings = check_input(
        [(entry.shard, entry.value) for entry in story if not entry.is_aborted],
        [entry.value for entry in story if entry.is_aborted],
        log,
    )
    counts = {"input records": len(log), "ghosts": sum(entry.is_aborted for entry in story)}
    outputs = {}
    for topic, file in FILE_OF.items():
        live = outputs[topic] = topics.read(topic)
        expected = (replayed / file).read_bytes().splitlines()
        findings += check_outputs(topic, [record.value or b"" for record in live], expected)
        findings += check_causes(topic, live)
        counts[file.removesuffix(".jsonl")] = len(expected)
    covered = {topic: records for topic, records in outputs.items() if topic != CASES}
    findings += check_ledger(covered, topics.read(TREE_HEADS))
    manifest = json.loads((replayed / "manifest.json").read_bytes())
    findings += check_transfers(manifest)
    counts["transfers"] = manifest["transfers"]["records"]
    counts["clock records"] = manifest["input"]["clock_records"]
    findings += _judge_states(topics, log, counts)
    findings += check_transactions(topics.ends("read_uncommitted"), topics.ends("read_committed"))
    recurrences = (replayed / FILE_OF[RECURRENCES]).read_bytes().splitlines()
    classes = Counter(json.loads(value)["primary"] for value in recurrences)
    counts |= {f"{name} recurrences": count for name, count in sorted(classes.items())}
    findings += check_reach(counts, classes)
    return Judged(tuple(findings), counts)


def _judge_states(topics: Topics, log: Sequence[Seen], counts: dict[str, int]) -> list[Finding]:
    written = topics.read(STATES)
    history = [
        Checkpointed(each.shard, fields["next_position"], fields["partition_count"])
        for each in written
        if each.key == CHECKPOINT and (fields := json.loads(each.value or b"{}"))
    ]
    checkpoints: dict[int, list[int]] = {shard: [] for shard in range(topics.shards)}
    for each in history:
        checkpoints[each.shard].append(each.next_position)
    live = last_states(written)
    ends: dict[int, int] = {}
    for record in log:
        ends[record.shard] = max(record.position + 1, ends.get(record.shard, 0))
    expected = expected_states(log, shards=topics.shards)
    counts["states"], counts["transactions"] = len(expected), len(history)
    counts["state segments"] = sum(is_segment(key) for _, key in expected)
    counts["segments taken away"] = len(
        {(each.shard, each.key) for each in written if each.value is None and is_segment(each.key or b"")}
    )
    return [
        *check_states(live, expected),
        *check_checkpoints(history, committed=topics.committed(), log_ends=ends, shards=topics.shards),
        *check_offsets(topics.offsets_ever(), checkpoints),
    ]


def is_segment(key: bytes) -> bool:
    """Tell whether the key of a state record is of a part of a patient's state: the shard's own keys begin with `@`."""
    return b"@" in key[1:]


def last_states(written: Iterable[Seen]) -> dict[tuple[int, bytes], bytes]:
    """Return the last value of each key that is not the checkpoint; a record without a value takes its key away."""
    live: dict[tuple[int, bytes], bytes] = {}
    for each in written:
        if each.key is None or each.key == CHECKPOINT:
            continue
        if each.value is None:
            live.pop((each.shard, each.key), None)
        else:
            live[each.shard, each.key] = each.value
    return live


def _place_of_offset(key: bytes) -> tuple[str, str, int]:
    """Return group, topic and partition of a key of the broker's offsets; of another kind of key, nobody's.

    Kafka's OffsetCommitKey, version 0 or 1: a 16-bit version, two strings after their 16-bit lengths, 32 bits.
    """
    if int.from_bytes(key[:2]) > 1:
        return "", "", 0
    names, at = [], 2
    for _ in range(2):
        length = int.from_bytes(key[at : at + 2])
        names.append(key[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return names[0], names[1], int.from_bytes(key[at : at + 4])


def command(*arguments: str, environment: Mapping[str, str]) -> None:
    """Run an installed command, which must end with 0."""
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        [sys.executable, "-m", "pv_stream.cli", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment),
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"pv-stream {arguments[0]} ended with {done.returncode}: {done.stderr}"


def _read(consumer: Any, tp: TopicPartition, end: int, start: int | None = None) -> Iterable[Seen]:
    consumer.assign([tp])
    if start is None:
        consumer.seek_to_beginning(tp)
    else:
        consumer.seek(tp, start)
    deadline = time.monotonic() + _READ_SECONDS_MAX
    while consumer.position(tp) < end:
        assert time.monotonic() < deadline, f"{tp} could not be read to its end {end}"
        for record in consumer.poll(timeout_ms=200).get(tp, ()):
            if record.offset < end:
                yield Seen(tp.partition, record.offset, record.key, record.value, dict(record.headers or ()))
