"""Checking a scenario: run each case through the real fold, and say what was expected and what came.

Alerts, recurrences and dead letters must be the expected ones and no others; cases (the view of an episode) are
looked at only where a line names them. A field that a line does not choose may have any value.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pv_stream.audit.scenario import Case, Expected, Scenario, say_when
from pv_stream.audit.scenario_events import TimedRecord, check_drugs, name_of_patient, records_of
from pv_stream.audit.scenario_rulebooks import variant_of
from pv_stream.domain.times import Instant, parse_instant
from pv_stream.errors import DataError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, RawRecord, ShardFold

Wanted = str | tuple[str, ...] | Mapping[str, str]
Told = str | tuple[str, ...] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Came:
    """Hold one output of the fold, and when."""

    output: str
    name: str
    at: Instant
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold one disagreement: a line that did not come, one that came otherwise, or one that nobody expected."""

    expected: Expected | None
    came: Came | None
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the outcome of one case."""

    scenario: Scenario
    case: Case
    came: tuple[Came, ...]
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Tell whether everything expected came and nothing else."""
        return not self.differences


def check(scenario: Scenario, rulebook: Rulebook) -> list[Verdict]:
    """Run every case of a scenario. Raises DataError naming a line that cannot be said."""
    return [check_case(scenario, case, rulebook) for case in scenario.cases]


def check_case(scenario: Scenario, case: Case, rulebook: Rulebook) -> Verdict:
    """Run one case through the fold and compare."""
    listed = {drug.name for drug in rulebook.drugs} | {drug.name for drug in rulebook.treatments}
    check_drugs(scenario, case, listed)
    came = run_case(records_of(scenario, case), rulebook, _carried(scenario, rulebook))
    return Verdict(scenario, case, came, tuple(_compare(case.expected, came, scenario.utc_offset_minutes)))


def _carried(scenario: Scenario, rulebook: Rulebook) -> Mapping[str, Rulebook]:
    """Return the rulebooks that the cases may activate, by digest."""
    try:
        books = [variant_of(rulebook, name, changes) for name, changes in scenario.rulebooks.items()]
    except ValueError as error:
        msg = f"{scenario.path}: rulebooks: {error}"
        raise DataError(msg) from None
    return {book.digest: book for book in books}


def run_case(
    records: Sequence[TimedRecord],
    rulebook: Rulebook,
    carried: Mapping[str, Rulebook] = MappingProxyType({}),
) -> tuple[Came, ...]:
    """Return what the fold says to records, in the order in which it says it."""
    fold = ShardFold(shard=0, shard_count=1, rulebook=rulebook, carried=carried, originate=True)
    came: list[Came] = []
    waiting: list[RawRecord] = []
    for position, record in enumerate(records):
        value = record.value
        if record.act is not None:
            came += _fold(fold, waiting, records)
            waiting = []
            value = record.act.write(told.value for told in came if told.output == "alert")
        waiting.append(RawRecord(position, record.key, value))
    return (*came, *_fold(fold, waiting, records))


def _fold(fold: ShardFold, run: Sequence[RawRecord], records: Sequence[TimedRecord]) -> list[Came]:
    folded = fold.process(run)
    fold.commit(folded)
    return [
        _came(output.stream, json.loads(output.value), records[output.position])
        for output in folded.outputs
        if output.stream is not OutputStream.EVENTS
    ]


def _came(stream: OutputStream, value: Mapping[str, Any], record: TimedRecord) -> Came:
    match stream:
        case OutputStream.ALERTS:
            return Came("alert", value["kind"], parse_instant(value["as_of"]), value)
        case OutputStream.RECURRENCES:
            return Came("recurrence", value["primary"], parse_instant(value["as_of"]), value)
        case OutputStream.CASES:
            return Came("case", value["state"], parse_instant(value["as_of"]), value)
        case OutputStream.ACTIONS:
            return Came("action", value["action"], parse_instant(value["as_of"]), value)
        case _:
            return Came("dead_letter", value["code"], record.received, value)


