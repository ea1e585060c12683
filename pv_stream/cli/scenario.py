"""`pv-stream scenario`: check cases that a pharmacist wrote against the rules."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pv_stream.audit.scenario_check import Verdict, check, say_came, say_differences
from pv_stream.audit.scenario_file import find_scenarios, read_scenario
from pv_stream.rulebooks import load_default, load_file


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|DIR...", readable=False, help="Scenario files, or folders of them."),
    ],
    rulebook: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="Check against this rulebook.")
    ] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every case and what came.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> None:
    """Check YAML cases: given these events, expect these alerts, and nothing else."""
    rules = load_default() if rulebook is None else load_file(rulebook)
    verdicts = [verdict for path in find_scenarios(paths) for verdict in check(read_scenario(path), rules)]
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if as_json:
        typer.echo(json.dumps({"rulebook": rules.version, "cases": list(map(_as_json, verdicts))}, indent=2))
    else:
        _print(verdicts, verbose=verbose)
        typer.echo(
            f"{len(verdicts) - len(failed)} of {len(verdicts)} cases as expected (rulebook {rules.version})"
        )
    if failed:
        raise typer.Exit(1)


def _print(verdicts: list[Verdict], *, verbose: bool) -> None:
    for verdict in verdicts:
        if verdict.passed and not verbose:
            continue
        scenario = verdict.scenario
        mark = "ok    " if verdict.passed else "FAILED"
        typer.echo(f"{mark} {scenario.title}: {verdict.case.name} ({scenario.path}:{verdict.case.line})")
        if verbose:
            for came in verdict.came:
                typer.echo(f"       {say_came(came, scenario.utc_offset_minutes)}")
        if not verdict.passed:
            typer.echo(f"       rule: {scenario.rule}")
            for line in say_differences(verdict):
                typer.echo(f"       {line}")
            typer.echo("")


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "file": str(verdict.scenario.path),
        "line": verdict.case.line,
        "scenario": verdict.scenario.title,
        "case": verdict.case.name,
        "source": verdict.scenario.source,
        "passed": verdict.passed,
        "differences": say_differences(verdict),
    }
