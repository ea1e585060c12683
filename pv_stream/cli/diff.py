"""`pv-stream diff`: who would have been told otherwise under another rulebook, and which change of it does that."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.log import open_log
from pv_stream.audit.replay import ReplayPlan
from pv_stream.audit.rulebook_effects import Effects, effects_of
from pv_stream.audit.rulebook_effects_page import page_of, told_text
from pv_stream.cli.options import ClockOption
from pv_stream.cli.terminal import plural, stderr, stdout, steps
from pv_stream.rulebooks import load_named

#: How many patients a terminal shows; the page and --json have all.
_SHOWN_MAX = 40


def command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        Path,
        typer.Argument(metavar="LOG", readable=False, help="Canonical events (JSON lines), or an archive."),
    ],
    old: Annotated[str, typer.Argument(metavar="OLD", help="A shipped version, or a file.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="A shipped version, or a file.")],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one page, too.")
    ] = None,
    clock: ClockOption = ClockMode.AUTO,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare two rulebooks on one log: alerts and tiers gained and lost, patient by patient, and why.

    The log is read under each, whatever rulebook it names itself. Exit code 1 when somebody would have been told
    otherwise. What the rulebooks say differently: `pv-stream rules diff`.
    """
    rulebooks = load_named(old), load_named(new)
    plan = ReplayPlan(open_log(source), rulebooks[0], what_if=True, clock=clock)
    with steps("Comparing") as told:
        effects = effects_of(plan, *rulebooks, told)
    if html is not None:
        html.write_text(page_of(effects), encoding="utf-8")
        stderr().print(f"Written: {escape(str(html))}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(_as_json(effects), indent=2, sort_keys=True))
    else:
        _show(stdout(), effects)
    if effects.differences:
        raise typer.Exit(1)


def _as_json(effects: Effects) -> dict[str, Any]:
    differences = [{**asdict(each), "what": each.what} for each in effects.differences]
    return {**asdict(effects), "what_if": True, "differences": differences}


def _show(console: Console, effects: Effects) -> None:
    old, new = effects.old, effects.new
    console.print(
        f"WHAT IF: {plural(effects.patients, 'patient')} under {escape(old.version)} and {escape(new.version)}; "
        f"{old.patients:,} and {new.patients:,} with an alert\n"
    )
    if not effects.differences:
        console.print("Nobody would have been told otherwise.")
        return
    counted = Counter((each.what, each.kind) for each in effects.differences)
    table = _table("patients", "what", "kind")
    for (what, kind), count in counted.items():
        table.add_row(f"{count:,}", what, kind.replace("_", " "))
    console.print(table)
    console.print()
    table = _table("what", "patient", "kind", "old", "new", "because of")
    for each in effects.differences[:_SHOWN_MAX]:
        table.add_row(
            each.what,
            each.patient_id,
            each.kind.replace("_", " "),
            told_text(each.old),
            told_text(each.new),
            ", ".join(each.because),
        )
    console.print(table)
    if len(effects.differences) > _SHOWN_MAX:
        more = len(effects.differences) - _SHOWN_MAX
        console.print(f"and {more:,} more: --html FILE or --json has all of them")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, header_style="dim")
    return table
