"""One rule explained: what it means, its numbers now and their sources, who does it, and what tests it.

A rule is named as in traceability.toml, `row:skin_and_organ` or `number:lag_days`; its kind may be left out, and so may
a brand stand for its drug. The words of the outputs are rules too, `course:controlled_under_treatment`, and so is each
statement of that file. All numbers come from the rulebook and the tables that the software runs on.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from pv_stream.audit.criteria_doc import criteria_names, criteria_tables
from pv_stream.audit.output_words import word_meaning
from pv_stream.audit.rules_doc import holds_with
from pv_stream.audit.traceability import Statement, Traceability, rule_names, shipped_traceability
from pv_stream.codec.canonical import decimal_text
from pv_stream.errors import UsageError
from pv_stream.rules.regiscar import TABLE
from pv_stream.rules.rulebook import Count, Number, Parameters, Rulebook, Treatment, WatchedDrug
from pv_stream.rules.tiers import GIVEN_AGAIN, REPORTED, ROWS, WITHOUT_WATCHED_DRUG, Row, Situation

UNCONFIRMED: Final = "UNCONFIRMED"
_ROWS: Final = (*ROWS, WITHOUT_WATCHED_DRUG, GIVEN_AGAIN, *REPORTED)
_NAMED_MAX: Final = 5
#: What is given to a patient goes before a word of the outputs that is spelled alike.
_GIVEN: Final = frozenset({"drug", "treatment"})
_STATEMENT: Final = "statement"
_NAMED_NUMBER: Final = re.compile("`([a-z0-9_]+)`")


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold one number of a rule, its source by name, and what the source is."""

    name: str
    value: str
    source: str
    citation: str


@dataclass(frozen=True, slots=True)
class Guide:
    """Hold what there is to say about one rule; `modules` do it, `tests` fail when it no longer holds."""

    name: str
    meaning: tuple[str, ...]
    figures: tuple[Figure, ...]
    citations: Mapping[str, str]
    modules: tuple[str, ...]
    tests: tuple[str, ...]


def find_rule(wanted: str, rulebook: Rulebook) -> str:
    """Return the full name of the one rule that is called so, in whatever case, with blanks, hyphens or underscores.

    Raises UsageError naming what is near when there is none, or all when there are several.
    """
    known = {name: _folded(name) for name in _known(rulebook)}
    asked = _folded(_drug_or_treatment(wanted, rulebook) or wanted)
    found = [name for name, folded in known.items() if asked in {folded, folded.partition(":")[2]}]
    found = [name for name in found if _kind(name) != _STATEMENT] or found
    found = [name for name in found if _kind(name) in _GIVEN] or found
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{wanted!r} is the name of several rules: {', '.join(found)}; name one in full"
        raise UsageError(msg)
    msg = f"no rule is called {wanted!r}{_near(asked, known)}"
    raise UsageError(msg)


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().lower())


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _drug_or_treatment(wanted: str, rulebook: Rulebook) -> str | None:
    """Return the listed name of what is called by another of its names, such as a brand."""
    name = wanted.strip().lower()
    found = rulebook.drug_called(name) or rulebook.treatment_called(name)
    return None if found is None else found.name


def _near(asked: str, known: Mapping[str, str]) -> str:
    """Say which rules are spelled like what was asked for, or contain it."""
    full: dict[str, list[str]] = {}
    for name, folded in known.items():
        full.setdefault(folded.partition(":")[2], []).append(name)
    close = difflib.get_close_matches(asked.rpartition(":")[2], full, n=_NAMED_MAX)
    near = [name for folded in close for name in full[folded]]
    near += [name for name, folded in known.items() if asked in folded and name not in near]
    if not near:
        return "; `pv-stream rules show` lists drugs and numbers, `pv-stream docs` every rule"
    return f": did you mean {_either(near[:_NAMED_MAX])}?"


