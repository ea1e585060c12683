"""The rules as a document: docs/rules.md, written from the tables that the software runs on.

Numbers, drugs, points, tiers and conditions come from the rulebook and the tables, so they cannot differ from what
the software does. Only the words that explain a name stand here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Final, TypeVar

from pv_stream.audit.criteria_doc import RuleTable, criteria_tables
from pv_stream.audit.row_conditions import Condition, Literal, conditions_of
from pv_stream.codec.canonical import decimal_text
from pv_stream.domain.assessment import Closing, EpisodeFlag, EstablishedBy, RecurrenceClass, Relation
from pv_stream.domain.codes import UNIT_OF, Analyte, HoldCode
from pv_stream.rules.regiscar import TABLE, category
from pv_stream.rules.rulebook import Count, Number, Rulebook, Treatment
from pv_stream.rules.tiers import GIVEN_AGAIN, REPORTED, ROWS, WITHOUT_WATCHED_DRUG, Row

Word = TypeVar("Word", bound=StrEnum)

#: What each field of a situation means; of one that is not here its name is printed.
_SITUATION: Final[Mapping[str, str]] = {
    "count_at_threshold": "eosinophils at or above the drug's threshold",
    "count_raised": "eosinophils at or above the lower bound of RegiSCAR",
    "sign": "a sign (fever, rash, nodes or organ)",
    "skin": "a skin reaction",
    "organ": "an organ involved",
    "preexisting": "eosinophilia from before the drug",
    "doubled": "at least twice the count from before the drug",
    "reported": "reported as DRESS",
    "reported_serious": "reported as serious DRESS",
}

_RECURRENCE: Final[Mapping[RecurrenceClass, str]] = {
    RecurrenceClass.RECHALLENGE: "a drug suspected in any earlier episode is suspected again, in a later course",
    RecurrenceClass.CROSS_REACTIVE: "a drug of the same cross-reactive class as an earlier suspect",
    RecurrenceClass.NEW_CULPRIT: "a drug that no earlier established episode was due to",
    RecurrenceClass.FLARE_ON_WITHDRAWAL: "a treatment was stopped, or its dose cut by `withdrawal_cut_percent` or "
    "more, at most `withdrawal_days` before",
    RecurrenceClass.VIRAL_REACTIVATION: "HHV-6, EBV or CMV were documented as reactivated",
    RecurrenceClass.RELAPSE_WITHOUT_DRUG: "nothing of the above explains it",
    RecurrenceClass.REPEAT: "no earlier episode is established: no recurrence yet, and at its own tier",
}
_RELATION: Final[Mapping[Relation, str]] = {
    Relation.SAME: "a suspect of an earlier published episode; critical after an established episode for a drug of "
    "the first rank, else a warning",
    Relation.CANDIDATE: "a drug under which the patient had a skin reaction that alerted nobody: a warning",
    Relation.AMBIGUOUS: "one drug of a product that was suspect as a whole",
    Relation.CROSS_REACTIVE: "a drug of the same class as a suspect: a warning after an established episode, an info "
    "after a published one",
}
_CLOSING: Final[Mapping[Closing, str]] = {
    Closing.RESOLVED: "the signs were documented as gone, and `disease_free_days` have passed since",
    Closing.LOST_TO_OBSERVATION: "nothing was recorded for `lost_to_observation_days`; that is not resolved",
    Closing.REFUTED: "a clinician found that it was no DRESS",
}
_HOLD: Final[Mapping[HoldCode, str]] = {
    HoldCode.MISSING_UNIT: "no unit was sent",
    HoldCode.UNKNOWN_UNIT: "the unit is in no table",
    HoldCode.UNIT_DOES_NOT_FIT: "the unit does not fit the test",
    HoldCode.OUT_OF_RANGE: "outside the plausible range below",
    HoldCode.FRACTION_OF_A_CELL: "a small count with a fraction: probably a thousandfold mistake",
    HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES: "more eosinophils than leukocytes in one specimen",
    HoldCode.MISSING_TIME: "no specimen time was sent",
    HoldCode.UNREADABLE_TIME: "the time cannot be read",
    HoldCode.TIME_IN_FUTURE: "dated more than `future_hours` after it was received",
    HoldCode.UNREADABLE_VALUE: "the value cannot be read",
    HoldCode.UNKNOWN_STATUS: "the status of the result is not known",
    HoldCode.UNKNOWN_SPECIMEN: "the specimen is not blood",
}
_ESTABLISHED: Final[Mapping[EstablishedBy, str]] = {
    EstablishedBy.SCORE: "it reached warning with a RegiSCAR score of `warning_score_min` or more",
    EstablishedBy.RECHALLENGE: "a suspect drug of it caused a published episode again in a later course",
    EstablishedBy.REPORT: "it was reported as DRESS",
    EstablishedBy.CONFIRMED: "a clinician confirmed it",
}
_FLAG: Final[Mapping[EpisodeFlag, str]] = {
    EpisodeFlag.CONFLICTING_EVIDENCE: "two statements of equal rank differ, or a measured count and a derived one "
    "differ beyond `conflict_factor`: the alert uses the worse",
    EpisodeFlag.SPECIMEN_ASSUMED: "results of one report without a specimen were taken for one specimen",
    EpisodeFlag.WEAK_KEY: "a result without an order number: a correction of it may not be recognised",
    EpisodeFlag.LEUKOCYTES_FROM_ANOTHER_SPECIMEN: "a percentage was read with the leukocytes of another specimen",
    EpisodeFlag.EXPOSURE_FROM_ORDERS: "no dose is recorded of the suspect drug, only orders",
    EpisodeFlag.UNLISTED_DRUG: "only drugs that are not watched were given in the days before",
    EpisodeFlag.OUTSIDE_WINDOW: "a watched drug was given, but not in its window",
    EpisodeFlag.NO_EXPOSURE_RECORD: "no medication is recorded, which is not the same as no drug",
    EpisodeFlag.PREEXISTING_EOSINOPHILIA: "the count was at the threshold before the drug was begun",
    EpisodeFlag.RISING_ON_BASELINE: "the count has multiplied over the one before the drug",
    EpisodeFlag.SECOND_HIT: "it became worse after a cross-reactive drug was begun during the episode",
    EpisodeFlag.REPORTED_DRESS: "it was reported as DRESS",
    EpisodeFlag.REPORTED_SERIOUS_DRESS: "it was reported as serious DRESS",
    EpisodeFlag.THINNED: "not every temperature below a fever, or not every body weight, of its days was kept: "
    "more came than `values_per_code_day_max` a day, or than `values_per_code_max` in all",
}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {word.value: says for word, says in words.items()}
    for kind, words in (
        ("class", _RECURRENCE),
        ("relation", _RELATION),
        ("closing", _CLOSING),
        ("hold", _HOLD),
        ("established", _ESTABLISHED),
        ("flag", _FLAG),
    )
}
#: The lowest and the highest total of the table.
_TOTALS: Final = range(
    sum(min(item.points.values()) for item in TABLE), sum(max(item.points.values()) for item in TABLE) + 1
)


def rules_document(rulebook: Rulebook) -> str:
    """Return the rules under a rulebook as Markdown."""
    sections = (
        _opening(rulebook),
        _tiers(rulebook),
        _regiscar(),
        *map(_rule_table, criteria_tables()),
        _names("Established", _ESTABLISHED_SAYS, _ESTABLISHED),
        _names("Recurrence", _RECURRENCE_SAYS, _RECURRENCE),
        _names("Restart of a culprit", _RESTART_SAYS, _RELATION),
        _names("Closing", "Why an alert is closed. A closed alert is no proof of health.", _CLOSING),
        _names("Flags", "What a reader must know about an episode.", _FLAG),
        _names("Holds", _HOLDS_SAY, _HOLD),
        _plausibility(rulebook),
        _parameters(rulebook),
        _drugs(rulebook),
        _products(rulebook),
        _sources(rulebook),
    )
    return "\n".join(line for section in sections for line in (*section, "")).rstrip() + "\n"


def word_meaning(kind: str, word: str) -> str:
    """Say what a word of an output means; `kind` is that of a rule's name, such as `flag`."""
    return _WORDS.get(kind, {}).get(word, word.replace("_", " "))


