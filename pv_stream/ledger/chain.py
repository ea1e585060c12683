"""The chain over the outputs of a shard: a number and a link for each record, and the tree that grows with it.

An entry is what a record says, wherever it is stored: topic, shard, key, value and headers. A link is the hash of the
link before it and of the entry, so it stands for everything before it. Both travel with the record, as headers.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pv_stream.ledger.merkle import grown, leaf_hash, root_of_peaks

#: The headers that the ledger adds to a record; no entry covers them.
INDEX_HEADER: Final = "pv_ledger_index"
LINK_HEADER: Final = "pv_ledger_link"
#: The link before the first record of a shard.
NO_LINK: Final = bytes(32)
_NONE: Final = b"\xff\xff\xff\xff"

Headers = Iterable[tuple[str, bytes | None]]


def entry_hash(topic: str, shard: int, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return the leaf of a record: 32 bytes. `topic` is its name without the prefix of a cluster."""
    parts: list[bytes | None] = [topic.encode(), b"%d" % shard, key, value]
    for name, content in headers:
        if name not in {INDEX_HEADER, LINK_HEADER}:
            parts += (name.encode(), content)
    # Each part is counted, so that no two records are one text.
    return leaf_hash(
        b"".join(_NONE if part is None else len(part).to_bytes(4, "big") + part for part in parts)
    )


def link_after(link: bytes, leaf: bytes) -> bytes:
    """Return the link of a record from the one before it and its own leaf."""
    return hashlib.sha256(b"\x02" + link + leaf).digest()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Hold what a shard's ledger has come to.

    `size` records; the last `link`; the `peaks` of their tree; and how many of them the last tree head covers.
    """

    size: int = 0
    link: bytes = NO_LINK
    peaks: tuple[bytes, ...] = ()
    covered: int = 0

    @property
    def root(self) -> bytes:
        """Return the root of the tree over all records."""
        return root_of_peaks(self.peaks)

    def to_fields(self) -> dict[str, Any]:
        """Return the ledger as plain JSON values."""
        return {
            "covered": self.covered,
            "link": self.link.hex(),
            "peaks": [peak.hex() for peak in self.peaks],
            "size": self.size,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Ledger":
        """Read what `to_fields` returned. Raises ValueError, KeyError or TypeError for anything else."""
        ledger = cls(
            int(fields["size"]),
            bytes.fromhex(fields["link"]),
            tuple(map(bytes.fromhex, fields["peaks"])),
            int(fields["covered"]),
        )
        if len(ledger.peaks) != ledger.size.bit_count() or not 0 <= ledger.covered <= ledger.size:
            raise ValueError(fields)
        return ledger


@dataclass(frozen=True, slots=True)
class Extended:
    """Hold a ledger with new records, and for each of them the headers that say its place."""

    ledger: Ledger
    headers: tuple[list[tuple[str, bytes]], ...]


def extended(ledger: Ledger, leaves: Sequence[bytes]) -> Extended:
    """Return the ledger after records with these leaves, in this order."""
    size, link, peaks = ledger.size, ledger.link, list(ledger.peaks)
    headers = []
    for leaf in leaves:
        link = link_after(link, leaf)
        headers.append([(INDEX_HEADER, b"%d" % size), (LINK_HEADER, link.hex().encode())])
        grown(size, peaks, leaf)
        size += 1
    return Extended(Ledger(size, link, tuple(peaks), ledger.covered), tuple(headers))
