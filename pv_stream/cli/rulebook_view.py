"""A rulebook as tables for a person, and as JSON for a program."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from pv_stream.cli.terminal import stdout
from pv_stream.codec.canonical import decimal_text
from pv_stream.rules.rulebook import Count, Number, Rulebook, WatchedDrug

UNCONFIRMED: Final = "UNCONFIRMED"
_DRUG_HEADINGS: Final = ("drug", "RxNorm", "codes from", "from/µL", "core", "window", "lag", "notes")
_WINDOW: Final = (
    "(eosinophils from; core and end of the window, in days after the start; days after the last dose; "
    "* the drug's own number)"
)


def rulebook_json(rules: Rulebook) -> Any:
    """Return everything that a rulebook says in JSON's own types; decimals are text."""
    return _plain(asdict(rules))


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return decimal_text(value)
    return value.value if isinstance(value, Enum) else value


def print_rulebook(rules: Rulebook) -> None:
    """Print a rulebook; what no source was found for is marked."""
    console = stdout()
    console.print(f"[bold]Rulebook {escape(rules.version)}[/] {rules.digest}", soft_wrap=True)
    console.print(f"engine version {rules.engine_version}\n")
    numbers = [(f.name, getattr(rules.parameters, f.name)) for f in fields(rules.parameters)]
    numbers.append(("fraction_below_per_ul", rules.plausibility_of_counts.fraction_below_per_ul))
    console.print(_table(("number", "value", "source"), (_number_row(*each) for each in numbers)))
    profile = rules.organ_profile
    console.print(f"\n[bold]Organ profile[/] {escape(profile.name)} ({_mark(profile.source)})")
    console.print(f"\n[bold]Watched drugs[/] {_WINDOW}", soft_wrap=True)
    console.print(
        _table(_DRUG_HEADINGS, (_default_row(rules), *(_drug_row(drug, rules) for drug in rules.drugs)))
    )
    _print_groups(rules)
    console.print("\n[bold]Sources[/]")
    for name, text in rules.sources.items():
        console.print(f"{_mark(name)}: {escape(text)}", soft_wrap=True)


def _print_groups(rules: Rulebook) -> None:
    console = stdout()
    console.print("\n[bold]Products of several ingredients[/]")
    products = ((" / ".join(c.ingredients), ", ".join(c.names), _mark(c.source)) for c in rules.combinations)
    console.print(_table(("ingredients", "names", "source"), products))
    console.print("\n[bold]Cross-reactive classes[/]")
    classes = ((group.name, ", ".join(group.members), _mark(group.source)) for group in rules.classes)
    console.print(_table(("class", "drugs", "source"), classes))
    console.print("\n[bold]Treatments[/] (never blamed)")
    treatments = (
        (
            t.name,
            t.kind.value.replace("_", " "),
            t.rxnorm or "-",
            _mark(t.codes_source or "-"),
            ", ".join(t.names),
        )
        for t in rules.treatments
    )
    console.print(_table(("treatment", "kind", "RxNorm", "codes from", "names"), treatments))
    console.print("\n[bold]Follow-up[/] (advice for a person)")
    advice = ((entry.name, entry.advice, _mark(entry.source)) for entry in rules.follow_up)
    console.print(_table(("what", "how often", "source"), advice))
    console.print("\n[bold]Plausible ranges[/] (a value outside is held for a person)")
    limits = (
        (analyte.value, f"{decimal_text(held.minimum)} to {decimal_text(held.maximum)}", _mark(held.source))
        for analyte, held in rules.plausibility.items()
    )
    console.print(_table(("test", "range", "source"), limits))


def _number_row(name: str, number: Number | Count) -> Sequence[str]:
    value = number.value
    return name, str(value) if isinstance(value, int) else decimal_text(value), _mark(number.source)


def _default_row(rules: Rulebook) -> Sequence[str]:
    p = rules.parameters
    numbers = (p.latency_core_min_days, p.latency_core_max_days, p.latency_max_days, p.lag_days)
    low, high, latest, lag = (str(number.value) for number in numbers)
    return "(default)", "", "", str(rules.defaults.threshold_per_ul.value), f"{low}-{high}", latest, lag, ""


def _drug_row(drug: WatchedDrug, rules: Rulebook) -> Sequence[str]:
    p = rules.parameters
    low = _own(drug.latency_core_min_days, p.latency_core_min_days)
    high = _own(drug.latency_core_max_days, p.latency_core_max_days)
    return (
        drug.name,
        drug.rxnorm or "-",
        _mark(drug.codes_source or "-"),
        _own(drug.threshold_per_ul, rules.defaults.threshold_per_ul),
        f"{low}-{high}",
        _own(drug.latency_max_days, p.latency_max_days),
        _own(drug.lag_days, p.lag_days),
        "; ".join(_notes(drug)),
    )


def _own(own: Count | None, default: Count) -> str:
    return str(default.value) if own is None else f"{own.value}*"


def _notes(drug: WatchedDrug) -> Iterable[str]:
    own = (getattr(drug, f.name) for f in fields(drug))
    sources = dict.fromkeys(_mark(number.source) for number in own if isinstance(number, Count))
    yield from (f"* {source}" for source in sources)
    yield from (f"also {prodrug.name}" for prodrug in drug.prodrugs)
    yield from (f"not {route.value}" for route in drug.routes_outside)


def _mark(source: str) -> str:
    return f"[yellow]{source}[/]" if source == UNCONFIRMED else escape(source)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, header_style="dim", overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table