# Comparing --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Episodes:
    """Hold which episode id each name in a case stands for; the first use of a name settles it."""

    ids: dict[str, str] = field(default_factory=dict)

    def name_of(self, episode_id: str | None, wanted: str) -> str:
        """Return the name of an episode, taking a wanted name that is still free."""
        if episode_id is None:
            return "none"
        if wanted != "none" and wanted not in self.ids and episode_id not in self.ids.values():
            self.ids[wanted] = episode_id
        return next((name for name, known in self.ids.items() if known == episode_id), "another episode")


def _compare(
    expected: Iterable[Expected], came: Sequence[Came], utc_offset_minutes: int
) -> Iterable[Difference]:
    episodes = _Episodes()
    left = list(came)
    for line in expected:
        alike = [c for c in left if (c.output, c.name, c.at) == (line.output, line.name, line.at)]
        fitting = next((c for c in alike if not _wrong(line, c, episodes, utc_offset_minutes)), None)
        chosen = fitting or next(iter(alike), None)
        if chosen is None:
            yield Difference(line, None)
            continue
        left.remove(chosen)
        if wrong := _wrong(line, chosen, episodes, utc_offset_minutes):
            yield Difference(line, chosen, tuple(wrong))
    yield from (Difference(None, c) for c in left if c.output != "case")


def _wrong(line: Expected, came: Came, episodes: _Episodes, utc_offset_minutes: int) -> list[str]:
    wrong = []
    for name, wanted in line.fields.items():
        told = tell(came, name, wanted, episodes, utc_offset_minutes)
        if told != wanted:
            wrong.append(f"{name} is {_say(told)}, expected {_say(wanted)}")
    return wrong


