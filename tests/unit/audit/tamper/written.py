"""A log as workers write it, to be tampered with: outputs with their places, tree heads, and the archive of both."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.archive.writing import SEGMENT_BYTES_MAX, writing
from pv_stream.audit.tamper.checking import Finding, Known, ShardCheck, check_shard
from pv_stream.audit.tamper.entries import COVERED, TREE_HEADS, open_ledgers
from pv_stream.ledger.chain import Ledger, entry_hash, extended
from pv_stream.ledger.heads import TreeHead, signed

ALERTS, RECURRENCES, ACTIONS, LETTERS = COVERED
SHARDS = 2
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
ANOTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


@dataclass
class Written:
    """Hold the records of each topic and shard as they can be changed at will."""

    records: dict[tuple[str, int], list[ArchivedRecord]] = field(
        default_factory=lambda: {
            (topic, shard): [] for topic in (*COVERED, TREE_HEADS) for shard in range(SHARDS)
        }
    )
    ledgers: list[Ledger] = field(default_factory=lambda: [Ledger()] * SHARDS)

    def transaction(
        self,
        shard: int,
        *outputs: tuple[str, str],
        key: Ed25519PrivateKey | None = KEY,
        head: bool = True,
    ) -> None:
        """Write outputs (topic, key) of a shard, and the tree head after them."""
        ledger = self.ledgers[shard]
        made = []
        for number, (topic, name) in enumerate(outputs, start=ledger.size):
            value = json.dumps(
                {"alert_id": name, "record_id": f"{name}-{number}", "tier": "warning"}
            ).encode()
            made.append((topic, name.encode(), value, (("ce_id", f"{shard}-{number}-0".encode()),)))
        leaves = [
            entry_hash(topic, shard, record_key, value, headers) for topic, record_key, value, headers in made
        ]
        done = extended(ledger, leaves)
        for (topic, record_key, value, headers), places in zip(made, done.headers, strict=True):
            self.append(topic, shard, record_key, value, (*headers, *places))
        self.ledgers[shard] = done.ledger
        if head:
            self.head(shard, key)

    def head(self, shard: int, key: Ed25519PrivateKey | None = KEY) -> None:
        """Write the tree head of a shard as it stands."""
        head = self.head_of(shard, key)
        self.append(TREE_HEADS, shard, head.origin.encode(), head.to_bytes(), ())

    def head_of(self, shard: int, key: Ed25519PrivateKey | None = KEY) -> TreeHead:
        """Return the tree head of a shard as it stands."""
        ledger = self.ledgers[shard]
        head = TreeHead(
            f"pv.clinical.events.v1/{shard}", ledger.size, ledger.root, ledger.link, 10 * ledger.size
        )
        return signed(head, key)

    def append(
        self,
        topic: str,
        shard: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes | None], ...],
    ) -> None:
        """Append one record behind the others, with a gap of a marker."""
        there = self.records[topic, shard]
        position = there[-1].position + 2 if there else 0
        there.append(ArchivedRecord(position, 1_700_000_000_000, key, headers, value))

    def change(self, topic: str, shard: int, place: int, **fields: object) -> None:
        """Change fields of one record."""
        there = self.records[topic, shard]
        there[place] = replace(there[place], **fields)  # type: ignore[arg-type]

    def archive(self, folder: Path) -> Path:
        """Write the archive, whose own digests are right whatever was changed before."""
        for topic in (*COVERED, TREE_HEADS):
            with writing(folder / f"t1.{topic}", topic=f"t1.{topic}", shard_count=SHARDS) as writer:
                for shard in range(SHARDS):
                    records = self.records[topic, shard]
                    end = records[-1].position + 2 if records else 0
                    writer.append(shard, records, first=0, end=end, segment_bytes_max=SEGMENT_BYTES_MAX)
                writer.finish()
        return folder

    def check(
        self,
        folder: Path,
        shard: int = 0,
        *,
        elsewhere: tuple[TreeHead, ...] = (),
        keys: tuple[Ed25519PrivateKey, ...] = (KEY,),
    ) -> ShardCheck:
        """Archive, and check one shard."""
        ledgers = open_ledgers(self.archive(folder))
        return check_shard(
            ledgers,
            shard,
            elsewhere=[Known(head, "the second place") for head in elsewhere],
            public_keys=[key.public_key() for key in keys],
        )


def some_written(*, key: Ed25519PrivateKey | None = KEY) -> Written:
    """Return a log of two shards: in shard 0 ten records in four transactions, in shard 1 three."""
    written = Written()
    written.transaction(0, (ALERTS, "al_1"), (ALERTS, "al_2"), (LETTERS, "dl_1"), key=key)
    written.transaction(0, (ACTIONS, "al_1"), (ALERTS, "al_1"), key=key)
    written.transaction(1, (ALERTS, "al_9"), (LETTERS, "dl_9"), (ALERTS, "al_9"), key=key)
    written.transaction(0, (RECURRENCES, "re_1"), key=key)
    written.transaction(0, (ALERTS, "al_3"), (ALERTS, "al_4"), (ALERTS, "al_2"), (LETTERS, "dl_2"), key=key)
    return written


def kinds(found: ShardCheck) -> list[str]:
    """Return the kinds of what was found, in order."""
    return [finding.kind.value for finding in found.findings]


def only(found: ShardCheck) -> Finding:
    """Return the one finding."""
    (finding,) = found.findings
    return finding
