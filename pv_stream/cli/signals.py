"""`pv-stream signals`: which drugs are reported with DRESS more than others, in the safety reports of a log."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.disproportionality import Estimate, Fourfold
from pv_stream.audit.log import open_log, read_log
from pv_stream.audit.signals import Every, Look, first_disproportionate, look
from pv_stream.cli.terminal import plural, program, stderr, stdout


def command(
    source: Annotated[
        Path,
        typer.Argument(metavar="LOG", readable=False, help="Canonical events (JSON lines), or an archive."),
    ],
    every: Annotated[
        Every, typer.Option(help="How long a period is; each is judged by its end.")
    ] = Every.QUARTER,
    drug: Annotated[str | None, typer.Option(metavar="NAME", help="Show one drug, period by period.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print every period as JSON.")] = False,
) -> None:
    """Compare how often each suspected drug is reported with DRESS and with other reactions: PRR, ROR and IC.

    Counts safety reports only (E2B, openFDA), a case with all its follow-ups once. A disproportion is a hypothesis to
    look into, not a finding about a drug, and no rate.
    """
    log = open_log(source)
    looks = look(read_log(log), every)
    if as_json:
        typer.echo(json.dumps([_as_json(each) for each in looks], indent=2, sort_keys=True))
    elif looks and drug is None:
        _show_last(stdout(), looks)
    elif looks:
        _show_drug(stdout(), looks, drug or "")
    if not looks:
        stderr().print(
            f"No safety report in {escape(str(source))}: `{program()} ingest` reads E2B and openFDA files.",
            soft_wrap=True,
        )


def _as_json(seen: Look) -> dict[str, Any]:
    return {
        "period": seen.period,
        "cases": seen.cases,
        "dress": seen.dress,
        "drugs": {
            drug: {
                "reports": {"a": counts.a, "b": counts.b, "c": counts.c, "d": counts.d},
                "expected": round(counts.expected, 4),
                "prr": _numbers(counts.prr),
                "chi_squared": None if counts.chi_squared is None else round(counts.chi_squared, 4),
                "ror": _numbers(counts.ror),
                "ic": _numbers(counts.ic),
                "disproportionate": {
                    "prr": counts.is_disproportionate_by_prr,
                    "ror": counts.is_disproportionate_by_ror,
                    "ic": counts.is_disproportionate_by_ic,
                },
            }
            for drug, counts in seen.drugs.items()
        },
    }


def _numbers(estimate: Estimate | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    ends = estimate.interval
    return {"value": round(estimate.value, 4), "low": round(ends.low, 4), "high": round(ends.high, 4)}


def _show_last(console: Console, looks: list[Look]) -> None:
    last = looks[-1]
    console.print(
        f"{plural(last.cases, 'case')} received by the end of {last.period}, {last.dress:,} with DRESS. "
        "Suspected drugs, those reported most above what is expected first:\n"
    )
    table = _table("suspected drug")
    table.add_column("since", header_style="dim", no_wrap=True)
    ranked = sorted(last.drugs.items(), key=lambda item: (-item[1].ic.interval.low, item[0]))
    for drug, counts in ranked:
        table.add_row(drug, *_cells(counts), first_disproportionate(looks, drug) or "-")
    console.print(table)
    _print_key(console)


def _show_drug(console: Console, looks: list[Look], drug: str) -> None:
    told = [(each.period, each.drugs[drug]) for each in looks if drug in each.drugs]
    if not told:
        console.print(f"No case names {escape(drug)} as suspected.")
        return
    console.print(f"{escape(drug)}, by the end of each period:\n")
    table = _table("period")
    for period, counts in told:
        table.add_row(period, *_cells(counts))
    console.print(table)
    _print_key(console)


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, header_style="dim", no_wrap=True)
    for heading in ("DRESS", "other", "expected", "PRR", "ROR", "IC"):
        table.add_column(heading, header_style="dim", justify="right", no_wrap=True)
    table.add_column("above by", header_style="dim", min_width=10)
    return table


def _cells(counts: Fourfold) -> list[str]:
    above = {
        "PRR": counts.is_disproportionate_by_prr,
        "ROR": counts.is_disproportionate_by_ror,
        "IC": counts.is_disproportionate_by_ic,
    }
    return [
        f"{counts.a:,}",
        f"{counts.b:,}",
        f"{counts.expected:.1f}",
        _text(counts.prr, 1),
        _text(counts.ror, 1),
        _text(counts.ic, 2),
        " ".join(name for name, is_above in above.items() if is_above) or "-",
    ]


def _text(estimate: Estimate | None, decimals: int) -> str:
    if estimate is None:
        return "-"
    ends = estimate.interval
    return f"{estimate.value:.{decimals}f} ({ends.low:.{decimals}f} to {ends.high:.{decimals}f})"


def _print_key(console: Console) -> None:
    console.print(
        "\n[dim]In brackets: 95 % intervals. Above: PRR >= 2 with chi2 >= 4 and 3 cases (Evans 2001); ROR, its "
        "interval above 1 with 3 cases; IC, its interval above 0 (Noren 2013). -: a count that it divides by is 0. A "
        "disproportion is a hypothesis to look into; it is no rate, and looking often finds more by chance.[/]"
    )
