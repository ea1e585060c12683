"""`pv-stream evaluate`: what the alerts find and what they cost, beside simple rules on the same log."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.clock import ClockMode, settle
from pv_stream.audit.evaluation.hospital import HospitalAssumptions, Truth, made_up_hospital
from pv_stream.audit.evaluation.report import (
    ALERTS,
    FOUND_HEADINGS,
    SYNTHETIC,
    beforehand_text,
    document_of,
    found_row,
    merged_text,
    not_in_log_text,
    page_of,
)
from pv_stream.audit.evaluation.run import Evaluation, evaluate, read_truth
from pv_stream.audit.log import Log, LogForm, LogRecord, open_log, read_log, survey
from pv_stream.audit.replay import ReplayPlan
from pv_stream.cli.options import CarryOption, ClockOption, RulebookOption
from pv_stream.cli.terminal import plural, program, progress, stderr, stdout
from pv_stream.domain.times import parse_instant
from pv_stream.errors import UsageError
from pv_stream.rulebooks import carried_rulebooks, load_default, load_file
from pv_stream.shard.fold import RawRecord

_SEED: Final = 2026
#: The first day of the made-up hospital: any would do.
_START: Final = "2026-01-05T00:00:00Z"


def command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LOG]",
            readable=False,
            help="A log whose truth you know. Without one: a made-up hospital.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="The cases of LOG: a CSV file of patient_id, culprit, first_sign.",
        ),
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="How many patients are made up.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed makes another hospital.")] = _SEED,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one page with plots, too.")
    ] = None,
    rulebook: RulebookOption = None,
    carry: CarryOption = None,
    clock: ClockOption = ClockMode.AUTO,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure sensitivity, PPV, alerts per 1,000 patient-days and hours to the alert, by tier, culprit and rule.

    Beside a bare threshold of eosinophils and the rules of a published benchmark, on the same log.
    """
    rules = load_default() if rulebook is None else load_file(rulebook)
    carried = carried_rulebooks(carry or ())
    if source is None:
        if truth is not None:
            msg = "--truth belongs to a log: name one"
            raise UsageError(msg)
        log = Log(Path(), LogForm.EVENTS, 1, makes_transfers=True)
        known = HospitalAssumptions(patients=patients)
        plan = ReplayPlan(log, rules, what_if=rulebook is not None, carried=carried)
        evaluation = _of_hospital(plan, known, seed)
        document = document_of(evaluation, synthetic={"seed": seed, **asdict(known)})
    else:
        plan = ReplayPlan(open_log(source), rules, what_if=rulebook is not None, clock=clock, carried=carried)
        evaluation = _of_log(plan, truth)
        document = document_of(evaluation, synthetic=None)
    if html is not None:
        html.write_text(page_of(evaluation, document), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        _show(document, html)


def _of_hospital(plan: ReplayPlan, known: HospitalAssumptions, seed: int) -> Evaluation:
    lines, truth = made_up_hospital(seed=seed, start=parse_instant(_START), assumptions=known)
    total, records = 0, []
    for position, line in enumerate(lines):
        total += len(line.value)
        records.append(LogRecord(0, RawRecord(position, line.patient_id.encode(), line.value), total))
    with progress("Evaluating", total) as told:
        return evaluate(records, plan, truth, ClockMode.DAILY, told)


def _of_log(plan: ReplayPlan, truth: Path | None) -> Evaluation:
    if truth is None:
        msg = "who is a case must be known: name a CSV file with --truth"
        raise UsageError(msg)
    cases: list[Truth] = read_truth(truth)
    found = survey(plan.log)
    with progress("Evaluating", found.size_bytes) as told:
        return evaluate(read_log(plan.log), plan, cases, settle(plan.clock, found), told)


def _show(document: dict[str, Any], html: Path | None) -> None:
    console = stdout()
    if document["synthetic"]:
        console.print(f"[bold]{SYNTHETIC[:9]}[/]{SYNTHETIC[9:]}\n")
    console.print(
        f"{plural(document['patients'], 'patient')}, {document['cases']:,} with DRESS, "
        f"{document['patient_days']:,} patient-days, {plural(document['events'], 'event')}\n"
    )
    if document["records_merged"]:
        console.print(f"{merged_text(document['records_merged'])}\n")
    if document["cases_not_in_log"]:
        stderr().print(not_in_log_text(document["cases_not_in_log"]), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in FOUND_HEADINGS:
        table.add_column(heading, header_style="dim")
    for found in document["found"]:
        table.add_row(*found_row(found, in_two_lines=True))
    console.print(table)
    if beforehand := beforehand_text(document):
        console.print(f"\n{escape(beforehand)}")
    console.print(f"\n[dim]{ALERTS} Below each: its 95 % interval, and the range of the hours.[/]")
    if html is not None:
        stderr().print(f"Written: {escape(str(html))}")
    elif document["synthetic"]:
        stderr().print(f"With plots, culprits and assumptions: {program()} evaluate --html report.html")
