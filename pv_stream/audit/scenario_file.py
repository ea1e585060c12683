"""Reading scenario files: strict YAML, so that a slip of the pen is an error with its line, never a silent pass.

Every scalar is taken as the text that stands there: YAML's own guesses (yes, 1_000, 2026-01-01) do not apply.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml

from pv_stream.audit.scenario import TIME_OF_DAY_DEFAULT, Case, Expected, Given, Scenario, at_day
from pv_stream.audit.scenario_acts import ACT_OPTIONS
from pv_stream.domain.assessment import (
    Category,
    Closing,
    EstablishedBy,
    ExposureState,
    Latency,
    RecurrenceClass,
    Relation,
    Tier,
)
from pv_stream.domain.codes import ActionKind, Analyte, DeadLetterCode, DrugRole, HoldCode, OverrideReason
from pv_stream.domain.criteria import JscarCategory, Truth, WhoUmc
from pv_stream.domain.outputs import AlertKind, AlertStatus, Cause, Timeliness
from pv_stream.domain.published import EpisodeState
from pv_stream.domain.times import UTC_OFFSET_MINUTES_MAX, UTC_OFFSET_MINUTES_MIN, Instant
from pv_stream.errors import DataError

_LAB_OPTIONS: Final = frozenset({"specimen", "status", "sent_as"})
_DRUG_OPTIONS: Final = frozenset({"route", "until", "unlisted", "dose_mg", "dose_mg_per_kg", "per_day"})
_REPORT_OPTIONS: Final = frozenset({"serious", "outcome", "rechallenge", *(role.value for role in DrugRole)})
_REVIEW_OPTIONS: Final = frozenset({"by", "reason"})

#: What may happen, and the options of each. `at`, `received` and `id` go with all but `clock` and `raw`.
ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "gives": _DRUG_OPTIONS | {"daily_until"},
    "takes": _DRUG_OPTIONS,
    "orders": _DRUG_OPTIONS,
    "dispenses": _DRUG_OPTIONS,
    "stops": frozenset({"route", "unlisted"}),
    "present": frozenset({"status", "body_surface_percent", "sites", "size_cm"}),
    "absent": frozenset({"status"}),
    **{analyte.value: _LAB_OPTIONS for analyte in Analyte},
    "temperature": _LAB_OPTIONS,
    "reports": _REPORT_OPTIONS,
    "corrects": _REPORT_OPTIONS | {"value", "finding_is", "reaction", "source_version"},
    "retracts": frozenset(),
    "repeats": frozenset(),
    "holds": frozenset({"code", "value", "kind", "status"}),
    "confirms": _REVIEW_OPTIONS | {"value", "time", "even_if_implausible"},
    "discards": _REVIEW_OPTIONS,
    **ACT_OPTIONS,
    "activates": frozenset(),
    "merges": frozenset({"into"}),
    "separates": frozenset({"from"}),
    "clock": frozenset(),
    "raw": frozenset(),
}
_ALWAYS: Final = frozenset({"at", "received", "id", "patient"})

_EPISODE_FIELDS: Final = frozenset(
    {
        "culprits",
        "named_by",
        "latency",
        "latency_days",
        "exposure",
        "reasons",
        "ranks",
        "product",
        "naranjo",
        "who_umc",
        "jscar",
        "jscar_category",
        "bocquet",
        "eosinophils_on",
        "eosinophils",
        "regiscar",
        "category",
        "unknown_items",
        "items",
        "closing",
        "course",
        "masking",
        "flags",
        "primary",
        "interval_days",
        "of",
        "episode",
        "cause",
        "revision",
        "patient",
    }
)
#: What may be expected, and the fields of each that a line may choose.
OUTPUTS: Final[Mapping[str, frozenset[str]]] = {
    "alert": _EPISODE_FIELDS
    | {
        "status",
        "tier",
        "timeliness",
        "threshold",
        "relation",
        "drug",
        "started",
        "begun_as",
        "review",
        "superseded_by",
        "acknowledged",
        "override",
        "continues",
        "transferred_to",
    },
    "recurrence": frozenset(
        {"status", "contributing", "interval_days", "drugs", "of", "episode", "cause", "revision", "patient"}
    ),
    "case": _EPISODE_FIELDS
    | {"criteria", "answers", "tier", "established", "established_by", "signs", "superseded_by"}
    | {"treatments", "treatment_days", "dose_mg_per_kg", "prior_steroid"}
    | {"clinical_resolution", "days_to_clinical_resolution"},
    "action": frozenset({"kind", "reason", "drugs", "by", "tier", "revision", "episode"}),
    "dead_letter": frozenset({"patient"}),
}

#: The words of outputs and fields that have a fixed vocabulary; `none` may stand for any field.
_NAMES: Final[Mapping[str, type[StrEnum]]] = {
    "alert": AlertKind,
    "recurrence": RecurrenceClass,
    "case": EpisodeState,
    "action": ActionKind,
    "dead_letter": DeadLetterCode,
}
_STATUS: Final[Mapping[str, frozenset[str]]] = {
    "alert": frozenset(status.value for status in AlertStatus),
    "recurrence": frozenset({"observed", "reclassified", "withdrawn"}),
}
_FIELD_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "closing": frozenset({"reviewed", "documented", *Closing}),
    "course": frozenset({"controlled_under_treatment"}),
    "tier": frozenset(tier.name.lower() for tier in Tier),
    "acknowledged": frozenset(tier.name.lower() for tier in Tier),
    **{
        name: frozenset(word.value for word in words)
        for name, words in (
            ("category", Category),
            ("bocquet", Truth),
            ("cause", Cause),
            ("established_by", EstablishedBy),
            ("exposure", ExposureState),
            ("jscar_category", JscarCategory),
            ("latency", Latency),
            ("override", OverrideReason),
            ("primary", RecurrenceClass),
            ("relation", Relation),
            ("review", HoldCode),
            ("timeliness", Timeliness),
            ("who_umc", WhoUmc),
        )
    },
}
_NONE: Final = "none"

_DAY: Final = re.compile(r"day (-?\d{1,5})(?: (\d{2}):(\d{2}))?", re.ASCII)
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?: (\d{2}):(\d{2}))?", re.ASCII)
_HOURS_PER_DAY: Final = 24
_MINUTES_PER_HOUR: Final = 60
_DAY_ZERO: Final = date(2026, 1, 1)


def find_scenarios(paths: list[Path]) -> list[Path]:
    """Return the scenario files that the paths name; a folder stands for every .yaml file in it, in order of name.

    Raises DataError when a path does not exist or nothing is found.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.rglob("*.yaml"))
        elif path.exists():
            files.append(path)
        else:
            msg = f"{path} does not exist: name a scenario file or a folder of them"
            raise DataError(msg)
    if not files:
        msg = f"no .yaml file in {', '.join(map(str, paths))}"
        raise DataError(msg)
    return files


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises DataError naming the line of the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({type(error).__name__})"
        raise DataError(msg) from None
    return parse_scenario(path, text)


