"""`pv-stream demo`: what the system does, on made-up patients, in a way that a pharmacist can follow."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from pv_stream.audit.demo import (
    CASE_FILE,
    LOG_FILE,
    REPLAY_FOLDER,
    SEED_DEFAULT,
    Demonstration,
    demonstrate,
)
from pv_stream.audit.fact_view import FactView
from pv_stream.audit.published_cohort import Outcome, published_outcome
from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.cli.demo_stories import print_recurrence_stories, story_table
from pv_stream.cli.terminal import kind_text, moment, plural, program, short_id, stdout, tier_text
from pv_stream.codec.canonical import decimal_text
from pv_stream.rulebooks import load_default
from pv_stream.rules.regiscar import TABLE

#: How many alerts of each tier are shown in full; the others are counted.
_SHOWN_MAX: Final = {"critical": 4, "warning": 3, "info": 2}
_EVIDENCE_MAX: Final = 4
_ASKED_FIRST: Final = ("eosinophils", "body temperature", "ALT", "rash", "facial oedema")


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the demo's log and outputs.")] = Path(
        "pv-stream-demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed makes another ward.")] = SEED_DEFAULT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came as JSON.")] = False,
) -> None:
    """Show published cases and a synthetic ward through the real engine. No broker, no network."""
    demo = demonstrate(out, load_default(), seed=seed)
    if as_json:
        typer.echo(json.dumps(as_json_document(demo), indent=2, sort_keys=True, ensure_ascii=False))
        return
    show(stdout(), demo)


def show(console: Console, demo: Demonstration) -> None:
    """Print a demonstration for a person."""
    _print_what_this_is(console, demo)
    _print_imatinib(console, demo)
    _print_cohort(console, demo)
    print_recurrence_stories(console, demo)
    _print_ward(console, demo)
    _print_recurrences(console, demo)
    _print_next(console, demo)


def as_json_document(demo: Demonstration) -> dict[str, Any]:
    """Return a demonstration for a program."""
    return {
        "synthetic": True,
        "validated": False,
        "seed": demo.seed,
        "patients": demo.patients,
        "manifest": demo.manifest,
        "alerts": demo.alerts,
        "recurrences": demo.recurrences,
        "imatinib_case": [{"stream": stream, "value": value} for stream, value in demo.imatinib.told],
        "recurrence_stories": [
            {
                "story": told.story.case.name,
                "patient_id": told.story.patient_id,
                "told": [{"stream": stream, "value": value} for stream, value in told.told],
            }
            for told in demo.recurrences_told
        ],
        "cohort": {
            "source": demo.cohort.source,
            "rows": [
                {
                    "row": row.row,
                    "patient_id": row.patient_id,
                    "published": _outcome(published_outcome(row)),
                    "found": _outcome(demo.outcomes[row.row]),
                }
                for row in demo.cohort.occurrences
            ],
            "disagreements": [asdict(found) for found in demo.cohort.disagreements],
        },
        "next": list(_commands(demo)),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "mg_per_kg": decimal_text(outcome.mg_per_kg)}


def _print_what_this_is(console: Console, demo: Demonstration) -> None:
    records = demo.manifest["input"]["records"]
    console.print(
        Panel(
            "Watches drugs, blood counts, temperatures, liver tests and skin findings together, and flags suspected "
            "DRESS (drug reaction with eosinophilia and systemic symptoms), its culprit and its recurrence.\n\n"
            "[bold]Everybody here is synthetic.[/] One patient is rebuilt from a published abstract, "
            f"{len(demo.cohort.occurrences)} from the rows of a published table, {len(demo.recurrences_told)} from its "
            "discussion, the others are made up from assumptions. Nothing is validated for clinical use; no rate seen "
            "here says anything about a hospital.",
            title="pv_stream: a demonstration",
            title_align="left",
        )
    )
    console.print(
        f"{plural(records, 'event')} of {plural(demo.patients, 'synthetic patient')} (seed {demo.seed}) went through "
        f"the engine; rulebook {demo.manifest['rulebooks'][0]['version']}.\n"
    )


# The imatinib case ------------------------------------------------------------------------------------------------


def _print_imatinib(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]1. The published imatinib case[/]", align="left")
    console.print(
        f"[dim]Reconstructed from {escape(demo.imatinib.story.scenario.source)}; hours and days between are "
        "assumed.[/]\n"
    )
    console.print(story_table(demo.imatinib, by_day=False))
    _print_score(console, demo.imatinib_alert)
    console.print()


def _print_score(console: Console, alert: Mapping[str, Any]) -> None:
    score = alert["regiscar"]
    parameters = load_default().parameters
    titles = {item.name: item.title(parameters) for item in TABLE}
    unknown = [titles[item["item"]] for item in score["items"] if len(item["levels"]) > 1]
    category = {name: word.replace("_", " ") for name, word in score["category"].items()}
    console.print(
        f"\nRegiSCAR is [bold]{score['current']}[/] ({category['current']}) on what is documented, and could be "
        f"anything from {score['worst']} to {score['best']} ({category['best']}): {score['unknown_items']} of "
        f"{len(score['items'])} criteria are unknown, and unknown is not no."
    )
    console.print(Padding(f"[dim]unknown: {escape('; '.join(unknown))}[/]", (0, 0, 0, 2)))
    if alert["recurrence"]:
        console.print(
            "The tier is critical all the same: the same drug, in a new course, brought the reaction back "
            f"({alert['recurrence']['primary']}, {alert['recurrence']['interval_days']} days from onset to onset)."
        )
    if alert["course"] is not None:
        console.print(
            "It stays open: under reslizumab, while imatinib goes on, a low count and a quiet skin are control, "
            "not resolution. The flare two weeks later belonged to the same alert."
        )


# The cohort -------------------------------------------------------------------------------------------------------


def _print_cohort(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]2. The published cyclosporine cohort[/]", align="left")
    console.print(
        f"[dim]Each row of {escape(demo.cohort.source)} as a synthetic log; below is what the engine finds in it. "
        "Only the figures are published (cyclosporine twice a day); days, findings and values are assumed.[/]\n"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("row", "score"):
        table.add_column(heading, header_style="dim", justify="right", no_wrap=True)
    table.add_column("suspect drug", header_style="dim", ratio=4)
    table.add_column("steroid", header_style="dim", ratio=2)
    table.add_column("cyclosporine", header_style="dim", ratio=4)
    table.add_column("resolved after", header_style="dim", ratio=2)
    table.add_column("recurrence", header_style="dim", ratio=3)
    for row in demo.cohort.occurrences:
        found = demo.outcomes[row.row]
        table.add_row(
            str(row.row),
            str(found.regiscar),
            " or ".join(found.drugs),
            "before" if found.prior_steroid else "none",
            f"{decimal_text(found.mg_per_kg)} mg/kg, {plural(found.days, 'day')}",
            "unknown" if found.days_to_resolution is None else plural(found.days_to_resolution, "day"),
            "" if found.recurrence is None else found.recurrence.replace("_", " "),
        )
    console.print(table)
    _print_cohort_sums(console, demo)


def _print_cohort_sums(console: Console, demo: Demonstration) -> None:
    rows, outcomes = demo.cohort.occurrences, list(demo.outcomes.values())
    alike = sum(demo.outcomes[row.row] == published_outcome(row) for row in rows)
    days = [found.days_to_resolution for found in outcomes if found.days_to_resolution is not None]
    console.print(
        f"\n{alike} of {plural(len(rows), 'row')} came out as published: drug, score, steroid, treatment, days to "
        f"resolution, recurrence. Mean score {_mean([found.regiscar for found in outcomes])}; resolved after "
        f"{_mean(days)} days on average ({len(days)} rows)."
    )
    console.print("Where the publication's prose and its table differ, the table counts:")
    for found in demo.cohort.disagreements:
        console.print(
            Padding(f"[dim]{found.about}: prose {found.prose}; table {found.table}[/]", (0, 0, 0, 2))
        )
    console.print()


def _mean(numbers: Sequence[int]) -> str:
    return str((Decimal(sum(numbers)) / len(numbers)).quantize(Decimal("0.01")))


# The ward ---------------------------------------------------------------------------------------------------------


def _print_ward(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]4. The synthetic ward[/]", align="left")
    ward = demo.ward
    worklist = [alert for alert in ward if alert["status"] not in OFF_THE_LIST]
    concerned = len({alert["patient_id"] for alert in worklist})
    console.print(
        f"{demo.ward_patients} patients with routine results, antibiotics, eosinophilia without any drug, late and "
        f"corrected results, duplicates. On the worklist: {plural(len(worklist), 'alert')} on "
        f"{plural(concerned, 'patient')}; {plural(len(ward) - len(worklist), 'alert')} closed or withdrawn.\n"
    )
    for tier, shown_max in _SHOWN_MAX.items():
        alerts = _varied([alert for alert in worklist if alert["tier"] == tier])
        console.print(f"{tier_text(tier)}: {plural(len(alerts), 'alert')}")
        for alert in alerts[:shown_max]:
            _print_alert(console, demo, alert)
        if len(alerts) > shown_max:
            console.print(f"  [dim]... and {len(alerts) - shown_max} more, in the files named below[/]")
        console.print()


def _varied(alerts: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put the first alert of each kind before the others, so that what is shown is not all of one kind."""
    first = {alert["kind"]: alert["alert_id"] for alert in reversed(alerts)}
    return sorted(alerts, key=lambda alert: alert["alert_id"] != first[alert["kind"]])


