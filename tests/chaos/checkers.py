"""What must be true of the topics after a run, decided from the topics alone.

Nothing here is shared with the runtime: the topics are read with another client, and the bytes that should be there
come from the installed commands `pv-stream archive` and `pv-stream replay`. The states, which a replay does not
write, are the one exception; `expected_states` says how they are made.

Every checker takes plain values and returns findings, so that each can be shown to find what it is for.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

_SHOWN: Final = 3
#: What a log must have led to, or that nothing of it was lost would say nothing.
NEEDED: Final = (
    "alerts",
    "cases",
    "recurrences",
    "dead_letters",
    "transfers",
    "clock records",
    "states",
    "state segments",
    "segments taken away",
)
_CLASSES_MIN: Final = 2


#: The check that finds a run in which there was nothing to lose: a fault of the run, not of the runtime.
PROVES_NOTHING: Final = "proves nothing"


@dataclass(frozen=True, slots=True)
class Finding:
    """Say which check found something, and what."""

    check: str
    detail: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what a reader of committed records sees of one record."""

    shard: int
    position: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """Hold one checkpoint record, in the order of the state topic."""

    shard: int
    next_position: int
    partition_count: int


def lost_and_duplicated(live: Sequence[bytes], expected: Sequence[bytes]) -> tuple[int, int]:
    """Return how many expected values are missing, and how many there are too many."""
    there, wanted = Counter(live), Counter(expected)
    return (wanted - there).total(), (there - wanted).total()


def check_outputs(stream: str, live: Sequence[bytes], expected: Sequence[bytes]) -> list[Finding]:
    """Compare a topic with the file of the replay, byte for byte and in order."""
    lost, duplicated = lost_and_duplicated(live, expected)
    findings = []
    if lost:
        findings.append(Finding("lost", f"{stream}: {lost} of {len(expected)} records are missing"))
    if duplicated:
        findings.append(
            Finding(
                "duplicated", f"{stream}: {duplicated} records that the replay does not have, or not again"
            )
        )
    if not findings and list(live) != list(expected):
        at = next(
            index for index, (one, other) in enumerate(zip(live, expected, strict=True)) if one != other
        )
        findings.append(Finding("order", f"{stream}: record {at} is another than in the replay"))
    return findings


def check_causes(stream: str, records: Iterable[Seen]) -> list[Finding]:
    """Compare each output's place in its topic with that of its cause in the log: same shard, same order, once."""
    last: dict[int, tuple[int, int]] = {}
    for record in records:
        shard, position, ordinal = (int(part) for part in record.headers["ce_id"].split(b"-"))
        if shard != record.shard:
            detail = f"{stream}: an output of shard {shard} stands in partition {record.shard}"
            return [Finding("misplaced", detail)]
        if (position, ordinal) <= last.get(shard, (-1, -1)):
            detail = f"{stream}: shard {shard} tells of position {position}.{ordinal} after {last[shard]}"
            return [Finding("cause", detail)]
        last[shard] = position, ordinal
    return []


def check_ledger(outputs: Mapping[str, Sequence[Seen]], heads: Iterable[Seen]) -> list[Finding]:
    """See that each shard's outputs are numbered without a gap, chained, and stand under its tree heads."""
    entries: dict[int, dict[int, tuple[bytes, str]]] = {}
    for topic, records in outputs.items():
        for record in records:
            of_shard = entries.setdefault(record.shard, {})
            number = int(record.headers["pv_ledger_index"])
            if number in of_shard:
                return [Finding("ledger", f"shard {record.shard}: two outputs are number {number}")]
            of_shard[number] = _leaf(topic, record), record.headers["pv_ledger_link"].decode()
    links: dict[int, list[str]] = {}
    for shard, of_shard in entries.items():
        link = bytes(32)
        for number in range(len(of_shard)):
            if number not in of_shard:
                return [Finding("ledger", f"shard {shard}: no output is number {number}")]
            leaf, said = of_shard[number]
            link = hashlib.sha256(b"\x02" + link + leaf).digest()
            if link.hex() != said:
                return [Finding("ledger", f"shard {shard}: the link of output {number} does not fit")]
            links.setdefault(shard, []).append(said)
    return _check_heads(entries, links, heads)


def _check_heads(
    entries: Mapping[int, Mapping[int, tuple[bytes, str]]],
    links: Mapping[int, Sequence[str]],
    heads: Iterable[Seen],
) -> list[Finding]:
    last: dict[int, Mapping[str, Any]] = {}
    for record in heads:
        head = json.loads(record.value or b"")
        size, before = head["size"], last.get(record.shard, {"size": 0})["size"]
        if not before < size <= len(links.get(record.shard, ())):
            return [Finding("ledger", f"shard {record.shard}: a tree head says {size}, after {before}")]
        if head["link"] != links[record.shard][size - 1]:
            return [Finding("ledger", f"shard {record.shard}: the tree head of {size} has another link")]
        last[record.shard] = head
    for shard, of_shard in entries.items():
        if shard not in last or last[shard]["size"] != len(of_shard):
            return [Finding("ledger", f"shard {shard}: no tree head covers all {len(of_shard)} outputs")]
        if last[shard]["root"] != _root([of_shard[number][0] for number in range(len(of_shard))]).hex():
            return [Finding("ledger", f"shard {shard}: the root of the last tree head does not fit")]
    return []