def _either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def guide_to(name: str, rulebook: Rulebook) -> Guide:
    """Return what there is to say about a rule by its full name."""
    traced = shipped_traceability()
    kind = _kind(name)
    cited = {**rulebook.sources, **traced.citations}
    statements = _statements_on(name, traced)
    explained = _Explained(()) if kind == _STATEMENT else _explained(name, rulebook)
    # The numbers of the same statements; those of a drug are its own.
    together = [] if kind in _GIVEN else [r for s in statements for r in s.rules if _kind(r) == "number"]
    figures = [
        *explained.figures,
        *(f for rule in together for f in _number(rule.partition(":")[2], rulebook).figures),
    ]
    modules = (module for statement in statements for module in statement.modules)
    return Guide(
        name=name,
        meaning=(*explained.meaning, *(statement.says for statement in statements)),
        figures=tuple(dict.fromkeys(figures)),
        citations={
            source: cited[source] for statement in statements for source in statement.cites if source in cited
        },
        modules=tuple(dict.fromkeys(modules)),
        tests=tuple(dict.fromkeys(test for statement in statements for test in statement.tests)),
    )


def _statements_on(name: str, traced: Traceability) -> Sequence[Statement]:
    """Return the statements that name a rule, or the one that is asked for itself."""
    return [s for s in traced.statements if name in s.rules or name == f"{_STATEMENT}:{s.id}"]


def _known(rulebook: Rulebook) -> Iterable[str]:
    statements = (f"{_STATEMENT}:{statement.id}" for statement in shipped_traceability().statements)
    return dict.fromkeys((*rule_names(rulebook), *statements))


def _explained(name: str, rulebook: Rulebook) -> "_Explained":
    kind, _, short = name.partition(":")
    if kind in _EXPLAINED:
        return _EXPLAINED[kind](short, rulebook)
    meaning = _criteria(rulebook).get(name) or word_meaning(kind, short)
    return _Explained((meaning,), tuple(_figures_named_in(meaning, rulebook)))


def _figures_named_in(meaning: str, rulebook: Rulebook) -> Iterator[Figure]:
    """Yield the numbers that a meaning names by their names in the rulebook."""
    known = {f.name for f in fields(rulebook.parameters)}
    for name in _NAMED_NUMBER.findall(meaning):
        if name in known:
            yield _number(name, rulebook).figures[0]


def _criteria(rulebook: Rulebook) -> Mapping[str, str]:
    """Return what each criterion beside RegiSCAR means, by the name of its rule."""
    rows = ((table, row) for table in criteria_tables(rulebook.parameters) for row in table.rows)
    said = (
        "; ".join((f"{table.title}: {row[1]}", *map(" ".join, zip(table.headings[2:], row[2:], strict=True))))
        for table, row in rows
    )
    return dict(zip(criteria_names(), said, strict=True))


@dataclass(frozen=True, slots=True)
class _Explained:
    """Hold what the tables of the software say about one rule."""

    meaning: tuple[str, ...]
    figures: tuple[Figure, ...] = ()


def _row(name: str, rulebook: Rulebook) -> _Explained:
    row = next(row for row in _ROWS if row.name == name)
    figures = (f for parameter in _asked_of(row, rulebook) for f in _number(parameter, rulebook).figures)
    return _Explained(
        (f"A row of the table of tiers: {row.tier.name.lower()}, with {holds_with(row, rulebook)}.",),
        tuple(figures),
    )


@dataclass(slots=True)
class _Asked:
    """Stand for the parameters and note which of them a row asks for."""

    parameters: Parameters
    names: dict[str, None] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        self.names[name] = None
        return getattr(self.parameters, name)


def _asked_of(row: Row, rulebook: Rulebook) -> Sequence[str]:
    asked = _Asked(rulebook.parameters)
    row.holds(Situation(0), cast("Parameters", asked))
    return tuple(asked.names)


def _item(name: str, rulebook: Rulebook) -> _Explained:
    item = next(item for item in TABLE if item.name == name)
    points = [(level.replace("_", " "), item.points[level]) for level in item.levels]
    said = ", ".join(f"{level} {count:+d}" for level, count in (*points, ("unknown", item.unknown)))
    return _Explained(
        (f"An item of the RegiSCAR score: {item.title(rulebook.parameters)}.", f"Points: {said}.")
    )