def _print_alert(console: Console, demo: Demonstration, alert: Mapping[str, Any]) -> None:
    kind = kind_text(alert["kind"])
    named = f"[bold]{kind}[/], {alert['patient_id']}, {moment(alert['as_of'])}"
    console.print(Padding(f"{named} [dim]{short_id(alert['alert_id'])}[/]", (0, 0, 0, 2)))
    console.print(Padding(escape(alert["reason"]), (0, 0, 0, 4)))
    views = sorted(demo.evidence(alert), key=_weight)
    more = f"; and {len(views) - _EVIDENCE_MAX} more" if len(views) > _EVIDENCE_MAX else ""
    told = "; ".join(map(_brief, views[:_EVIDENCE_MAX]))
    console.print(Padding(f"[dim]evidence: {escape(told)}{more}[/]", (0, 0, 0, 4)))


def _weight(view: FactView) -> int:
    """Put what a pharmacist asks first before the rest: counts, then signs, then drugs, leukocytes last."""
    return next(
        (place for place, word in enumerate(_ASKED_FIRST) if view.what.startswith(word)), len(_ASKED_FIRST)
    )


def _brief(view: FactView) -> str:
    return f"{view.what} {view.used} ({view.when[:10]})"


def _print_recurrences(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]5. Every recurrence[/]", align="left")
    if not demo.recurrences:
        console.print("None.\n")
        return
    for found in demo.recurrences:
        suspect = f", suspect {' and '.join(found['drugs'])}" if found["drugs"] else ""
        console.print(
            f"[bold]{found['primary'].replace('_', ' ')}[/]{suspect}, {found['patient_id']}, "
            f"{moment(found['as_of'])}: {found['interval_days']} days after the onset of the earlier episode "
            f"({found['status']})"
        )
    console.print()


