"""A dossier: what was known when, what was said, under which rulebook, who noted it, and what was corrected.

Of a patient, of one alert, or of a period. The log is read again record by record, so that what stands beside each
output is what stood in the log at that place. It holds pseudonyms, never a name, and neither the time nor the machine
on which it was made: the same log and selection give the same dossier.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any, Final

from pv_stream.audit.clock import ClockMode, TimedLog, settle
from pv_stream.audit.explain import follows_activations
from pv_stream.audit.fact_view import FactView, view_of
from pv_stream.audit.log import LogRecord, Survey, read_in_parts, survey
from pv_stream.audit.merged_records import with_merged
from pv_stream.audit.replay import ReplayPlan, fold_log
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import (
    Absorbed,
    Absorbs,
    AlertActed,
    ClockTicked,
    FactArrived,
    RulebookActivated,
    Separated,
)
from pv_stream.domain.facts import Fact, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import format_instant
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.engine.believe import believe
from pv_stream.engine.join import join_fact
from pv_stream.shard.fold import OutputStream, ShardFold

_SAID: Final = frozenset({OutputStream.ALERTS, OutputStream.RECURRENCES, OutputStream.DEAD_LETTERS})


class Deed(StrEnum):
    """Say what an entry of a dossier is."""

    KNOWN = "known"
    CORRECTED = "corrected"
    TAKEN_BACK = "taken_back"
    REPEATED = "repeated"
    SAID = "said"
    RECURRED = "recurred"
    NOTED = "noted"
    REFUSED = "refused"
    MERGED = "merged"
    IN_FORCE = "in_force"


@dataclass(frozen=True, slots=True)
class Selection:
    """Say what a dossier is about; `since` and `until` are ISO 8601 instants in UTC, the latter not included."""

    patient_id: str | None = None
    alert_id: str | None = None
    since: str | None = None
    until: str | None = None

    def takes(self, at: str) -> bool:
        """Tell whether an instant lies in the period."""
        # Without the Z a whole second stands before its fractions.
        instant = at.removesuffix("Z")
        is_since = self.since is None or self.since.removesuffix("Z") <= instant
        return is_since and (self.until is None or instant < self.until.removesuffix("Z"))


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one thing that happened, where in the log, and when it was known; `patient_id` is None for all patients.

    `fact` and `before` are what was learned and what it replaced, `output` is the record as it was published.
    """

    at: str
    shard: int
    position: int
    deed: Deed
    patient_id: str | None
    fact: FactView | None = None
    before: FactView | None = None
    output: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Dossier:
    """Hold a dossier with what it was made from; a what-if is under a rulebook that the log did not name."""

    selection: Selection
    input: Survey
    clock: str
    what_if: bool
    rulebooks: tuple[Mapping[str, str], ...]
    entries: tuple[Entry, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Return the patients that it is about."""
        return tuple(sorted({each.patient_id for each in self.entries if each.patient_id is not None}))

    def manifest(self) -> dict[str, Any]:
        """Return what it was made from, in JSON's own types."""
        return {
            "dossier": 1,
            "selection": {
                name: value
                for name in ("patient_id", "alert_id", "since", "until")
                if (value := getattr(self.selection, name)) is not None
            },
            "input": {"digest": self.input.digest, "bytes": self.input.size_bytes},
            "engine_version": ENGINE_VERSION,
            "rulebooks": list(self.rulebooks),
            "clock": self.clock,
            "what_if": self.what_if,
            "entries": len(self.entries),
        }


def dossier_of(
    plan: ReplayPlan, selection: Selection, on_progress: Callable[[int], None] = lambda _: None
) -> Dossier:
    """Return the dossier of a selection, in the order of the log.

    Of a period the log is read twice: first for who was told something in it. So only what was known of those is kept.
    """
    found = survey(plan.log)
    mode = settle(plan.clock, found)
    progress: Callable[[int], None] = on_progress
    if selection.patient_id is not None:
        # Of a merged patient, the other records are part of what was known.
        read = _family(plan, found, {selection.patient_id})
        subject = _Subject(read)
    else:
        subject = _told_in(selection, plan, mode, lambda done: on_progress(done // 2))
        progress = partial(_in_second_half, on_progress, found.size_bytes)
        read = _family(plan, found, subject.patients)
    keys = {None, *(each.encode() for each in read)}
    reader = _Reader(plan, selection, subject)
    reads_all = follows_activations(plan, found)
    for part in read_in_parts(plan.log):
        for line in TimedLog(part, mode):
            if reads_all or line.record.key in keys or subject.names(line):
                reader.take(line)
            progress(line.bytes_read)
        reader.end_part()
    return Dossier(
        selection, found, mode.value, plan.what_if, tuple(reader.rulebooks.values()), tuple(reader.entries)
    )


def _in_second_half(on_progress: Callable[[int], None], size_bytes: int, done: int) -> None:
    on_progress((size_bytes + done) // 2)


def _family(plan: ReplayPlan, found: Survey, patients: Collection[str]) -> frozenset[str]:
    """Return patients with every record that was ever merged with one of theirs."""
    if not found.merges:
        return frozenset(patients)
    return frozenset(key.decode() for key in with_merged(plan.log, [each.encode() for each in patients]))


@dataclass(frozen=True, slots=True)
class _Subject:
    """Hold whom a dossier is about, and where records stand that were refused: whose they are, nobody may know."""

    patients: frozenset[str]
    refused: frozenset[tuple[int, int]] = frozenset()

    def names(self, line: LogRecord) -> bool:
        """Tell whether a record was refused."""
        return (line.shard, line.record.position) in self.refused


def _told_in(
    selection: Selection, plan: ReplayPlan, mode: ClockMode, on_progress: Callable[[int], None]
) -> _Subject:
    """Return who was told something in a period; who was not is left out."""
    patients: set[str] = set()
    refused: set[tuple[int, int]] = set()
    for part in read_in_parts(plan.log):
        for shard, output in fold_log(_telling(TimedLog(part, mode), on_progress), plan):
            if output.stream is OutputStream.DEAD_LETTERS:
                refused.add((shard, output.position))
            elif output.stream is OutputStream.ALERTS:
                alert = json.loads(output.value)
                if selection.takes(alert["as_of"]):
                    patients.add(alert["patient_id"])
    return _Subject(frozenset(patients), frozenset(refused))


def _telling(lines: Iterable[LogRecord], on_progress: Callable[[int], None]) -> Iterator[LogRecord]:
    for line in lines:
        on_progress(line.bytes_read)
        yield line


@dataclass(slots=True)
class _Reader:
    plan: ReplayPlan
    selection: Selection
    subject: _Subject
    entries: list[Entry] = field(default_factory=list)
    rulebooks: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _folds: dict[int, ShardFold] = field(default_factory=dict)
    _facts: dict[tuple[str, FactKey], Fact] = field(default_factory=dict)

    def take(self, line: LogRecord) -> None:
        """Note what a record says, and what was said because of it."""
        if line.shard not in self._folds:
            self._folds[line.shard] = self.plan.new_fold(line.shard)
        fold = self._folds[line.shard]
        self._keep(self._heard(line))
        run = fold.process((line.record,))
        fold.commit(run)
        for output in run.outputs:
            if output.stream in _SAID:
                self._keep((self._said(line, output.stream, json.loads(output.value)),))

    def end_part(self) -> None:
        """Note which rulebooks were used, and let go of the states."""
        for shard in sorted(self._folds):
            for book in self._folds[shard].rulebooks_used:
                self.rulebooks[book.digest] = {"version": book.version, "digest": book.digest}
        self._folds.clear()

    def _keep(self, entries: Iterable[Entry]) -> None:
        self.entries += (
            each
            for each in entries
            if self._is_asked(each) and self._is_of_period(each) and self._is_of_alert(each)
        )

    def _is_asked(self, entry: Entry) -> bool:
        """Tell whether an entry is about whom is asked for; whose an unreadable record was, nobody knows."""
        if entry.patient_id is not None:
            return entry.patient_id in self.subject.patients
        return entry.deed is not Deed.REFUSED or self.selection.patient_id is None

    def _is_of_period(self, entry: Entry) -> bool:
        """Tell whether an entry is of the period; before its shard's first clock record nobody knows when it was."""
        return not entry.at or self.selection.takes(entry.at)

    def _is_of_alert(self, entry: Entry) -> bool:
        """Tell whether an entry is of the alert that is asked for: what it said, and all that was known."""
        wanted = self.selection.alert_id
        named = None if entry.output is None else entry.output.get("alert_id")
        return wanted is None or named in {None, wanted}

    def _heard(self, line: LogRecord) -> Iterator[Entry]:
        event = decode_event(line.record.value)
        match event:
            case FactArrived() if event.patient_id in self.subject.patients:
                yield self._learned(line, event)
            case AlertActed():
                output = {
                    "alert_id": event.alert_id,
                    "action": event.action.value,
                    "by": event.actor,
                    "reason": event.reason,
                    "drugs": list(event.drugs),
                    "revision": event.seen_revision,
                    "tier": event.seen_tier.name.lower(),
                }
                yield _entry(
                    line, format_instant(event.received_at), Deed.NOTED, event.patient_id, output=output
                )
            case Absorbed() | Absorbs() | Separated():
                other = event.survivor if isinstance(event, Absorbed) else event.prior
                output = {"identity": type(event).__name__.lower(), "other": other}
                yield _entry(
                    line, format_instant(event.received_at), Deed.MERGED, event.patient_id, output=output
                )
            case RulebookActivated():
                output = {"rulebook": event.rulebook_digest, "engine_version": event.engine_version}
                yield _entry(line, self._clock(line.shard), Deed.IN_FORCE, None, output=output)
            case ClockTicked() | _:
                return

    def _learned(self, line: LogRecord, event: FactArrived) -> Entry:
        version = believe(event.version, self._folds[line.shard].rulebook)
        place = event.patient_id, version.key
        before = self._facts.get(place)
        now = join_fact(before, version)
        self._facts[place] = now
        statement = version.statement
        view = view_of(version.key, replace(now, order=version.order), statement, version.provenance)
        if before is None:
            deed = Deed.TAKEN_BACK if isinstance(statement.content, Retracted) else Deed.KNOWN
        elif now == before:
            deed = Deed.REPEATED
        else:
            deed = Deed.TAKEN_BACK if isinstance(statement.content, Retracted) else Deed.CORRECTED
        old = None if before is None else view_of(version.key, before, *before.statements[0])
        at = format_instant(event.received_at)
        return _entry(line, at, deed, event.patient_id, fact=view, before=old if deed in _REPLACING else None)

    def _said(self, line: LogRecord, stream: OutputStream, value: Mapping[str, Any]) -> Entry:
        deed = {OutputStream.ALERTS: Deed.SAID, OutputStream.RECURRENCES: Deed.RECURRED}.get(
            stream, Deed.REFUSED
        )
        at = value.get("as_of") or self._clock(line.shard)
        return _entry(line, at, deed, value.get("patient_id"), output=value)

    def _clock(self, shard: int) -> str:
        clock = self._folds[shard].clock
        return "" if clock is None else format_instant(clock)


_REPLACING: Final = frozenset({Deed.CORRECTED, Deed.TAKEN_BACK})


def _entry(  # noqa: PLR0913 - one argument for each field
    line: LogRecord,
    at: str,
    deed: Deed,
    patient_id: str | None,
    *,
    fact: FactView | None = None,
    before: FactView | None = None,
    output: Mapping[str, Any] | None = None,
) -> Entry:
    return Entry(at, line.shard, line.record.position, deed, patient_id, fact, before, output)


def alerts_said(entries: Sequence[Entry]) -> dict[str, Mapping[str, Any]]:
    """Return the last revision of each alert that was said."""
    said = (each.output for each in entries if each.deed is Deed.SAID and each.output is not None)
    return {alert["alert_id"]: alert for alert in said}
