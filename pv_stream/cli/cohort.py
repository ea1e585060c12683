"""`pv-stream cohort`: what became of each occurrence of DRESS in a log, and how that compares with a paper."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.cohort.comparison import (
    Compared,
    Published,
    compare,
    read_published,
    read_published_file,
)
from pv_stream.audit.cohort.document import document_of
from pv_stream.audit.cohort.figures import NUMBER_OF, QUESTION_OF, figures_of
from pv_stream.audit.cohort.occurrences import (
    Occurrence,
    Person,
    occurrences_of,
    published_occurrences,
    read_people,
)
from pv_stream.audit.log import open_log
from pv_stream.audit.published_cohort import published_cohort
from pv_stream.audit.replay import ReplayPlan
from pv_stream.cli.options import CarryOption, ClockOption, RulebookOption
from pv_stream.cli.terminal import bullets, plural, program, stderr, stdout
from pv_stream.errors import UsageError
from pv_stream.rulebooks import carried_rulebooks, load_default, load_file
from pv_stream.rules.rulebook import Rulebook

_PUBLISHED: Final = "cyclosporine2023.csv"
_PUBLISHED_TREATMENT: Final = "cyclosporine"


def command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LOG]",
            readable=False,
            help="Canonical events (JSON lines), or an archive. Without one: the 19 rows of the published cohort.",
        ),
    ] = None,
    treatment: Annotated[
        str | None,
        typer.Option(metavar="DRUG", help="Only occurrences treated with it, such as cyclosporine."),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="Age and sex, which no log holds: a CSV file of patient_id, age_years, sex.",
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="FILE",
            readable=False,
            help="Published figures to compare with: a CSV file of measure, statistic, value, note.",
        ),
    ] = None,
    hide_below: Annotated[
        int, typer.Option(min=0, metavar="N", help="Hide counts below N, and what they follow from.")
    ] = 0,
    rulebook: RulebookOption = None,
    carry: CarryOption = None,
    clock: ClockOption = ClockMode.AUTO,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Tabulate every occurrence: culprit, RegiSCAR, treatment, days to clinical resolution, recurrence.

    With their means, medians and rates, denominators and 95 % intervals. Exit code 1 when a published figure that was
    compared does not agree.
    """
    rules = load_default() if rulebook is None else load_file(rulebook)
    if source is None:
        rows = _rows_of_paper(rules, treatment, people)
    else:
        carried = carried_rulebooks(carry or ())
        plan = ReplayPlan(open_log(source), rules, what_if=rulebook is not None, clock=clock, carried=carried)
        rows = occurrences_of(plan, {} if people is None else read_people(people), treatment)
    compared = compare(_published(published, of_paper=source is None), rows)
    document = document_of(rows, figures_of(rows), compared, hide_below=hide_below, synthetic=source is None)
    if as_json:
        typer.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        _show(stdout(), document, rows, compared)
    if document["findings"]:
        raise typer.Exit(1)


def _rows_of_paper(rules: Rulebook, treatment: str | None, people: Path | None) -> list[Occurrence]:
    if treatment is not None or people is not None:
        msg = "--treatment and --people belong to a log: name one"
        raise UsageError(msg)
    return published_occurrences(published_cohort(), rules, _PUBLISHED_TREATMENT)


def _published(file: Path | None, *, of_paper: bool) -> list[Published]:
    if file is not None:
        return read_published_file(file)
    if not of_paper:
        return []
    text = resources.files("pv_stream.audit").joinpath("cases", _PUBLISHED).read_text(encoding="utf-8")
    return read_published(text.splitlines(), _PUBLISHED)


# Tables -----------------------------------------------------------------------------------------------------------


def _show(
    console: Console, document: Mapping[str, Any], rows: Sequence[Occurrence], compared: Sequence[Compared]
) -> None:
    if not rows:
        stderr().print(f"No occurrence. Is it the right log? `{program()} replay` says what is in it.")
    if document["synthetic"]:
        console.print(
            f"[bold]SYNTHETIC[/]: each row of {escape(published_cohort().source)} as a made-up log; below is what "
            "the engine finds in it.\n"
        )
    if document["rows"] is not None and rows:
        console.print(_occurrences(rows))
        console.print()
    console.print(_numbers(document))
    console.print("[dim]Below a mean or a median: its 95 % interval.[/]")
    console.print()
    console.print(_shares(document))
    console.print()
    console.print(_counts(document))
    if compared:
        console.print()
        _print_compared(console, document)


