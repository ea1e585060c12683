"""A proof that one record stands in the ledger: what whoever has the public key checks, with no more than this file.

It holds the record, the hashes that lead from it to a tree head (RFC 6962, section 2.1.1), and on request those that
show that an earlier head, kept elsewhere, is a beginning of the same ledger (section 2.1.2).
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.tamper.entries import Entry, Ledgers, entry_of
from pv_stream.errors import DataError, UsageError
from pv_stream.ledger.heads import NotATreeHead, TreeHead, is_signed_by
from pv_stream.ledger.merkle import consistency_proof, inclusion_proof, is_consistent, is_included

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PROOF_VERSION: Final = 1
_PLACE_HEADER: Final = "ce_id"
_NAMES: Final = ("record_id", "alert_id")


@dataclass(frozen=True, slots=True)
class Proof:
    """Hold a record, the way from it to a head, and from an earlier head to that one."""

    topic: str
    shard: int
    record: ArchivedRecord
    head: TreeHead
    inclusion: tuple[bytes, ...]
    earlier: TreeHead | None = None
    consistency: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """Say what a proof proves."""

    is_included: bool
    is_consistent: bool | None
    is_signed: bool | None


def find_records(ledgers: Ledgers, name: str) -> list[tuple[ArchivedRecord, Entry]]:
    """Return the records of a name: a record_id, an alert_id (all its revisions), or a `ce_id`."""
    return [
        (record, entry)
        for shard in range(ledgers.shard_count)
        for topic in ledgers.outputs
        for record, entry in ledgers.records(topic, shard)
        if _has_name(record, name)
    ]


def prove(ledgers: Ledgers, record: ArchivedRecord, entry: Entry, *, since: TreeHead | None = None) -> Proof:
    """Return the proof of a record under the last tree head of its shard.

    Raises UsageError when the record is not in the ledger or no head covers it, DataError when the archive is not the
    one that the head stands for.
    """
    head = _last_head(ledgers, entry.shard)
    if entry.index is None or entry.index >= head.size:
        message = f"{entry.name}: no tree head covers it: archive again when one was written"
        raise UsageError(message)
    leaves = _leaves(ledgers, entry.shard, head.size)
    inclusion = inclusion_proof(leaves, entry.index)
    if not is_included(entry.leaf, entry.index, head.size, inclusion, head.root):
        message = (
            f"{entry.name}: the archive is not what its tree head stands for: run `pv-stream audit verify`"
        )
        raise DataError(message)
    consistency: Sequence[bytes] = ()
    if since is not None:
        if not 0 < since.size <= head.size or since.origin != head.origin:
            message = (
                f"the earlier head ({since.origin}, {since.size:,} records) is no beginning of {head.origin}"
            )
            raise UsageError(message)
        consistency = consistency_proof(leaves, since.size)
    return Proof(entry.topic, entry.shard, record, head, tuple(inclusion), since, tuple(consistency))


def check(proof: Proof, public_keys: "Sequence[Ed25519PublicKey]") -> Checked:
    """Check a proof alone; without public keys no signature is checked."""
    entry, head, earlier = entry_of(proof.topic, proof.shard, proof.record), proof.head, proof.earlier
    return Checked(
        is_included=entry.index is not None
        and head.origin.endswith(f"/{proof.shard}")
        and is_included(entry.leaf, entry.index, head.size, proof.inclusion, head.root),
        is_consistent=None
        if earlier is None
        else earlier.origin == head.origin
        and is_consistent(earlier.size, head.size, proof.consistency, earlier.root, head.root),
        is_signed=None
        if not public_keys
        else is_signed_by(head, public_keys) and (earlier is None or is_signed_by(earlier, public_keys)),
    )


def to_json(proof: Proof) -> bytes:
    """Return a proof as a file."""
    record = proof.record
    fields = {
        "proof": PROOF_VERSION,
        "topic": proof.topic,
        "shard": proof.shard,
        "position": record.position,
        "timestamp_ms": record.timestamp_ms,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [[name, _text(content)] for name, content in record.headers],
        "tree_head": proof.head.note,
        "inclusion": [step.hex() for step in proof.inclusion],
        "earlier_tree_head": None if proof.earlier is None else proof.earlier.note,
        "consistency": [step.hex() for step in proof.consistency],
    }
    return f"{json.dumps(fields, indent=1)}\n".encode()


def from_json(content: bytes, *, name: str) -> Proof:
    """Read what `to_json` wrote. Raises DataError."""
    try:
        fields = json.loads(content)
        if fields["proof"] != PROOF_VERSION:
            raise NotATreeHead
        record = ArchivedRecord(
            int(fields["position"]),
            int(fields["timestamp_ms"]),
            _bytes(fields["key"]),
            tuple((str(each), _bytes(content)) for each, content in fields["headers"]),
            _bytes(fields["value"]),
        )
        earlier = fields["earlier_tree_head"]
        return Proof(
            str(fields["topic"]),
            int(fields["shard"]),
            record,
            TreeHead.from_note(fields["tree_head"]),
            tuple(map(bytes.fromhex, fields["inclusion"])),
            None if earlier is None else TreeHead.from_note(earlier),
            tuple(map(bytes.fromhex, fields["consistency"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = f"{name} is not a proof as `pv-stream audit prove` writes it"
        raise DataError(message) from None


def _leaves(ledgers: Ledgers, shard: int, size: int) -> list[bytes]:
    """Return the leaves of a ledger's first records; one that is missing is a leaf that fits nothing."""
    leaves = [b""] * size
    for topic in ledgers.outputs:
        for _, entry in ledgers.records(topic, shard):
            if entry.index is not None and entry.index < size:
                leaves[entry.index] = entry.leaf
    return leaves


def _last_head(ledgers: Ledgers, shard: int) -> TreeHead:
    heads = [record.head for record in ledgers.tree_heads(shard) if record.head is not None]
    if not heads:
        message = f"shard {shard} has no tree head in this archive: archive again when one was written"
        raise UsageError(message)
    return heads[-1]


def _has_name(record: ArchivedRecord, name: str) -> bool:
    if dict(record.headers).get(_PLACE_HEADER) == name.encode():
        return True
    # Most records do not hold the name at all, and need not be read.
    if record.value is None or name.encode() not in record.value:
        return False
    try:
        value = json.loads(record.value)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and any(value.get(field) == name for field in _NAMES)


def _text(content: bytes | None) -> dict[str, str] | str | None:
    """Return bytes as text where they are text, so that a person can read the file, else as base64."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _bytes(content: Any) -> bytes | None:
    if content is None:
        return None
    if isinstance(content, dict):
        return base64.b64decode(content["base64"], validate=True)
    return str(content).encode()