_ESTABLISHED_SAYS: Final = (
    "An episode counts as established DRESS, and is remembered for life, when one of these holds."
)
_RECURRENCE_SAYS: Final = (
    "A new episode after an established one is a recurrence, and critical. The first class that holds, from the top, "
    "is the primary one; others that hold contribute."
)
_RESTART_SAYS: Final = (
    "A suspect of an earlier episode that is ordered or given in a new course warns before any reaction, once for "
    "each course."
)
_HOLDS_SAY: Final = (
    "A value that was read but is not believed is held: no rule uses it until a person confirms or discards it. Under "
    "a watched drug it raises an alert of kind `data_review`."
)


def _opening(rulebook: Rulebook) -> Iterable[str]:
    yield "# The rules"
    yield ""
    yield (
        f"Written by `make docs` from rulebook {rulebook.version} and the tables of the software; do not edit. "
        "What each statement rests on and is tested by is in [traceability.md](traceability.md)."
    )
    yield ""
    yield (
        "Decision support for qualified professionals, not validated for care. UNCONFIRMED means that no source was "
        "found: the medication-safety team should look at the number before it relies on it."
    )


# Tiers and scores -------------------------------------------------------------------------------------------------


def _tiers(rulebook: Rulebook) -> Iterable[str]:
    yield "## Suspicion and tiers"
    yield ""
    yield (
        "For each watched drug in its window of latency; the first row that holds wins. The score is the RegiSCAR "
        "total as documented (`current`). A recurrence is critical whatever its row."
    )
    yield ""
    rows = [(row, "") for row in ROWS]
    rows.append((WITHOUT_WATCHED_DRUG, "no watched drug in its window; "))
    rows.append((GIVEN_AGAIN, "a drug of an established episode given again; "))
    rows += [(row, "whatever drugs were given; ") for row in REPORTED]
    yield from markdown_table(
        ("tier", "row", "holds with"),
        [(row.tier.name.lower(), f"`{row.name}`", first + holds_with(row, rulebook)) for row, first in rows],
    )


