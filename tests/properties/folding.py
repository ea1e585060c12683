"""Fold a file of records in a process of its own, and print the digest of every output and state.

Run as `python -m tests.properties.folding FILE`: one record for each line, `key TAB value`, `-` for no key.
"""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pv_stream.shard.fold import RawRecord
from tests.shards import new_shard

RUN_RECORDS = 250


def digest_of(records: Sequence[RawRecord]) -> str:
    """Return the SHA-256 of all outputs and final states of one shard, in the order in which they came."""
    shard, digest = new_shard(), hashlib.sha256()
    for first in range(0, len(records), RUN_RECORDS):
        run = shard.process(records[first : first + RUN_RECORDS])
        shard.commit(run)
        for out in run.outputs:
            _add(digest, (out.stream.value.encode(), out.key, out.value))
        for key, value in run.states:
            _add(digest, (key, value or b""))
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", parts: Iterable[bytes]) -> None:
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)


def read(path: Path) -> list[RawRecord]:
    """Read a file of records."""
    lines = path.read_bytes().split(b"\n")[:-1]
    pairs = [line.split(b"\t", 1) for line in lines]
    return [RawRecord(n, None if key == b"-" else key, value) for n, (key, value) in enumerate(pairs)]


def write(path: Path, records: Iterable[RawRecord]) -> None:
    """Write a file of records."""
    path.write_bytes(b"".join((r.key or b"-") + b"\t" + (r.value or b"") + b"\n" for r in records))


if __name__ == "__main__":
    sys.stdout.write(digest_of(read(Path(sys.argv[1]))))