# What to try ------------------------------------------------------------------------------------------------------


def _commands(demo: Demonstration) -> Iterator[tuple[str, str]]:
    log, replayed = demo.directory / LOG_FILE, demo.directory / REPLAY_FOLDER
    where = ["--log", str(log), "--out", str(replayed)]
    yield (
        "why the imatinib alert: every criterion",
        _command("explain", short_id(demo.imatinib_alert["alert_id"]), *where),
    )
    if demo.ward:
        yield (
            "why the first alert of the ward",
            _command("explain", short_id(demo.ward[0]["alert_id"]), *where),
        )
    again = demo.directory.parent / f"{demo.directory.name}-again"
    yield (
        "the same log again: the same digests in manifest.json",
        _command("replay", str(log), "--out", str(again)),
    )
    yield (
        "the imatinib case as a scenario: edit it, see what changes",
        _command("scenario", "--verbose", str(demo.directory / CASE_FILE)),
    )


def _command(*words: str) -> str:
    return f"{program()} {shlex.join(words)}"


def _print_next(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]Try next[/]", align="left")
    for why, command_line in _commands(demo):
        console.print(f"[dim]# {why}[/]")
        console.print(f"{escape(command_line)}", soft_wrap=True)
    console.print(escape(f"\nThe log and all outputs are in {demo.directory}."))
