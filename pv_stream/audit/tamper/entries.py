"""What an archive holds of the ledgers: the outputs with their places, and the tree heads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.audit.archive.folder import MANIFEST, ArchivedTopic, ShardReader, read_topic
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.errors import DataError
from pv_stream.ledger.chain import INDEX_HEADER, LINK_HEADER, entry_hash
from pv_stream.ledger.heads import NotATreeHead, TreeHead

#: The topics that a ledger covers, by how their names end on every cluster.
COVERED: Final = ("pv.dress.alerts.v1", "pv.dress.recurrences.v1", "pv.dress.alert-actions.v1", "pv.dlq.v1")
TREE_HEADS: Final = "pv.tree-heads.v1"


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one output: where it stands, its leaf, and the place in the ledger that it claims, if it claims one."""

    topic: str
    shard: int
    position: int
    key: bytes | None
    leaf: bytes
    index: int | None
    link: bytes | None

    @property
    def name(self) -> str:
        """Return how a person finds the record."""
        key = "" if self.key is None else f" ({self.key.decode(errors='replace')})"
        return f"{self.topic}, shard {self.shard}, position {self.position}{key}"


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """Hold one record of the tree heads, or that it is none."""

    position: int
    head: TreeHead | None


@dataclass(frozen=True, slots=True)
class Ledgers:
    """Hold the archived topics of which the ledgers of a log consist."""

    outputs: Mapping[str, ArchivedTopic]
    heads: ArchivedTopic

    @property
    def shard_count(self) -> int:
        """Return how many ledgers there are."""
        return self.heads.shard_count

    def records(self, topic: str, shard: int) -> Iterator[tuple[ArchivedRecord, Entry]]:
        """Yield what a shard wrote to one topic, in the order of the topic."""
        for record in ShardReader((self.outputs[topic],), shard):
            yield record, entry_of(topic, shard, record)

    def tree_heads(self, shard: int) -> Iterator[HeadRecord]:
        """Yield the tree heads of a shard in their order."""
        return tree_heads(self.heads, shard)


def tree_heads(topic: ArchivedTopic, shard: int) -> Iterator[HeadRecord]:
    """Yield the tree heads of a shard in their order, and what stands there and is none."""
    for record in ShardReader((topic,), shard):
        try:
            head = TreeHead.from_bytes(record.value)
        except NotATreeHead:
            head = None
        yield HeadRecord(record.position, head)


def entry_of(topic: str, shard: int, record: ArchivedRecord) -> Entry:
    """Return what a record says of its place; headers that say none, or nonsense, are no place."""
    leaf = entry_hash(topic, shard, record.key, record.value, record.headers)
    headers = dict(record.headers)
    index, link = headers.get(INDEX_HEADER), headers.get(LINK_HEADER)
    try:
        placed = None if index is None or link is None else (int(index), bytes.fromhex(link.decode()))
    except ValueError:
        placed = None
    if placed is None or placed[0] < 0:
        return Entry(topic, shard, record.position, record.key, leaf, None, None)
    return Entry(topic, shard, record.position, record.key, leaf, *placed)


def open_ledgers(folder: Path) -> Ledgers:
    """Open what `pv-stream archive` wrote. Raises DataError when a topic of the ledgers is missing."""
    found = _open(folder, (*COVERED, TREE_HEADS))
    counts = {topic.shard_count for topic in found.values()}
    if len(counts) != 1:
        message = f"{folder} holds topics with different numbers of shards: they are not of one log"
        raise DataError(message)
    return Ledgers({topic: found[topic] for topic in COVERED}, found[TREE_HEADS])


def open_heads(folder: Path) -> ArchivedTopic:
    """Open the tree heads alone. Raises DataError when they are missing."""
    return _open(folder, (TREE_HEADS,))[TREE_HEADS]


def _open(folder: Path, topics: Sequence[str]) -> dict[str, ArchivedTopic]:
    if not folder.is_dir():
        message = f"{folder} is not a folder: name the one that `pv-stream archive --out` wrote"
        raise DataError(message)
    found: dict[str, ArchivedTopic] = {}
    for path in sorted(folder.iterdir()):
        for topic in topics:
            if path.name.endswith(topic) and (path / MANIFEST).is_file():
                found[topic] = read_topic(path)
    if missing := [topic for topic in topics if topic not in found]:
        message = (
            f"{folder} lacks {', '.join(missing)}: archive all topics (`pv-stream archive --out {folder}`); a log from "
            "before there were ledgers has none to check"
        )
        raise DataError(message)
    return found