def _occurrences(rows: Sequence[Occurrence]) -> Table:
    """Return the rows; whom nothing is known of beside the log has no column."""
    with_people = any(row.person != Person() for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("occurrence", header_style="dim", no_wrap=True)
    if with_people:
        table.add_column("age, sex", header_style="dim", no_wrap=True)
    table.add_column("suspect drug", header_style="dim", min_width=13, overflow="fold")
    table.add_column("score", header_style="dim", justify="right", no_wrap=True)
    table.add_column("treatment", header_style="dim", min_width=12, overflow="fold")
    table.add_column("resolved after", header_style="dim", min_width=8, overflow="fold")
    table.add_column("recurrence", header_style="dim", min_width=10, overflow="fold")
    for row in rows:
        days = None if row.treatment is None else row.treatment.days_to_clinical_resolution
        person = (f"{_or_dash(row.person.age_years)} {_or_dash(row.person.sex)}",) if with_people else ()
        table.add_row(
            row.label,
            *person,
            " or ".join(row.culprits) or "none",
            str(row.regiscar),
            _treatment(row),
            "unknown" if days is None else plural(days, "day"),
            "" if row.recurrence is None else row.recurrence.replace("_", " "),
        )
    return table


def _treatment(row: Occurrence) -> str:
    given = row.treatment
    if given is None:
        return "-"
    dose = "dose unknown" if given.dose_mg_per_kg is None else f"{given.dose_mg_per_kg:f} mg/kg"
    routes = " and ".join(given.routes) or "route unknown"
    days = "going on" if given.days is None else plural(given.days, "day")
    after = " after a steroid" if given.prior_steroid else ""
    return f"{given.drug}{after}: {dose}, {routes}, {days}"


def _numbers(document: Mapping[str, Any]) -> Table:
    table = _table()
    table.add_column("number", header_style="dim", overflow="fold")
    for heading in ("n", "unknown", "mean", "SD", "median", "range"):
        table.add_column(heading, header_style="dim", justify="right", no_wrap=True)
    for figure in document["numbers"].values():
        ends = (figure.get("low"), figure.get("high"))
        table.add_row(
            f"{figure['title']}, {figure['unit']}",
            str(figure["n"]),
            str(figure["unknown"]),
            _with_interval(figure, "mean"),
            _or_dash(figure.get("deviation")),
            _with_interval(figure, "median"),
            "-" if None in ends else _or_dash(list(ends)),
        )
    return table


def _with_interval(figure: Mapping[str, Any], name: str) -> str:
    """Return a number, and below it its 95 % interval."""
    interval = figure.get(f"{name}_interval")
    value = _or_dash(figure.get(name))
    return value if interval is None else f"{value}\n[dim]{_or_dash(interval)}[/]"


def _shares(document: Mapping[str, Any]) -> Table:
    table = _table()
    table.add_column("share", header_style="dim", overflow="fold")
    for heading in ("yes", "of", "unknown", "share", "95 %"):
        table.add_column(heading, header_style="dim", justify="right", no_wrap=True)
    for figure in document["shares"].values():
        among = figure["among"]
        table.add_row(
            f"{figure['title']}\n[dim]of {'all' if among == 'all' else f'those {among}'}[/]",
            *(_or_dash(figure[name]) for name in ("count", "of", "unknown", "share", "interval")),
        )
    return table


def _counts(document: Mapping[str, Any]) -> Table:
    table = _table()
    table.add_column("how often", header_style="dim", no_wrap=True)
    table.add_column("", header_style="dim")
    for figure in document["counts"].values():
        told = (f"{word.replace('_', ' ')} {count}" for word, count in figure["counts"].items())
        table.add_row(figure["title"], ", ".join(told) or "none")
    return table


def _print_compared(console: Console, document: Mapping[str, Any]) -> None:
    agreeing = [each for each in document["compared"] if each["agrees"]]
    differing = [each for each in document["compared"] if each["agrees"] is False]
    hidden = len(document["compared"]) - len(agreeing) - len(differing)
    console.print(
        f"[bold]Published figures[/]: {len(agreeing)} agree, "
        f"{plural(len(differing), 'finding')} where publication and table disagree"
    )
    console.print(bullets(escape(_finding(each)) for each in differing))
    if agreeing:
        names = (f"{_measure(each)} {each['published']['value']}" for each in agreeing)
        console.print(f"[dim]Agreeing: {escape('; '.join(names))}[/]")
    if hidden:
        console.print(f"[dim]{plural(hidden, 'figure')} not compared: what the log says is hidden.[/]")


def _finding(each: Mapping[str, Any]) -> str:
    published = each["published"]
    against = f": {', '.join(each['against'])}" if each["against"] else ""
    what = f"{_measure(each)}: published {published['value']}, computed {each['computed']}{against}"
    return f"{what} ({published['note']})" if published["note"] else what


def _measure(each: Mapping[str, Any]) -> str:
    measure, statistic = each["published"]["measure"], each["published"]["statistic"]
    named = NUMBER_OF.get(measure) or QUESTION_OF[measure]
    return f"{named.title}, {statistic}"


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _or_dash(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value[0]} to {value[1]}" if isinstance(value, list) else str(value)
