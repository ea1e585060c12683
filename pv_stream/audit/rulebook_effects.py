"""What another rulebook would have said of the same log: who gains an alert, who loses one, and which change does it.

The whole log is read under both rulebooks, whatever it activates itself. Then, for the patients who differ, each change
between the two is made alone: a change that alone makes a patient differ from the old rulebook is named as a reason.
Where none does, it takes several together.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pv_stream.audit.clock import TimedLog, settle
from pv_stream.audit.log import LogRecord, read_in_parts, read_log, survey
from pv_stream.audit.merged_records import with_merged
from pv_stream.audit.replay import ReplayPlan, fold_log
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
    """Hold where two rulebooks differ about one patient and kind of alert, and which changes do it alone."""

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
    summaries = []
    patients: set[bytes] = set()
    for done, rulebook in enumerate((old, new)):
        on_progress(done, passes)
        parts = (_seen(records, patients) for records in read_in_parts(plan.log))
        summaries.append(_summary(parts, plan, rulebook))
    differing = {key for key in _keys(summaries) if _told(summaries[0], key) != _told(summaries[1], key)}
    on_progress(2, passes)
    reasons = _reasons(plan, (old, new), units, differing, lambda done: on_progress(3 + done, passes))
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
        patients=len(patients),
        changes=tuple(units),
        differences=tuple(sorted(differences, key=lambda each: (_ORDER.index(each.what), each.patient_id))),
    )


_ORDER: Final = ("lost", "lowered", "fewer", "gained", "raised", "more")


def _seen(records: Iterable[LogRecord], patients: set[bytes]) -> Iterator[LogRecord]:
    for line in records:
        if line.record.key is not None:
            patients.add(line.record.key)
        yield line


def _summary(parts: Iterable[Iterable[LogRecord]], plan: ReplayPlan, rulebook: Rulebook) -> _Summary:
    """Return what a rulebook tells of a log that is read part by part; no shard stands in two parts."""
    summary: _Summary = {}
    for records in parts:
        for _, output in fold_log(TimedLog(records, plan.clock), replace(plan, rulebook=rulebook)):
            if output.stream is OutputStream.ALERTS:
                _note(json.loads(output.value), summary)
    return summary


def _note(alert: Mapping[str, Any], summary: _Summary) -> None:
    if alert["status"] not in _STANDING:
        return
    alerts = summary.setdefault((alert["patient_id"], alert["kind"]), {})
    known = alerts.get(alert["alert_id"], alert["tier"])
    alerts[alert["alert_id"]] = max(known, alert["tier"], key=_TIERS.index)


def _told(summary: _Summary, key: tuple[str, str]) -> Told | None:
    alerts = summary.get(key)
    return Told(len(alerts), max(alerts.values(), key=_TIERS.index)) if alerts else None


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


def _reasons(
    plan: ReplayPlan,
    rulebooks: tuple[Rulebook, Rulebook],
    units: Sequence[str],
    differing: set[tuple[str, str]],
    on_progress: Callable[[int], None],
) -> dict[tuple[str, str], list[str]]:
    """Return the changes that alone make each differing patient differ, on the records of these and merged patients."""
    reasons: dict[tuple[str, str], list[str]] = {key: [] for key in differing}
    if not differing:
        return reasons
    wanted = with_merged(plan.log, {patient.encode() for patient, _ in differing})
    records = [line for line in read_log(plan.log) if line.record.key is None or line.record.key in wanted]
    old, new = rulebooks
    before = _summary([records], plan, old)
    for done, unit in enumerate(units):
        on_progress(done)
        after = _summary([records], plan, with_one_change(old, new, unit))
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
