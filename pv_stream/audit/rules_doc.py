"""The rules as a document: docs/rules.md, written from the tables that the software runs on.

Numbers, drugs, points, tiers and conditions come from the rulebook and the tables, so they cannot differ from what
the software does. What a word of an output means stands in `audit.output_words`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Final

from pv_stream.audit.criteria_doc import RuleTable, criteria_tables
from pv_stream.audit.output_words import VOCABULARIES, Vocabulary
from pv_stream.audit.row_conditions import Condition, Literal, conditions_of
from pv_stream.codec.canonical import decimal_text
from pv_stream.domain.codes import UNIT_OF, Analyte
from pv_stream.rules.regiscar import TABLE, category
from pv_stream.rules.rulebook import ORGAN_CUT_OFFS, Count, Number, Rulebook, Treatment
from pv_stream.rules.tiers import GIVEN_AGAIN, REPORTED, ROWS, WITHOUT_WATCHED_DRUG, Row

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

#: The lowest and the highest total of the table.
_TOTALS: Final = range(
    sum(min(item.points.values()) for item in TABLE), sum(max(item.points.values()) for item in TABLE) + 1
)


def rules_document(rulebook: Rulebook) -> str:
    """Return the rules under a rulebook as Markdown."""
    sections = (
        _opening(rulebook),
        _tiers(rulebook),
        _regiscar(rulebook),
        *map(_rule_table, criteria_tables(rulebook.parameters)),
        *map(_vocabulary, VOCABULARIES),
        _plausibility(rulebook),
        _parameters(rulebook),
        _drugs(rulebook),
        _products(rulebook),
        _follow_up(rulebook),
        _sources(rulebook),
    )
    return "\n".join(line for section in sections for line in (*section, "")).rstrip() + "\n"


def _opening(rulebook: Rulebook) -> Iterable[str]:
    yield "# The rules"
    yield ""
    yield (
        f"Written by `make docs` from rulebook {rulebook.version} and the tables of the software; do not edit. "
        "What each statement rests on and is tested by is in [traceability.md](traceability.md); where the rules "
        "differ from the clinical specification is in [clinical-differences.md](clinical-differences.md)."
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


def _regiscar(rulebook: Rulebook) -> Iterable[str]:
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
                item.title(rulebook.parameters),
                ", ".join(
                    f"{level.replace('_', ' ')} {_signed(item.points[level])}" for level in item.levels
                ),
                _signed(item.unknown),
            )
            for item in TABLE
        ],
    )
    yield ""
    cut_offs = ", ".join(f"`{name}`" for name in ORGAN_CUT_OFFS)
    yield (
        f"Organs: by finding, or by a value as the profile `{rulebook.organ_profile.name}` "
        f"({rulebook.organ_profile.source}) says: {cut_offs}. Outputs name the profile."
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
                drug.codes_source or "",
                f"{threshold.value:,} ({threshold.source})",
                f"{core[0].value}-{core[1].value}, at most {last.value}",
                ", ".join(route.value for route in drug.routes_outside),
                ", ".join(prodrug.name for prodrug in drug.prodrugs),
            )
        )
    yield from markdown_table(
        (
            "drug",
            "RxNorm",
            "ATC",
            "codes from",
            "eosinophils from, /µL",
            "core of latency",
            "not by route",
            "prodrugs",
        ),
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
        ("treatment", "kind", "RxNorm", "codes from", "what differs"),
        [
            (t.name, t.kind.value.replace("_", "-"), t.rxnorm or "", t.codes_source or "", _own_numbers(t))
            for t in rulebook.treatments
        ],
    )


def _follow_up(rulebook: Rulebook) -> Iterable[str]:
    yield "## Follow-up"
    yield ""
    yield "What alerts advise to measure after a reaction. No rule reads it."
    yield ""
    yield from markdown_table(
        ("what", "how often", "source"),
        [(entry.name, entry.advice, entry.source) for entry in rulebook.follow_up],
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


def _vocabulary(words: Vocabulary) -> Iterable[str]:
    yield f"## {words.title}"
    yield ""
    yield words.says
    yield ""
    yield from markdown_table(
        ("name", "meaning"), [(f"`{word}`", says) for word, says in words.meanings.items()]
    )


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