def parse_scenario(path: Path, text: str) -> Scenario:
    """Read the text of a scenario file; `path` is only named in errors."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        msg = f"{path} line {line}: not YAML: {error.problem}"
        raise DataError(msg) from None
    except RecursionError:
        msg = f"{path}: nested too deeply"
        raise DataError(msg) from None
    if root is None:
        msg = f"{path}: the file is empty"
        raise DataError(msg)
    return _Reader(path).scenario(root)


@dataclass(slots=True)
class _Reader:
    """Read the nodes of one file, knowing its name and offset for errors and times."""

    path: Path
    utc_offset_minutes: int = 0

    def mistake(self, node: yaml.Node, what: str) -> DataError:
        msg = f"{self.path} line {node.start_mark.line + 1}: {what}"
        return DataError(msg)

    def scenario(self, root: yaml.Node) -> Scenario:
        entries = self.mapping(
            root, known={"scenario", "source", "rule", "utc_offset_minutes", "rulebooks", "given", "cases"}
        )
        for name in ("scenario", "source", "rule", "cases"):
            if name not in entries:
                raise self.mistake(root, f"{name!r} is missing")
        if "utc_offset_minutes" in entries:
            self.utc_offset_minutes = self.offset(entries["utc_offset_minutes"])
        shared = self.givens(entries["given"]) if "given" in entries else ()
        return Scenario(
            path=self.path,
            title=self.text(entries["scenario"]),
            source=self.text(entries["source"]),
            rule=self.text(entries["rule"]),
            utc_offset_minutes=self.utc_offset_minutes,
            cases=tuple(self.case(node, shared) for node in self.cases(entries["cases"])),
            rulebooks=self.rulebooks(entries["rulebooks"]) if "rulebooks" in entries else {},
        )

    def rulebooks(self, node: yaml.Node) -> Mapping[str, Mapping[str, str]]:
        return {
            name: {entry: self.text(value) for entry, value in self.mapping(changes).items()}
            for name, changes in self.mapping(node).items()
        }

    def offset(self, node: yaml.Node) -> int:
        try:
            minutes = int(self.text(node))
        except ValueError:
            raise self.mistake(node, "utc_offset_minutes is a whole number of minutes") from None
        if not UTC_OFFSET_MINUTES_MIN <= minutes <= UTC_OFFSET_MINUTES_MAX:
            raise self.mistake(node, "utc_offset_minutes lies between -720 and 840")
        return minutes

    def cases(self, node: yaml.Node) -> Iterator[yaml.Node]:
        nodes = self.sequence(node)
        if not nodes:
            raise self.mistake(node, "there is no case")
        names: set[str] = set()
        for case in nodes:
            entries = self.mapping(case, known={"name", "given", "expect"})
            for key in ("name", "expect"):
                if key not in entries:
                    raise self.mistake(case, f"{key!r} is missing in this case")
            name = self.text(entries["name"])
            if name in names:
                raise self.mistake(entries["name"], f"two cases are named {name!r}")
            names.add(name)
            yield case

    def case(self, node: yaml.Node, shared: tuple[Given, ...]) -> Case:
        entries = self.mapping(node, known={"name", "given", "expect"})
        own = self.givens(entries["given"]) if "given" in entries else ()
        if not (*shared, *own):
            raise self.mistake(node, "nothing is given in this case")
        return Case(
            name=self.text(entries["name"]),
            line=node.start_mark.line + 1,
            given=(*shared, *own),
            expected=self.expectations(entries["expect"]),
        )

    def givens(self, node: yaml.Node) -> tuple[Given, ...]:
        return tuple(self.given(entry) for entry in self.sequence(node))

    def given(self, node: yaml.Node) -> Given:
        entries = self.mapping(node)
        action = self.one_of(node, entries, ACTIONS, "what happens")
        if action == "clock":
            self.check_keys(entries, frozenset({"clock"}))
            instant = self.instant(entries["clock"])
            return Given(node.start_mark.line + 1, action, "", instant, instant, {})
        self.check_keys(entries, ACTIONS[action] | {action} | _ALWAYS)
        if "at" not in entries:
            raise self.mistake(node, "'at' is missing: write at: day 14 08:00")
        at = self.instant(entries["at"])
        return Given(
            line=node.start_mark.line + 1,
            action=action,
            subject=self.text(entries[action]),
            at=at,
            received=self.instant(entries["received"]) if "received" in entries else at,
            options={
                name: self.text(value)
                for name, value in entries.items()
                if name not in {action, "at", "received"}
            },
        )

    def expectations(self, node: yaml.Node) -> tuple[Expected, ...]:
        if isinstance(node, yaml.ScalarNode):
            if node.value != "nothing":
                raise self.mistake(node, "expect is a list, or the word nothing")
            return ()
        return tuple(self.expected(entry) for entry in self.sequence(node))

    def expected(self, node: yaml.Node) -> Expected:
        entries = self.mapping(node)
        output = self.one_of(node, entries, OUTPUTS, "what is expected")
        self.check_keys(entries, OUTPUTS[output] | {output, "at"})
        if "at" not in entries:
            raise self.mistake(node, "'at' is missing: write at: day 14 08:00")
        self.check_word(entries[output], {word.value for word in _NAMES[output]})
        for name, value in entries.items():
            known = _STATUS.get(output) if name == "status" else _FIELD_WORDS.get(name)
            if known is not None:
                self.check_word(value, known | {_NONE})
        return Expected(
            line=node.start_mark.line + 1,
            output=output,
            name=self.text(entries[output]),
            at=self.instant(entries["at"]),
            fields={name: self.value(value) for name, value in entries.items() if name not in {output, "at"}},
        )

    def value(self, node: yaml.Node) -> str | tuple[str, ...] | Mapping[str, str]:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.text(entry) for entry in node.value)
        if isinstance(node, yaml.MappingNode):
            return {name: self.text(value) for name, value in self.mapping(node).items()}
        return self.text(node)

    def one_of(
        self,
        node: yaml.Node,
        entries: Mapping[str, yaml.Node],
        words: Mapping[str, frozenset[str]],
        what: str,
    ) -> str:
        found = [name for name in entries if name in words]
        if len(found) != 1:
            raise self.mistake(node, f"say {what} with one of: {', '.join(words)}")
        return found[0]

    def check_word(self, node: yaml.Node, known: frozenset[str] | set[str]) -> None:
        word = self.text(node)
        if word not in known:
            raise self.mistake(node, f"unknown word {word!r} here; known: {', '.join(sorted(known))}")

    def check_keys(self, entries: Mapping[str, yaml.Node], known: frozenset[str] | set[str]) -> None:
        for name, value in entries.items():
            if name not in known:
                raise self.mistake(value, f"unknown word {name!r} here; known: {', '.join(sorted(known))}")

    def mapping(self, node: yaml.Node, known: set[str] | None = None) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.mistake(node, "expected lines of the form word: value")
        entries: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key)
            if name in entries:
                raise self.mistake(key, f"{name!r} stands twice")
            entries[name] = value
        if known is not None:
            self.check_keys(entries, known)
        return entries

    def sequence(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.mistake(node, "expected a list: lines that begin with a dash")
        return list(node.value)

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.mistake(node, "expected a word or a number")
        return str(node.value).strip()

    def instant(self, node: yaml.Node) -> Instant:
        instant = read_instant(self.text(node), self.utc_offset_minutes)
        if instant is None:
            raise self.mistake(node, "a time is written day 14, day 14 08:00, 2026-03-02 or 2026-03-02 08:10")
        return instant


def read_instant(text: str, utc_offset_minutes: int) -> Instant | None:
    """Read a time of a scenario at the facility, or return None when it is not one."""
    if found := _DAY.fullmatch(text):
        day = int(found[1])
    elif found := _DATE.fullmatch(text):
        try:
            day = (date.fromisoformat(found[1]) - _DAY_ZERO).days
        except ValueError:
            return None
    else:
        return None
    hour, minute = TIME_OF_DAY_DEFAULT if found[2] is None else (int(found[2]), int(found[3]))
    if hour >= _HOURS_PER_DAY or minute >= _MINUTES_PER_HOUR:
        return None
    return at_day(day, hour, minute, utc_offset_minutes)
