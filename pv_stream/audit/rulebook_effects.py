"""What another rulebook would have said of the same log: who gains an alert, who loses one, and which change does it.

The whole log is read under both rulebooks, whatever it activates itself. Then, for the patients who differ, each change
between the two is made alone: a change that alone makes a patient differ from the old rulebook is named as a reason.
Where none does, it takes several together.

Patient records that are merged when the log ends are one person, under the pseudonym that survives, and an alert that
goes on under it is one alert. Merges do not depend on a rulebook.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from pv_stream.audit.clock import TimedLog, settle
from pv_stream.audit.log import LogRecord, read_in_parts, read_log, survey
from pv_stream.audit.merged_records import Persons, survivor_of, with_merged
from pv_stream.audit.replay import Folds, ReplayPlan, fold_log
from pv_stream.domain.ids import PatientId
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream

_TIERS: Final = ("info", "warning", "critical")
_STANDING: Final = frozenset({"raised", "revised"})
#: Rows that have a name; of a combination it is the first of its names.
_ROWS: Final = ("drugs", "combinations", "classes", "treatments")
_NUMBERS: Final = ("parameters", "defaults", "plausibility_of_counts")
_TABLES: Final = ("plausibility",)
_WHOLE: Final = ("engine_version",)
TOGETHER: Final = "several changes together"


@dataclass(frozen=True, slots=True)
class Told:
    """Hold what a patient is told of one kind of alert: how many, and the highest tier that one stood at."""

    alerts: int
    tier: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold where two rulebooks differ about one person and kind of alert, and which changes do it alone."""

    patient_id: str
    kind: str
    old: Told | None
    new: Told | None
    because: tuple[str, ...]

    @property
    def what(self) -> str:
        """Return gained, lost, raised, lowered, more or fewer."""
        if self.old is None or self.new is None:
            return "gained" if self.old is None else "lost"
        if self.old.tier != self.new.tier:
            return "raised" if _TIERS.index(self.new.tier) > _TIERS.index(self.old.tier) else "lowered"
        return "more" if self.new.alerts > self.old.alerts else "fewer"


@dataclass(frozen=True, slots=True)
class Side:
    """Hold what one rulebook told in all: alerts by kind and by the highest tier they stood at."""

    version: str
    digest: str
    patients: int
    alerts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Effects:
    """Hold both sides and every difference between them, in order of what it is and of the patient."""

    old: Side
    new: Side
    patients: int
    changes: tuple[str, ...]
    differences: tuple[Difference, ...]


#: The highest tier of each alert: (patient, kind) -> alert -> tier.
_Summary = dict[tuple[str, str], dict[str, str]]


@dataclass(slots=True)
class _Telling:
    """Collect what one rulebook tells: tiers by patient record, and which alerts each alert continues."""

    tiers: _Summary = field(default_factory=dict)
    continues: dict[str, set[str]] = field(default_factory=dict)

    def note(self, alert: Mapping[str, Any]) -> None:
        """Look at one revision."""
        if alert["continues"]:
            self.continues.setdefault(alert["alert_id"], set()).update(alert["continues"])
        if alert["status"] not in _STANDING:
            return
        alerts = self.tiers.setdefault((alert["patient_id"], alert["kind"]), {})
        known = alerts.get(alert["alert_id"], alert["tier"])
        alerts[alert["alert_id"]] = _highest((known, alert["tier"]))

    def by_person(self, into: Mapping[PatientId, PatientId]) -> _Summary:
        """Return the tiers by person, where each patient record went into the one that is named."""
        summary: _Summary = {}
        for (patient, kind), alerts in self.tiers.items():
            summary.setdefault((survivor_of(PatientId(patient), into.get), kind), {}).update(alerts)
        return {key: self._each_once(alerts) for key, alerts in summary.items()}

    def _each_once(self, alerts: Mapping[str, str]) -> dict[str, str]:
        groups: list[set[str]] = []
        for alert_id in alerts:
            group = {alert_id, *self.continues.get(alert_id, ())} & alerts.keys()
            for known in [each for each in groups if each & group]:
                groups.remove(known)
                group |= known
            groups.append(group)
        return {min(group): _highest(alerts[each] for each in group) for group in groups}


