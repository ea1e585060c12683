"""Compare the outputs of a shard with its ledger: each link, each tree head, and the heads that lie in another place.

One pass in the order of the ledger. A link tells which record was changed, as long as whoever did so left the links as
they were; whoever made the links anew cannot make the root of a signed head anew. What was cut off behind, heads and
all, leaves a ledger that is whole: only a head that was kept elsewhere tells.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pv_stream.audit.tamper.entries import Entry, Ledgers
from pv_stream.ledger.chain import NO_LINK, link_after
from pv_stream.ledger.heads import TreeHead, is_signed_by
from pv_stream.ledger.merkle import grown, root_of_peaks

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Kind(StrEnum):
    """Name what is wrong."""

    ALTERED = "altered"
    MISSING = "missing"
    OUT_OF_ORDER = "out of order"
    DOUBLED = "doubled"
    FOREIGN = "foreign"
    REWRITTEN = "rewritten"
    TRUNCATED = "truncated"
    BAD_HEAD = "bad tree head"
    BAD_SIGNATURE = "bad signature"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that is wrong: what, of which shard, and in words."""

    kind: Kind
    shard: int
    says: str


@dataclass(slots=True)
class ShardCheck:
    """Hold what was found of one shard.

    `records` are those in the ledger, `earlier` those from before it began, which nothing proves. The first `covered`
    stand under a tree head, the first `signed` under one whose signature was checked; `unproved` follow the last head.
    """

    shard: int
    origin: str | None = None
    records: int = 0
    earlier: int = 0
    heads: int = 0
    covered: int = 0
    signed: int = 0
    unproved: int = 0
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: Kind, says: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, self.shard, says))


@dataclass(frozen=True, slots=True)
class Known:
    """Hold a tree head and where it was kept."""

    head: TreeHead
    place: str


def check_shard(
    ledgers: Ledgers,
    shard: int,
    *,
    elsewhere: Sequence[Known] = (),
    public_keys: "Sequence[Ed25519PublicKey]" = (),
) -> ShardCheck:
    """Check one shard; `elsewhere` are the heads of it that were kept in another place.

    Without public keys no signature is checked. Raises DataError for a damaged archive.
    """
    check = ShardCheck(shard)
    known = [*_heads(ledgers, check, public_keys), *_kept(elsewhere, check, public_keys)]
    known.sort(key=lambda each: each.head.size)
    walk = _Walk(check, known, with_keys=bool(public_keys))
    streams = [_in_order(ledgers, topic, check) for topic in ledgers.outputs]
    for entry in heapq.merge(*streams, key=lambda each: each.index or 0):
        walk.take(entry)
    walk.end()
    return check


def _heads(ledgers: Ledgers, check: ShardCheck, public_keys: "Sequence[Ed25519PublicKey]") -> Iterator[Known]:
    """Yield the heads of the topic that can be believed."""
    size, origin = 0, check.origin
    for record in ledgers.tree_heads(check.shard):
        place = f"tree head at position {record.position}"
        head = record.head
        check.heads += 1
        if head is None:
            check.find(Kind.BAD_HEAD, f"{place}: it cannot be read")
            continue
        origin = check.origin = origin or head.origin
        if head.origin != origin or not head.origin.endswith(f"/{check.shard}"):
            check.find(Kind.BAD_HEAD, f"{place}: it is of another log or shard, {head.origin}")
            continue
        if head.size <= size:
            check.find(Kind.BAD_HEAD, f"{place}: it says {head.size:,} records after one that said {size:,}")
        size = max(size, head.size)
        if _is_signed(head, place, check, public_keys):
            yield Known(head, place)


def _kept(
    elsewhere: Iterable[Known], check: ShardCheck, public_keys: "Sequence[Ed25519PublicKey]"
) -> Iterator[Known]:
    for each in elsewhere:
        if check.origin is not None and each.head.origin != check.origin:
            check.find(
                Kind.BAD_HEAD, f"{each.place}: it is of another log, {each.head.origin}, not {check.origin}"
            )
        elif _is_signed(each.head, each.place, check, public_keys):
            yield each


