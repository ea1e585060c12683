"""`pv-stream demo`: what the system does, on made-up patients, in a way that a pharmacist can follow."""

import json
import shlex
from collections.abc import Iterator, Mapping
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
    IMATINIB_PATIENT,
    LOG_FILE,
    REPLAY_FOLDER,
    SEED_DEFAULT,
    Demonstration,
    demonstrate,
)
from pv_stream.audit.fact_view import FactView
from pv_stream.audit.scenario import Given, say_when
from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.cli.terminal import kind_text, moment, plural, program, short_id, stdout, tier_text
from pv_stream.domain.times import parse_instant
from pv_stream.rulebooks import load_default
from pv_stream.rules.regiscar import TABLE
from pv_stream.shard.fold import OutputStream

#: How many alerts of each tier are shown in full; the others are counted.
_SHOWN_MAX: Final = {"critical": 4, "warning": 3, "info": 2}
_EVIDENCE_MAX: Final = 4
_ASKED_FIRST: Final = ("eosinophils", "body temperature", "ALT", "rash", "facial oedema")

_DID: Final = {
    "orders": "ordered",
    "gives": "given",
    "stops": "stopped",
    "present": "seen",
    "absent": "gone",
}


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the demo's log and outputs.")] = Path(
        "pv-stream-demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed makes another ward.")] = SEED_DEFAULT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came as JSON.")] = False,
) -> None:
    """Show the published imatinib case and a synthetic ward through the real engine. No broker, no network."""
    demo = demonstrate(out, load_default(), seed=seed)
    if as_json:
        typer.echo(json.dumps(as_json_document(demo), indent=2, sort_keys=True, ensure_ascii=False))
        return
    show(stdout(), demo)


def show(console: Console, demo: Demonstration) -> None:
    """Print a demonstration for a person."""
    _print_what_this_is(console, demo)
    _print_imatinib(console, demo)
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
        "imatinib_case": [{"stream": stream, "value": value} for stream, value in demo.imatinib],
        "next": list(_commands(demo)),
    }


def _print_what_this_is(console: Console, demo: Demonstration) -> None:
    records = demo.manifest["input"]["records"]
    console.print(
        Panel(
            "Watches drugs, blood counts, temperatures, liver tests and skin findings together, and flags suspected "
            "DRESS (drug reaction with eosinophilia and systemic symptoms), its culprit and its recurrence.\n\n"
            "[bold]Everybody here is synthetic.[/] One patient is rebuilt from a published abstract, the others are "
            "made up from assumptions. Nothing is validated for clinical use; no rate seen here says anything about "
            "a hospital.",
            title="pv_stream: a demonstration",
            title_align="left",
        )
    )
    console.print(
        f"{plural(records, 'event')} of {plural(demo.patients, 'synthetic patient')} (seed {demo.seed}) went through "
        f"the engine; rulebook {demo.manifest['rulebook']['version']}.\n"
    )


# The imatinib case ------------------------------------------------------------------------------------------------


def _print_imatinib(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]1. The published imatinib case[/]", align="left")
    console.print(
        f"[dim]Reconstructed from {escape(demo.scenario.source)}; hours and days between are assumed.[/]\n"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("when", header_style="dim", no_wrap=True)
    table.add_column("what was recorded", header_style="dim", ratio=4)
    table.add_column("what pv_stream said", header_style="dim", ratio=5)
    said = dict(_said(demo))
    for when, done in _recorded(demo):
        table.add_row(when, escape(done), said.get(_hour(when), ""))
    console.print(table)
    alert = next((a for a in demo.of_patient(IMATINIB_PATIENT) if a["kind"] == "suspected_dress"), None)
    if alert is not None:
        _print_score(console, alert)
    console.print()


def _recorded(demo: Demonstration) -> Iterator[tuple[str, str]]:
    """Yield what was recorded by hour of the case, the lines of one hour together."""
    by_hour: dict[str, list[Given]] = {}
    for given in demo.scenario.cases[0].given:
        by_hour.setdefault(_hour(say_when(given.received)), []).append(given)
    for lines in by_hour.values():
        yield say_when(lines[0].received), "; ".join(map(_done, lines))


def _hour(when: str) -> str:
    return f"{when[:-2]}00"


def _done(given: Given) -> str:
    subject = given.subject.replace("_", " ")
    if given.action in _DID:
        until = given.options.get("daily_until", "").rpartition(" ")[0]
        return f"{subject} {_DID[given.action]}{f' daily until {until}' if until else ''}"
    sent = f" (sent as {given.options['sent_as']})" if "sent_as" in given.options else ""
    return f"{given.action} {subject.replace('/uL', '/µL')}{sent}"


def _said(demo: Demonstration) -> Iterator[tuple[str, str]]:
    """Yield what was said by hour of the case: alerts in full, and the candidate that alerts nobody."""
    for stream, value in demo.imatinib:
        when = _hour(say_when(parse_instant(value["as_of"])))
        if stream is OutputStream.ALERTS:
            kind = kind_text(value["kind"])
            yield when, f"{tier_text(value['tier'])} - {kind}: {escape(value['reason'])}"
        elif value["state"] == "candidate" and value["revision"] == 1:
            yield when, "[dim]no alert: a skin reaction alone is remembered as a candidate[/]"


def _print_score(console: Console, alert: Mapping[str, Any]) -> None:
    score = alert["regiscar"]
    titles = {item.name: item.title for item in TABLE}
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
    console.print(
        "[dim]What the abstract tells after that (reslizumab while imatinib went on) needs rules for masking by "
        "treatment, which are not built yet.[/]"
    )


# The ward ---------------------------------------------------------------------------------------------------------


def _print_ward(console: Console, demo: Demonstration) -> None:
    console.rule("[bold]2. The synthetic ward[/]", align="left")
    ward = [alert for alert in demo.alerts if alert["patient_id"] != IMATINIB_PATIENT]
    worklist = [alert for alert in ward if alert["status"] not in OFF_THE_LIST]
    concerned = len({alert["patient_id"] for alert in worklist})
    console.print(
        f"{demo.patients - 1} patients with routine results, antibiotics, eosinophilia without any drug, late and "
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
    console.rule("[bold]3. Recurrences[/]", align="left")
    if not demo.recurrences:
        console.print("None.\n")
        return
    for found in demo.recurrences:
        drugs = " and ".join(found["drugs"]) or "no drug"
        console.print(
            f"[bold]{found['primary'].replace('_', ' ')}[/] of {drugs}, {found['patient_id']}, "
            f"{moment(found['as_of'])}: {found['interval_days']} days after the onset of the earlier episode "
            f"({found['status']})"
        )
    console.print()


# What to try ------------------------------------------------------------------------------------------------------


def _commands(demo: Demonstration) -> Iterator[tuple[str, str]]:
    log, replayed = demo.directory / LOG_FILE, demo.directory / REPLAY_FOLDER
    where = ["--log", str(log), "--out", str(replayed)]
    imatinib = demo.of_patient(IMATINIB_PATIENT)
    ward = [alert for alert in demo.alerts if alert["patient_id"] != IMATINIB_PATIENT]
    if imatinib:
        yield (
            "why the imatinib alert: every criterion",
            _command("explain", short_id(imatinib[0]["alert_id"]), *where),
        )
    if ward:
        yield "why the first alert of the ward", _command("explain", short_id(ward[0]["alert_id"]), *where)
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
