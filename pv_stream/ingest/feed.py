"""Files in, events out: each message read by the reader of its format, counted, and kept where it was refused."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from pv_stream.domain.events import Event
from pv_stream.errors import DataError
from pv_stream.ingest.canonical import read_canonical
from pv_stream.ingest.fhir.formulary import MEDICATIONS_BYTES_MAX, Formulary
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.icsr.openfda import read_openfda
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake, digest_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, RejectCode, rejected
from pv_stream.ingest.rejects import Position, RejectStore
from pv_stream.ingest.report import Report
from pv_stream.ingest.sources import (
    DOCUMENT_BYTES_MAX,
    FHIR_DOCUMENT_BYTES_MAX,
    Format,
    Record,
    fhir_documents,
    records,
)

_READERS: Final[dict[Format | None, Callable[[bytes, Intake], Outcome]]] = {
    Format.CANONICAL: read_canonical,
    Format.HL7V2: read_hl7v2,
    Format.FHIR: read_fhir,
    Format.E2B: read_e2b,
    Format.OPENFDA: read_openfda,
}
_UNKNOWN: Final = "unknown"


def _nobody(_form: Format | None, _position: Position, _outcome: Outcome) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Feed:
    """Read files with one intake into one report, and with `by_file` into one report for each file as well.

    The files are gone through twice: first for the Medications that orders elsewhere refer to, then for all.
    `on_message` is told of each message how it ended.
    """

    intake: Intake
    store: RejectStore
    record_bytes_max: int
    chosen: Format = Format.AUTO
    by_file: bool = False
    document_bytes_max: int = DOCUMENT_BYTES_MAX
    fhir_document_bytes_max: int = FHIR_DOCUMENT_BYTES_MAX
    fhir_medications_bytes_max: int = MEDICATIONS_BYTES_MAX
    on_message: Callable[[Format | None, Position, Outcome], None] = _nobody
    report: Report = field(default_factory=Report)
    files: list[tuple[Path, Report]] = field(default_factory=list)

    def read(
        self, paths: list[Path], on_progress: Callable[[int], None] = lambda _done: None
    ) -> Iterator[Event]:
        """Yield the events of files in their order; `on_progress` takes the bytes read so far, in both passes.

        Raises DataError when a file cannot be opened, or when there is no room for the Medications of all: both before
        the first event.
        """
        sizes = [check_readable(path) for path in paths]
        formulary = Formulary(self.fhir_medications_bytes_max)
        documents = self._fhir_documents(paths, sizes, on_progress)
        formulary.add_documents(documents, self.record_bytes_max, self.intake.fhir_server)
        intake = replace(self.intake, medication_at=formulary.medication_at)
        done = sum(sizes)
        for number, path in enumerate(paths, start=1):
            self.report.inputs += 1
            if self.by_file:
                self.files.append((path, Report(inputs=1)))
            for form, record in self._records(path):
                yield from self._read_record(form, Position(number, record), intake)
                done += record.size
                on_progress(done)

    def _fhir_documents(
        self, paths: list[Path], sizes: list[int], on_progress: Callable[[int], None]
    ) -> Iterator[bytes]:
        done = 0
        for path, size in zip(paths, sizes, strict=True):
            read = done
            try:
                for content in fhir_documents(
                    path, self.chosen, self.record_bytes_max, self.fhir_document_bytes_max
                ):
                    yield content
                    read += len(content)
                    on_progress(read)
            except OSError as error:
                message = f"{path}: {error.strerror}"
                raise DataError(message) from error
            done += size
            on_progress(done)

    def _records(self, path: Path) -> Iterator[tuple[Format | None, Record]]:
        try:
            yield from records(
                path,
                self.chosen,
                self.record_bytes_max,
                self.document_bytes_max,
                self.fhir_document_bytes_max,
            )
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise DataError(message) from error

    def _read_record(self, form: Format | None, position: Position, intake: Intake) -> list[Event]:
        record = position.record
        outcome = read_record(form, record, intake, self.record_bytes_max)
        for report in (self.report, self.files[-1][1]) if self.by_file else (self.report,):
            report.add(name_of(form), outcome)
        keep(self.store, position, outcome)
        self.on_message(form, position, outcome)
        return outcome.events


def name_of(form: Format | None) -> str:
    """Return how a report names a format."""
    return _UNKNOWN if form is None else form.value


def read_record(form: Format | None, record: Record, intake: Intake, record_bytes_max: int) -> Outcome:
    """Read one message, and note the batch segments around it. Never raises.

    A FHIR document that its source did not cut may be longer than `record_bytes_max`; its resources may not.
    """
    outcome = _read(form, record, intake, record_bytes_max)
    for segment in record.envelope:
        outcome.note(segment, Fate.CONTEXT)
    if record.counts_differ:
        outcome.ignored[IgnoreReason.BATCH_COUNT_DIFFERS] += record.counts_differ
    return outcome


def _read(form: Format | None, record: Record, intake: Intake, record_bytes_max: int) -> Outcome:
    if record.size == 0:
        return rejected(RejectCode.EMPTY)
    is_whole = form is Format.FHIR and record.size == len(record.content)
    if record.size > record_bytes_max and not is_whole:
        return rejected(RejectCode.TOO_LARGE)
    reader = partial(read_fhir, resource_bytes_max=record_bytes_max) if is_whole else _READERS.get(form)
    if reader is None:
        return rejected(RejectCode.UNKNOWN_FORMAT)
    try:
        return reader(record.content, intake)
    except Exception:  # noqa: BLE001 - a fault of ours in one message must not take the others with it; it is
        # counted, its bytes are kept, and the tests demand that no input ever leads here.
        return rejected(RejectCode.INTERNAL_ERROR)


def keep(store: RejectStore, position: Position, outcome: Outcome) -> None:
    """Keep a message that was refused, or that carries a held value. Raises DataError when it cannot be kept."""
    if outcome.rejects or outcome.holds:
        store.keep(position, digest_of(position.record.content), (*outcome.rejects, *outcome.holds))


def check_readable(path: Path) -> int:
    """Return how many bytes a file holds; raise DataError when it cannot be opened for reading."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        message = f"{path}: {error.strerror}. Name files that can be read."
        raise DataError(message) from None