def _leaf(topic: str, record: Seen) -> bytes:
    parts = [topic.encode(), str(record.shard).encode(), record.key, record.value]
    for name, content in record.headers.items():
        if not name.startswith("pv_ledger"):
            parts += [name.encode(), content]
    counted = (b"\xff" * 4 if part is None else len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"\x00" + b"".join(counted)).digest()


def _root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def check_input(
    written: Sequence[tuple[int, bytes]], ghosts: Iterable[bytes], log: Iterable[Seen]
) -> list[Finding]:
    """See that the log holds everything that was written (shard, value), and nothing that was aborted."""
    there = Counter((record.shard, record.value) for record in log)
    values = {value for _, value in there}
    findings = []
    if missing := sum(1 for each in written if each not in there):
        findings.append(Finding("input lost", f"{missing} of {len(written)} events are not in the log"))
    if seen := sum(1 for ghost in ghosts if ghost in values):
        findings.append(Finding("aborted input", f"{seen} events of aborted transactions are in the log"))
    return findings


def check_states(
    live: Mapping[tuple[int, bytes], bytes], expected: Mapping[tuple[int, bytes], bytes]
) -> list[Finding]:
    """Compare the last state of each key of each shard."""
    findings = []
    if missing := sorted(expected.keys() - live.keys()):
        findings.append(Finding("state lost", f"{len(missing)} keys, as {_some(missing)}"))
    if extra := sorted(live.keys() - expected.keys()):
        findings.append(Finding("state of nobody", f"{len(extra)} keys, as {_some(extra)}"))
    if wrong := sorted(key for key in live.keys() & expected.keys() if live[key] != expected[key]):
        findings.append(Finding("wrong state", f"{len(wrong)} of {len(expected)} keys, as {_some(wrong)}"))
    return findings


def check_checkpoints(
    history: Iterable[Checkpointed],
    *,
    committed: Mapping[int, int],
    log_ends: Mapping[int, int],
    shards: int,
) -> list[Finding]:
    """See that checkpoints only grow, and that the last is the group's offset, behind the last record."""
    last: dict[int, int] = {}
    findings = []
    for each in history:
        if each.partition_count != shards:
            findings.append(Finding("checkpoint", f"shard {each.shard} counts {each.partition_count} shards"))
        if each.next_position < last.get(each.shard, 0):
            detail = f"shard {each.shard}: from {last[each.shard]} back to {each.next_position}"
            findings.append(Finding("checkpoint went back", detail))
        last[each.shard] = each.next_position
    for shard, end in log_ends.items():
        if last.get(shard, 0) != committed.get(shard, 0):
            detail = f"shard {shard}: checkpoint {last.get(shard)}, group {committed.get(shard)}"
            findings.append(Finding("offset is not the checkpoint", detail))
        if last.get(shard, 0) < end:
            detail = f"shard {shard}: checkpoint {last.get(shard)}, the log's last record is before {end}"
            findings.append(Finding("not processed", detail))
    return findings


def check_transactions(
    high_watermarks: Mapping[tuple[str, int], int], last_stable: Mapping[tuple[str, int], int]
) -> list[Finding]:
    """See that no transaction is open: every partition's last stable offset is its high watermark."""
    return [
        Finding("dangling transaction", f"{topic}/{shard}: stable to {last_stable[topic, shard]} of {mark}")
        for (topic, shard), mark in sorted(high_watermarks.items())
        if last_stable[topic, shard] != mark
    ]


def check_offsets(
    offsets: Mapping[int, Sequence[int]], checkpoints: Mapping[int, Sequence[int]]
) -> list[Finding]:
    """See that each offset that the group ever had is a checkpoint, that none went back, and that the last is the last.

    Both are by shard and in the order in which they were committed, from the first on. Not every checkpoint becomes the
    group's offset.
    """
    findings = []
    for shard in sorted(offsets.keys() | checkpoints.keys()):
        had, wanted = list(offsets.get(shard, ())), list(checkpoints.get(shard, ()))
        for before, after in pairwise(had):
            if after < before:
                findings.append(Finding("offset went back", f"shard {shard}: from {before} to {after}"))
        if strange := sorted(set(had) - set(wanted)):
            findings.append(
                Finding("offset is not the checkpoint", f"shard {shard}: {strange} never were one")
            )
        if had[-1:] != wanted[-1:]:
            detail = f"shard {shard}: the last offset {had[-1:]}, the last checkpoint {wanted[-1:]}"
            findings.append(Finding("offset is not the checkpoint", detail))
    return findings


def check_reach(counts: Mapping[str, int], classes: Iterable[str]) -> list[Finding]:
    """See that the log led to everything that a run is to prove something about; `classes` are of the recurrences."""
    reached = sorted(set(classes))
    findings = [Finding(PROVES_NOTHING, f"no {name} in this run") for name in NEEDED if not counts.get(name)]
    if len(reached) < _CLASSES_MIN:
        detail = (
            f"recurrences of {len(reached)} classes ({', '.join(reached)}), not of {_CLASSES_MIN} at least"
        )
        findings.append(Finding(PROVES_NOTHING, detail))
    return findings


def check_transfers(manifest: Mapping[str, object]) -> list[Finding]:
    """See that the log holds exactly the transfers that follow from it."""
    transfers = manifest["transfers"]
    assert isinstance(transfers, dict)
    return [
        Finding("transfers", f"{transfers[name]} {name.replace('_', ' ')}")
        for name in ("not_in_log", "only_in_log")
        if transfers.get(name)
    ]


def _some(keys: Sequence[tuple[int, bytes]]) -> str:
    return ", ".join(f"{shard}/{key.decode(errors='replace')}" for shard, key in keys[:_SHOWN])