def holds_with(row: Row, rulebook: Rulebook) -> str:
    """Say with what a row of the table of tiers holds."""
    return "; or ".join(map(_said, conditions_of(row, rulebook.parameters)))


def _said(condition: Condition) -> str:
    return " and ".join(map(_literal, condition))


def _literal(literal: Literal) -> str:
    name, value = literal
    if name == "score":
        return f"a score of {value} or more"
    said = _SITUATION.get(name, name.replace("_", " "))
    return said if value else f"no {said.removeprefix('a ').removeprefix('an ')}"


def _regiscar() -> Iterable[str]:
    yield "## RegiSCAR"
    yield ""
    yield (
        "Kardaun 2007/2013. Every item is the set of the levels still possible, so a total is an interval: worst, "
        "current, best. Unknown is not no."
    )
    yield ""
    yield from markdown_table(
        ("item", "points by level", "unknown"),
        [
            (
                item.title,
                ", ".join(
                    f"{level.replace('_', ' ')} {_signed(item.points[level])}" for level in item.levels
                ),
                _signed(item.unknown),
            )
            for item in TABLE
        ],
    )
    yield ""
    yield from markdown_table(
        ("total", "category"), [(totals, name.replace("_", " ")) for totals, name in _categories()]
    )


def _signed(points: int) -> str:
    return f"+{points}" if points > 0 else str(points)


def _categories() -> Iterator[tuple[str, str]]:
    totals: dict[str, list[int]] = {}
    for total in _TOTALS:
        totals.setdefault(category(total).value, []).append(total)
    for name, found in totals.items():
        yield f"{found[0]} to {found[-1]}", name


# The rulebook -----------------------------------------------------------------------------------------------------


def _parameters(rulebook: Rulebook) -> Iterable[str]:
    yield "## Numbers"
    yield ""
    numbers = {field.name: getattr(rulebook.parameters, field.name) for field in fields(rulebook.parameters)}
    numbers["threshold_per_ul (of a drug that says nothing else)"] = rulebook.defaults.threshold_per_ul
    numbers["fraction_below_per_ul (a count with a fraction is held)"] = (
        rulebook.plausibility_of_counts.fraction_below_per_ul
    )
    yield from markdown_table(
        ("number", "value", "source"),
        [(_code(name), _value(number), number.source) for name, number in numbers.items()],
    )


