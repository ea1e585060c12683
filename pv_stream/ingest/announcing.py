"""What was refused, in the order in which it was kept, for whoever tells Kafka of it.

The index of the reject store is the queue: `announced` beside it holds how many of its bytes were told. So a message
is refused without waiting for Kafka, what could not be told is told later, also by another process, and what was told
when a process died is told again: the same record under the same key. One process at a time holds the lock of the
store. It knows no Kafka.
"""

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pv_stream.codec.canonical import canonical_json
from pv_stream.domain.ids import derive_id
from pv_stream.domain.refusals import Refusal
from pv_stream.errors import DataError
from pv_stream.ingest.rejects import INDEX_NAME, REJECTED, Kept, RejectStore, kept_of

#: Bytes of the index that one call takes: some thousand entries.
_INDEX_BYTES_MAX: Final = 512 * 1024
_ANNOUNCED_NAME: Final = "announced"
_FILE_MODE: Final = 0o600

#: (key, value) of one record; the key is that of the entry.
Record = tuple[bytes, bytes]


def refusal_id(kept: Kept) -> str:
    """Return the id under which people and topics know an entry of the reject store."""
    return derive_id("rej", kept.entry_id)


@dataclass(frozen=True, slots=True)
class Announcements:
    """Hand out what of a reject store was not told yet. `kept_by` says where its bytes are: the name of a listener."""

    store: RejectStore
    kept_by: str

    @contextmanager
    def next(self) -> Iterator[Sequence[Record]]:
        """Give the next records, none when all are told or another process is telling; told when the block ends well.

        Raises DataError when the store cannot be read or written.
        """
        file = self._locked()
        try:
            if file is None:
                yield ()
                return
            with _failing(self.store):
                begin = self._begin(file)
                records, end = self._after(begin)
            yield records
            if end != begin:
                with _failing(self.store):
                    os.pwrite(file, f"{end:020d}\n".encode(), 0)
        finally:
            if file is not None:
                os.close(file)

    def _locked(self) -> int | None:
        """Return the file of what was told, locked for this process, or None where there is nothing for it to tell."""
        with _failing(self.store):
            if not (self.store.folder / INDEX_NAME).is_file():
                return None
            file = os.open(self.store.folder / _ANNOUNCED_NAME, os.O_RDWR | os.O_CREAT, _FILE_MODE)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            return file

    def _begin(self, file: int) -> int:
        told = os.pread(file, 32, 0).strip()
        begin = int(told) if told.isdigit() else 0
        # An index that is shorter than what was told of it is another one.
        return begin if begin <= (self.store.folder / INDEX_NAME).stat().st_size else 0

    def _after(self, begin: int) -> tuple[list[Record], int]:
        """Return the next records, if there are any more, and where in the index the next ones begin."""
        with (self.store.folder / INDEX_NAME).open("rb") as index:
            while True:
                index.seek(begin)
                found = index.read(_INDEX_BYTES_MAX)
                whole = found[: found.rfind(b"\n") + 1]
                begin += len(whole)
                refused = (kept for kept in self._entries(whole) if kept.kind == REJECTED)
                records = [self._record(kept) for kept in refused]
                if records or not whole:
                    return records, begin

    def _entries(self, lines: bytes) -> Iterator[Kept]:
        """Yield the entries that lines of the index speak of; what settles one needs all that is known of it."""
        known: dict[str, Kept] | None = None
        for line in lines.splitlines():
            with suppress(ValueError, KeyError, TypeError):  # no entry of ours
                said = json.loads(line)
                if "settled" not in said:
                    yield kept_of(said)
                    continue
                if known is None:
                    known = {kept.entry_id: kept for kept in self.store.entries()}
                yield dataclasses.replace(known[said["settled"]], settled_at=said["at"])

    def _record(self, kept: Kept) -> Record:
        identity = refusal_id(kept)
        refusal = Refusal(
            schema_version=1,
            entry_id=identity,
            code=kept.code,
            value_digest=kept.message_digest,
            value_bytes=kept.size_bytes,
            path=kept.path,
            kept_by=self.kept_by,
            kept_at=kept.kept_at,
            settled_at=kept.settled_at,
        )
        return identity.encode(), canonical_json(dataclasses.asdict(refusal))


@contextmanager
def _failing(store: RejectStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"reject store {store.folder}: {error.strerror}. What was refused is there, and not told to Kafka."
        raise DataError(message) from error