def _number(name: str, rulebook: Rulebook) -> _Explained:
    number: Number | Count
    match name:
        case "threshold_per_ul":
            number = rulebook.defaults.threshold_per_ul
        case "fraction_below_per_ul":
            number = rulebook.plausibility_of_counts.fraction_below_per_ul
        case _:
            number = getattr(rulebook.parameters, name)
    said = f"A number of the rulebook; its unit is the end of its name: {name.replace('_', ' ')}."
    own = (
        f for drug in rulebook.drugs for f in _own_figures(drug, rulebook) if f.name == f"{drug.name} {name}"
    )
    return _Explained((said,), (_figure(name, number, rulebook), *own))


def _drug(name: str, rulebook: Rulebook) -> _Explained:
    drug = rulebook.watched[name]
    return _Explained(tuple(_said_of(drug, rulebook)), tuple(_drug_figures(drug, rulebook)))


def _said_of(drug: WatchedDrug, rulebook: Rulebook) -> Iterator[str]:
    yield f"A watched drug. It is found under the names {', '.join(drug.names)}."
    codes = [f"RxNorm {drug.rxnorm}"] if drug.rxnorm else []
    codes += [f"ATC {code}" for code in drug.atc]
    if codes:
        yield f"Codes: {', '.join(codes)} ({drug.codes_source})."
    for prodrug in drug.prodrugs:
        yield f"{prodrug.name} counts as {drug.name}."
    if drug.routes_outside:
        yield f"Not watched by these routes: {', '.join(drug.routes_outside)}."
    partners = sorted(rulebook.class_partners.get(drug.name, ()))
    if partners:
        yield f"Cross-reactive with {', '.join(partners)}."
    if drug.reported_in is not None:
        yield f"DRESS under it is reported in: {rulebook.sources[drug.reported_in]}."


def _drug_figures(drug: WatchedDrug, rulebook: Rulebook) -> Iterator[Figure]:
    """Yield each number that may differ from drug to drug: the drug's own, else the one that holds for it."""
    own = {figure.name: figure for figure in _own_figures(drug, rulebook)}
    for f in fields(drug):
        if f.type == Count | None:
            yield own.get(f"{drug.name} {f.name}") or _number(f.name, rulebook).figures[0]


def _own_figures(row: WatchedDrug | Treatment, rulebook: Rulebook) -> Iterator[Figure]:
    for f in fields(row):
        value = getattr(row, f.name)
        if isinstance(value, Number | Count):
            yield _figure(f"{row.name} {f.name}", value, rulebook)


def _drug_class(name: str, rulebook: Rulebook) -> _Explained:
    group = next(group for group in rulebook.classes if group.name == name)
    said = f"A reaction to one of these warns of the others: {', '.join(group.members)}."
    return _Explained((said,), (_cited(name, f"{len(group.members)} drugs", group.source, rulebook),))


def _treatment(name: str, rulebook: Rulebook) -> _Explained:
    treatment = next(treatment for treatment in rulebook.treatments if treatment.name == name)
    said = (
        f"A treatment ({treatment.kind.value.replace('_', ' ')}): it treats or masks a reaction and is never blamed. "
        f"It is found under the names {', '.join(treatment.names)}."
    )
    codes = f"Code: RxNorm {treatment.rxnorm} ({treatment.codes_source})."
    return _Explained(
        (said, codes) if treatment.rxnorm else (said,), tuple(_own_figures(treatment, rulebook))
    )


def _follow_up(name: str, rulebook: Rulebook) -> _Explained:
    entry = next(entry for entry in rulebook.follow_up if entry.name == name)
    said = f"Advice for after a reaction, which no rule reads: {entry.name} {entry.advice}."
    return _Explained((said,), (_cited(entry.name, entry.advice, entry.source, rulebook),))


def _figure(name: str, number: Number | Count, rulebook: Rulebook) -> Figure:
    value = number.value
    return _cited(
        name, str(value) if isinstance(value, int) else decimal_text(value), number.source, rulebook
    )


def _cited(name: str, value: str, source: str, rulebook: Rulebook) -> Figure:
    return Figure(name, value, source, rulebook.sources[source])


_EXPLAINED: Final[Mapping[str, Callable[[str, Rulebook], _Explained]]] = {
    "row": _row,
    "item": _item,
    "number": _number,
    "drug": _drug,
    "class_of_drugs": _drug_class,
    "treatment": _treatment,
    "follow_up": _follow_up,
}