def _code(name: str) -> str:
    word, _, rest = name.partition(" ")
    return f"`{word}` {rest}".rstrip()


def _value(number: Number | Count) -> str:
    return f"{number.value}" if isinstance(number, Count) else decimal_text(number.value)


def _plausibility(rulebook: Rulebook) -> Iterable[str]:
    yield "## Plausible values"
    yield ""
    yield from markdown_table(
        ("analyte", "from", "to", "unit", "source"),
        [
            (
                analyte.value.replace("_", " "),
                decimal_text(rulebook.plausibility[analyte].minimum),
                decimal_text(rulebook.plausibility[analyte].maximum),
                UNIT_OF[analyte],
                rulebook.plausibility[analyte].source,
            )
            for analyte in Analyte
        ],
    )


def _drugs(rulebook: Rulebook) -> Iterable[str]:
    yield "## Watched drugs"
    yield ""
    yield "Latency in days after the first dose; a new course has its core from day 0 to the last day."
    yield ""
    parameters = rulebook.parameters
    rows = []
    for drug in rulebook.drugs:
        core = (
            drug.latency_core_min_days or parameters.latency_core_min_days,
            drug.latency_core_max_days or parameters.latency_core_max_days,
        )
        last = drug.latency_max_days or parameters.latency_max_days
        threshold = drug.threshold_per_ul or rulebook.defaults.threshold_per_ul
        rows.append(
            (
                drug.name,
                drug.rxnorm or "",
                ", ".join(drug.atc),
                f"{threshold.value:,} ({threshold.source})",
                f"{core[0].value}-{core[1].value}, at most {last.value}",
                ", ".join(route.value for route in drug.routes_outside),
                ", ".join(prodrug.name for prodrug in drug.prodrugs),
            )
        )
    yield from markdown_table(
        ("drug", "RxNorm", "ATC", "eosinophils from, /µL", "core of latency", "not by route", "prodrugs"),
        rows,
    )


def _products(rulebook: Rulebook) -> Iterable[str]:
    yield "## Products, classes and treatments"
    yield ""
    yield from markdown_table(
        ("product", "counts as"), [(c.names[0], " and ".join(c.ingredients)) for c in rulebook.combinations]
    )
    yield ""
    yield from markdown_table(
        ("cross-reactive class", "members", "source"),
        [(group.name, ", ".join(group.members), group.source) for group in rulebook.classes],
    )
    yield ""
    yield "Treatments are recognised and never blamed. They mask a low count as the numbers above say."
    yield ""
    yield from markdown_table(
        ("treatment", "kind", "RxNorm", "what differs"),
        [
            (t.name, t.kind.value.replace("_", "-"), t.rxnorm or "", _own_numbers(t))
            for t in rulebook.treatments
        ],
    )


def _own_numbers(treatment: Treatment) -> str:
    numbers = [(field.name, getattr(treatment, field.name)) for field in fields(treatment)]
    return ", ".join(
        f"{name.replace('_', ' ')} {_value(number)} ({number.source})"
        for name, number in numbers
        if isinstance(number, Count | Number)
    )


def _sources(rulebook: Rulebook) -> Iterable[str]:
    yield "## Sources"
    yield ""
    yield from markdown_table(("name", "source"), list(rulebook.sources.items()))


# Markdown ---------------------------------------------------------------------------------------------------------


def _names(title: str, says: str, words: Mapping[Word, str]) -> Iterable[str]:
    yield f"## {title}"
    yield ""
    yield says
    yield ""
    (enum,) = {type(word) for word in words}
    yield from markdown_table(("name", "meaning"), [(f"`{word.value}`", words[word]) for word in enum])


def _rule_table(table: RuleTable) -> Iterable[str]:
    yield f"## {table.title}"
    yield ""
    yield table.says
    yield ""
    yield from markdown_table(table.headings, table.rows)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; a bar inside a cell becomes a slash."""
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