def _is_signed(
    head: TreeHead, place: str, check: ShardCheck, public_keys: "Sequence[Ed25519PublicKey]"
) -> bool:
    """Tell whether a head counts; without keys each does."""
    if not public_keys:
        return True
    if is_signed_by(head, public_keys):
        return True
    why = "it is not signed" if head.signature is None else "none of the given keys made its signature"
    check.find(Kind.BAD_SIGNATURE, f"{place} ({head.size:,} records): {why}")
    return False


def _in_order(ledgers: Ledgers, topic: str, check: ShardCheck) -> Iterator[Entry]:
    """Yield the entries of one topic that claim a place, each after the one before."""
    last = -1
    for _, entry in ledgers.records(topic, check.shard):
        if entry.index is None:
            if last < 0:
                check.earlier += 1
            else:
                check.find(Kind.FOREIGN, f"{entry.name}: it has no place in the ledger")
        elif entry.index <= last:
            kind = Kind.DOUBLED if entry.index == last else Kind.OUT_OF_ORDER
            check.find(kind, f"{entry.name}: it is number {entry.index:,}, after number {last:,}")
        else:
            last = entry.index
            yield entry


class _Walk:
    """Go along the ledger of one shard; after the first break only links are compared, for no root can be right."""

    def __init__(self, check: ShardCheck, known: Sequence[Known], *, with_keys: bool) -> None:
        self._check = check
        self._with_keys = with_keys
        self._known = known
        self._next_head = 0
        self._end = known[-1].head.size if known else 0
        self._size = 0
        self._good = 0
        self._link = NO_LINK
        self._peaks: list[bytes] = []
        self._is_whole = True
        self._is_beyond = False

    def take(self, entry: Entry) -> None:
        """Take the next record of the ledger."""
        index, link = entry.index or 0, entry.link or NO_LINK
        if self._is_beyond:
            self._check.unproved += 1
            return
        if index < self._size:
            self._check.find(Kind.DOUBLED, f"{entry.name}: another record is number {index:,} as well")
            return
        if index > self._size:
            if self._size >= self._end:
                # Behind the last head the topics of an archive may end at different places.
                self._is_beyond = True
                self._check.unproved += 1
                return
            self._gap(index)
        elif link_after(self._link, entry.leaf) != link:
            self._is_whole = False
            self._check.find(
                Kind.ALTERED, f"{entry.name}: it is not the record that was written as number {index:,}"
            )
        self._link = link
        if self._is_whole:
            grown(index, self._peaks, entry.leaf)
        self._size = index + 1
        self._check.records += 1
        self._compare_heads()

    def end(self) -> None:
        """See that no head knows more records than there are, and count what no head stands for."""
        self._check.unproved += max(0, self._size - self._end)
        beyond = [each for each in self._known[self._next_head :] if each.head.size > self._size]
        if beyond:
            most = beyond[-1]
            self._check.find(
                Kind.TRUNCATED,
                f"{most.place} knows {most.head.size:,} records and {self._size:,} are there: the last are missing",
            )

    def _gap(self, index: int) -> None:
        self._is_whole = False
        numbers = (
            f"number {self._size:,} is" if index == self._size + 1 else f"{self._size:,} to {index - 1:,} are"
        )
        self._check.find(Kind.MISSING, f"{numbers} missing from the ledger of the shard")

    def _compare_heads(self) -> None:
        while self._next_head < len(self._known) and self._known[self._next_head].head.size <= self._size:
            known = self._known[self._next_head]
            self._next_head += 1
            if not self._is_whole:
                continue
            if known.head.root == root_of_peaks(self._peaks) and known.head.link == self._link:
                self._good = self._check.covered = known.head.size
                if self._with_keys:
                    self._check.signed = known.head.size
                continue
            self._is_whole = False
            self._check.find(
                Kind.REWRITTEN,
                f"{known.place} stands for other records than number {self._good:,} to {known.head.size - 1:,} that "
                "are there",
            )
