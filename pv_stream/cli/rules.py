"""`pv-stream rules`: what the rulebook says, with the source of every number."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pv_stream.cli.terminal import stdout
from pv_stream.rulebooks import load_default, load_file
from pv_stream.rules.rulebook import Rulebook

app = typer.Typer(
    help="Show the rulebook: drugs, numbers and their sources.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

RulebookOption = Annotated[
    Path | None, typer.Option("--rulebook", metavar="FILE", help="Another rulebook's file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_rulebooks(*, as_json: JsonOption = False) -> None:
    """List the rulebooks that ship with this version."""
    rules = load_default()
    known = {"version": rules.version, "digest": rules.digest, "drugs": len(rules.drugs)}
    if as_json:
        typer.echo(json.dumps([known], indent=2))
        return
    typer.echo(f"{rules.version}  {rules.digest}  {len(rules.drugs)} watched drugs")


@app.command()
def show(rulebook: RulebookOption = None, *, as_json: JsonOption = False) -> None:
    """Show every number with its source, and every watched drug with its threshold."""
    rules = load_default() if rulebook is None else load_file(rulebook)
    if as_json:
        typer.echo(json.dumps(_as_json(rules), indent=2, sort_keys=True, default=str))
        return
    console = stdout()
    console.print(f"[bold]Rulebook {rules.version}[/] {rules.digest}", soft_wrap=True)
    numbers = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("number", "value", "source"):
        numbers.add_column(heading, header_style="dim", overflow="fold")
    for name, number in asdict(rules.parameters).items():
        numbers.add_row(name, str(number["value"]), number["source"])
    console.print(numbers)
    drugs = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("watched drug", "RxNorm", "eosinophils from", "cross-reactive with"):
        drugs.add_column(heading, header_style="dim")
    for drug in rules.drugs:
        partners = ", ".join(sorted(rules.class_partners.get(drug.name, ())))
        drugs.add_row(drug.name, drug.rxnorm or "-", f"{rules.threshold_per_ul(drug):,}/µL", partners)
    console.print()
    console.print(drugs)
    console.print("\n[bold]Sources[/]")
    for name, text in rules.sources.items():
        console.print(f"{name}: {text}")


def _as_json(rules: Rulebook) -> dict[str, Any]:
    return {
        "version": rules.version,
        "digest": rules.digest,
        "engine_version": rules.engine_version,
        "sources": dict(rules.sources),
        "parameters": asdict(rules.parameters),
        "drugs": [asdict(drug) for drug in rules.drugs],
    }