def tell(came: Came, name: str, wanted: Wanted, episodes: _Episodes, utc_offset_minutes: int) -> Told:
    """Return a chosen field of an output in the words of a scenario."""
    value = came.value
    if name == "episode":
        return episodes.name_of(value["episode_id"], str(wanted))
    if name == "of":
        source = value.get("recurrence") or value.get("restart") or value
        return episodes.name_of(source.get("of_episode"), str(wanted))
    if name == "started":
        restart = value.get("restart")
        return (
            "none" if restart is None else say_when(parse_instant(restart["started_at"]), utc_offset_minutes)
        )
    if name == "clinical_resolution":
        instant = value["clinical_resolution_at"]
        return "none" if instant is None else say_when(parse_instant(instant), utc_offset_minutes)
    if name in {"patient", "transferred_to"}:
        patient_id = value["patient_id" if name == "patient" else name]
        return "none" if patient_id is None else name_of_patient(patient_id)
    told = _FIELDS[name](value) if name in _FIELDS else value.get(name)
    if isinstance(wanted, Mapping) and isinstance(told, Mapping):
        return {key: _plain(told.get(key)) for key in wanted}
    return tuple(map(_plain, told)) if isinstance(told, list) else _plain(told)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _first_culprit(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda value: next((culprit[name] for culprit in value["culprits"]), None)


def _by_treatment(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda value: {treatment["drug"]: treatment[name] for treatment in value["treatments"]}


def _part(part: str, name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda value: None if value.get(part) is None else value[part][name]


def _score(value: Mapping[str, Any]) -> list[int] | None:
    score = value["regiscar"]
    return None if score is None else [score["worst"], score["current"], score["best"]]


def _items(value: Mapping[str, Any]) -> dict[str, str]:
    return {
        item["item"]: " or ".join(item["levels"]) for item in (value["regiscar"] or {"items": ()})["items"]
    }


def _jscar(value: Mapping[str, Any]) -> list[int] | None:
    criteria = value["criteria"]
    return None if criteria is None else [criteria["jscar"][truth] for truth in ("met", "unmet", "unknown")]


def _criteria(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the truth of each criterion of a case, those of J-SCAR before those of Bocquet."""
    criteria = value["criteria"]
    both = (*criteria["jscar_criteria"], *criteria["bocquet_parts"])
    return {criterion["criterion"]: criterion["truth"] for criterion in both}


def _answers(value: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the answered Naranjo questions of the first culprit of a case."""
    causality = value["criteria"]["causality"]
    return {item["item"]: item["answer"] for item in causality[0]["answered"]} if causality else None


def _interval(value: Mapping[str, Any]) -> int | None:
    recurrence: Mapping[str, Any] = value.get("recurrence") or value
    return recurrence.get("interval_days")


#: How the words of a scenario are read from an output; a word that is not here is the name of a field.
_FIELDS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "continues": lambda value: len(value["continues"]),
    "culprits": lambda value: [culprit["drug"] for culprit in value["culprits"]],
    "named_by": lambda value: {
        culprit["drug"]: " and ".join(culprit["named_by"]) for culprit in value["culprits"]
    },
    "latency": _first_culprit("latency"),
    "latency_days": _first_culprit("latency_days"),
    "exposure": _first_culprit("exposure"),
    "reasons": _first_culprit("reasons"),
    "product": _first_culprit("product"),
    "naranjo": _first_culprit("naranjo"),
    "who_umc": _first_culprit("who_umc"),
    "ranks": lambda value: {culprit["drug"]: culprit["rank"] for culprit in value["culprits"]},
    "jscar": _jscar,
    "jscar_category": lambda value: (
        None if value["criteria"] is None else value["criteria"]["jscar"]["category"]
    ),
    "bocquet": _part("criteria", "bocquet"),
    "criteria": _criteria,
    "answers": _answers,
    "eosinophils": lambda value: value["eosinophils_per_ul"],
    "threshold": lambda value: value["threshold_per_ul"],
    "regiscar": _score,
    "category": lambda value: None if value["regiscar"] is None else value["regiscar"]["category"]["current"],
    "unknown_items": _part("regiscar", "unknown_items"),
    "items": _items,
    "primary": _part("recurrence", "primary"),
    "interval_days": _interval,
    "relation": _part("restart", "relation"),
    "begun_as": _part("restart", "begun_as"),
    "drug": _part("restart", "drug"),
    "review": _part("review", "code"),
    "acknowledged": _part("acknowledged", "tier"),
    "treatments": lambda value: [treatment["drug"] for treatment in value["treatments"]],
    "treatment_days": _by_treatment("days"),
    "dose_mg_per_kg": _by_treatment("dose_mg_per_kg"),
    "prior_steroid": _by_treatment("prior_steroid"),
    "days_to_clinical_resolution": _by_treatment("days_to_clinical_resolution"),
    "override": _part("acknowledged", "override_reason"),
}


# Saying -----------------------------------------------------------------------------------------------------------


def _say(told: Wanted) -> str:
    if isinstance(told, Mapping):
        return ", ".join(f"{name} {value}" for name, value in told.items())
    return told if isinstance(told, str) else f"[{', '.join(told)}]"


def say_expected(line: Expected, utc_offset_minutes: int) -> str:
    """Write an expected line as a sentence fragment."""
    chosen = "".join(f", {name} {_say(value)}" for name, value in line.fields.items())
    return f"{say_when(line.at, utc_offset_minutes)}: {line.output.replace('_', ' ')} {line.name}{chosen}"


def say_came(came: Came, utc_offset_minutes: int) -> str:
    """Write what came as a sentence fragment, with its reason where it has one."""
    facts = [came.value.get("tier"), came.value.get("status")]
    told = "".join(f", {fact}" for fact in facts if fact is not None)
    reason = came.value.get("reason")
    because = f' - "{reason}"' if reason else ""
    return (
        f"{say_when(came.at, utc_offset_minutes)}: {came.output.replace('_', ' ')} {came.name}{told}{because}"
    )


def say_differences(verdict: Verdict) -> list[str]:
    """Write the disagreements of a case, a line or two for each, as one person says them to another."""
    offset = verdict.scenario.utc_offset_minutes
    lines: list[str] = []
    for difference in verdict.differences:
        line, came = difference.expected, difference.came
        if line is not None and came is not None:
            lines.append(f"came otherwise (line {line.line}): {'; '.join(difference.wrong)}")
            lines.append(f"  what came: {say_came(came, offset)}")
        elif line is not None:
            lines.append(f"did not come (line {line.line}): {say_expected(line, offset)}")
        elif came is not None:
            lines.append(f"came, not expected: {say_came(came, offset)}")
    return lines