@dataclass(slots=True)
class _Records:
    """Collect the patient records of a log, and which of them were merged into which."""

    patients: set[bytes] = field(default_factory=set)
    into: dict[PatientId, PatientId] = field(default_factory=dict)
    _touched: set[PatientId] = field(default_factory=set)

    def passing(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        """Pass records on and look at their keys."""
        for line in records:
            if line.record.key is not None:
                self.patients.add(line.record.key)
                if b'"identity.' in (line.record.value or b""):
                    self._touched.add(PatientId(line.record.key.decode(errors="replace")))
            yield line

    def merged(self, persons: Persons) -> None:
        """Ask the folds of what passed what became of the records that something merged."""
        for patient in self._touched:
            if (into := persons.into(patient)) is not None:
                self.into[patient] = into

    @property
    def persons(self) -> int:
        """Return how many persons the records are of."""
        return len(
            {survivor_of(PatientId(each.decode(errors="replace")), self.into.get) for each in self.patients}
        )


def effects_of(
    plan: ReplayPlan,
    old: Rulebook,
    new: Rulebook,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Effects:
    """Return how a log differs under two rulebooks. `on_progress` is told how many passes of how many are done."""
    plan = replace(plan, clock=settle(plan.clock, survey(plan.log)), what_if=True)
    units = changed_units(old, new)
    passes = 3 + len(units)
    tellings = []
    found = _Records()
    for done, rulebook in enumerate((old, new)):
        on_progress(done, passes)
        tellings.append(_telling(read_in_parts(plan.log), plan, rulebook, found))
    summaries = [telling.by_person(found.into) for telling in tellings]
    differing = {key for key in _keys(summaries) if _told(summaries[0], key) != _told(summaries[1], key)}
    on_progress(2, passes)
    reasons = _reasons(
        plan, (old, new), units, differing, found.into, lambda done: on_progress(3 + done, passes)
    )
    differences = [
        Difference(
            *key, _told(summaries[0], key), _told(summaries[1], key), tuple(reasons[key]) or (TOGETHER,)
        )
        for key in sorted(differing)
    ]
    on_progress(passes, passes)
    return Effects(
        old=_side(old, summaries[0]),
        new=_side(new, summaries[1]),
        patients=found.persons,
        changes=tuple(units),
        differences=tuple(sorted(differences, key=lambda each: (_ORDER.index(each.what), each.patient_id))),
    )


_ORDER: Final = ("lost", "lowered", "fewer", "gained", "raised", "more")


def _telling(
    parts: Iterable[Iterable[LogRecord]], plan: ReplayPlan, rulebook: Rulebook, found: _Records
) -> _Telling:
    """Return what a rulebook tells of a log that is read part by part; no shard stands in two parts."""
    telling = _Telling()
    for records in parts:
        folds: Folds = {}
        log = TimedLog(found.passing(records), plan.clock)
        for _, output in fold_log(log, replace(plan, rulebook=rulebook), folds):
            if output.stream is OutputStream.ALERTS:
                telling.note(json.loads(output.value))
        found.merged(Persons(folds, plan.log.shard_count))
    return telling


def _highest(tiers: Iterable[str]) -> str:
    return max(tiers, key=_TIERS.index)


def _told(summary: _Summary, key: tuple[str, str]) -> Told | None:
    alerts = summary.get(key)
    return Told(len(alerts), _highest(alerts.values())) if alerts else None


def _keys(summaries: Iterable[_Summary]) -> set[tuple[str, str]]:
    return {key for summary in summaries for key in summary}


def _side(rulebook: Rulebook, summary: _Summary) -> Side:
    counts: dict[str, dict[str, int]] = {}
    for (_, kind), alerts in summary.items():
        of_kind = counts.setdefault(kind, dict.fromkeys(_TIERS, 0))
        for tier in alerts.values():
            of_kind[tier] += 1
    return Side(
        rulebook.version,
        rulebook.digest,
        len({patient for patient, _ in summary}),
        {kind: counts[kind] for kind in sorted(counts)},
    )


# Which change does it ---------------------------------------------------------------------------------------------


def _reasons(  # noqa: PLR0913 - all that was found so far
    plan: ReplayPlan,
    rulebooks: tuple[Rulebook, Rulebook],
    units: Sequence[str],
    differing: set[tuple[str, str]],
    into: Mapping[PatientId, PatientId],
    on_progress: Callable[[int], None],
) -> dict[tuple[str, str], list[str]]:
    """Return the changes that alone make each differing patient differ, on the records of these and merged patients."""
    reasons: dict[tuple[str, str], list[str]] = {key: [] for key in differing}
    if not differing:
        return reasons
    wanted = with_merged(plan.log, {patient.encode() for patient, _ in differing})
    records = [line for line in read_log(plan.log) if line.record.key is None or line.record.key in wanted]
    old, new = rulebooks

    def told_under(rulebook: Rulebook) -> _Summary:
        return _telling([records], plan, rulebook, _Records()).by_person(into)

    before = told_under(old)
    for done, unit in enumerate(units):
        on_progress(done)
        after = told_under(with_one_change(old, new, unit))
        for key in differing:
            if _told(before, key) != _told(after, key):
                reasons[key].append(unit)
    return reasons


def changed_units(old: Rulebook, new: Rulebook) -> list[str]:
    """Return what differs between two rulebooks, each a part that can be changed alone: `drugs.imatinib`."""
    units = [
        f"{table}.{number.name}"
        for table in _NUMBERS
        for number in fields(getattr(old, table))
        if _value(old, table, number.name) != _value(new, table, number.name)
    ]
    for table in _TABLES:
        before, after = getattr(old, table), getattr(new, table)
        units += [f"{table}.{key}" for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    for table in _ROWS:
        rows, others = _by_name(getattr(old, table)), _by_name(getattr(new, table))
        units += [
            f"{table}.{name}" for name in sorted({*rows, *others}) if rows.get(name) != others.get(name)
        ]
    return [*units, *(name for name in _WHOLE if getattr(old, name) != getattr(new, name))]


def _value(rulebook: Rulebook, table: str, name: str) -> Any:
    """Return a number without its source: another citation changes nothing."""
    return getattr(getattr(rulebook, table), name).value


def with_one_change(old: Rulebook, new: Rulebook, unit: str) -> Rulebook:
    """Return the old rulebook with one part of the new one; its digest names both."""
    table, _, name = unit.partition(".")
    changed: Any
    if table in _NUMBERS:
        changed = replace(getattr(old, table), **{name: getattr(getattr(new, table), name)})
    elif table in _TABLES:
        after = getattr(new, table)
        changed = {key: value for key, value in getattr(old, table).items() if key != name}
        changed |= {key: value for key, value in after.items() if key == name}
    elif table in _ROWS:
        rows = _by_name(getattr(old, table))
        other = _by_name(getattr(new, table)).get(name)
        kept = {key: row for key, row in rows.items() if key != name}
        changed = tuple((kept if other is None else {**rows, name: other}).values())
    else:
        changed = getattr(new, table)
    return replace(old, **{table: changed}, digest=f"{old.digest}+{unit}")


def _by_name(rows: Iterable[Any]) -> dict[str, Any]:
    return {getattr(row, "name", None) or row.names[0]: row for row in rows}
