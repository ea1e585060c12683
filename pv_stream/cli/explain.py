"""`pv-stream explain`: one alert, criterion by criterion, as a pharmacist checks it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.explain import Explanation, ItemView, alerts_of_log, explain, find_alert
from pv_stream.audit.fact_view import FactView
from pv_stream.audit.flag_words import words_of
from pv_stream.audit.log import open_log
from pv_stream.audit.next_steps import next_steps
from pv_stream.audit.output_words import word_meaning
from pv_stream.audit.replay import ReplayPlan
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.cli.criteria_tables import print_criteria
from pv_stream.cli.options import CarryOption
from pv_stream.cli.terminal import bullets, kind_text, moment, noted_text, stdout, tier_text
from pv_stream.errors import DataError
from pv_stream.rulebooks import carried_rulebooks, load_default, load_file
from pv_stream.shard.fold import OutputStream


def command(  # noqa: PLR0913 - one parameter for each option of the command
    alert: Annotated[str, typer.Argument(help="The alert's id, or a beginning of it that no other shares.")],
    log: Annotated[
        Path,
        typer.Option(
            metavar="FILE", readable=False, help="The log of events, or archive, that gave the alert."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A replay of that log: finds the alert faster.")
    ] = None,
    revision: Annotated[
        int | None, typer.Option(min=1, help="A revision; the latest when not given.")
    ] = None,
    rulebook: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="The rulebook of a what-if replay.")
    ] = None,
    clock: Annotated[ClockMode, typer.Option(help="As in replay.")] = ClockMode.AUTO,
    carry: CarryOption = None,
    shards: Annotated[int | None, typer.Option(min=1, help="As in replay.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Explain one alert, criterion by criterion: value as sent, value used, source, points, what is unknown."""
    rules = load_default() if rulebook is None else load_file(rulebook)
    plan = ReplayPlan(
        open_log(log, shards=shards),
        rules,
        what_if=rulebook is not None,
        clock=clock,
        carried=carried_rulebooks(carry or ()),
    )
    alert_id, patient_id = find_alert(alert, alerts_of_log(plan) if out is None else _alerts_of_folder(out))
    explanation = explain(plan, alert_id, patient_id, revision)
    steps = next_steps(explanation.alert, plan.rulebook_of(explanation.alert))
    if as_json:
        told = asdict(explanation) | {"next_steps": steps}
        typer.echo(json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False))
        return
    console = stdout()
    _print_head(console, explanation)
    _print_earlier(console, explanation)
    _print_culprits(console, explanation)
    _print_score(console, explanation)
    if explanation.criteria is not None:
        print_criteria(console, explanation.criteria)
    _print_treated(console, explanation)
    _print_evidence(console, explanation)
    _print_history(console, explanation)
    console.print("\n[bold]Next steps[/]")
    console.print(bullets(map(escape, steps)))
    console.print("\n[dim]Decision support, not validated for clinical use: a person decides.[/]")


def _alerts_of_folder(out: Path) -> dict[str, str]:
    path = out / FILE_OF[OutputStream.ALERTS]
    try:
        with path.open("rb") as lines:
            values = [json.loads(line) for line in lines]
            return {value["alert_id"]: value["patient_id"] for value in values}
    except (OSError, ValueError, KeyError):
        msg = f"{path} is not the alerts of a replay: name the folder that `pv-stream replay --out` wrote"
        raise DataError(msg) from None


def _print_head(console: Console, explanation: Explanation) -> None:
    alert = explanation.alert
    kind = kind_text(alert["kind"])
    console.print(f"{tier_text(alert['tier'])} - [bold]{kind}[/] - {alert['status']}")
    console.print(f"[bold]{escape(alert['reason'])}[/]\n")
    table = _pairs()
    table.add_row("patient", alert["patient_id"])
    table.add_row(
        "alert", f"{alert['alert_id']}, revision {alert['revision']} of {len(explanation.revisions)}"
    )
    if alert["episode_id"]:
        table.add_row("episode", alert["episode_id"])
    table.add_row("as of", f"{moment(alert['as_of'])} ({alert['timeliness']})")
    table.add_row("told because", word_meaning("cause", alert["cause"]))
    if alert["course"]:
        table.add_row("course", f"{alert['course'].replace('_', ' ')}, not resolved")
    if alert["masking"]:
        table.add_row("masked by", f"{', '.join(alert['masking'])}: a low eosinophil count proves nothing")
    if alert["flags"]:
        table.add_row("mind", words_of(alert["flags"]))
    for label, text in _special(alert):
        table.add_row(label, text)
    table.add_row("rulebook", f"{alert['rulebook']['version']} ({alert['rulebook']['digest'][:19]})")
    console.print(table)


def _special(alert: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if alert["recurrence"]:
        found = alert["recurrence"]
        also = f"; also {', '.join(found['contributing'])}" if found["contributing"] else ""
        after = f"{found['interval_days']} days after the onset of {found['of_episode']}"
        yield "recurrence", f"{found['primary']}{also}, {after}"
    if alert["restart"]:
        found = alert["restart"]
        relation = found["relation"].replace("_", " ")
        started = moment(found["started_at"])
        yield "restart", f"{found['drug']} at {started}; {relation} drug of {found['of_episode']}"
    if alert["review"]:
        yield "held value", f"{alert['review']['code'].replace('_', ' ')} ({alert['review']['fact']})"
    if alert["closing"]:
        yield "closed", alert["closing"].replace("_", " ")
    if alert["acknowledged"]:
        yield "taken note of", noted_text(alert["acknowledged"])
    if alert["superseded_by"]:
        yield "goes on as", alert["superseded_by"]


def _print_earlier(console: Console, explanation: Explanation) -> None:
    case = explanation.earlier
    if case is None:
        return
    console.print("\n[bold]The earlier episode[/]")
    table = _pairs()
    table.add_row("episode", f"{case['episode_id']}, {case['state']}")
    table.add_row("onset", moment(case["onset"]))
    table.add_row("signs", ", ".join(case["signs"]) or "none documented")
    table.add_row("suspect drugs", ", ".join(map(_with_latency, case["culprits"])))
    count = case["eosinophils_per_ul"]
    score = case["regiscar"]
    table.add_row("eosinophils", "no count" if count is None else f"{count:,}/µL")
    table.add_row("RegiSCAR", f"{score['current']} (from {score['worst']} to {score['best']})")
    by = f"yes, by {case['established_by']}" if case["established"] else "no"
    table.add_row("established", by)
    console.print(Padding(table, (0, 0, 0, 2)))


def _with_latency(culprit: Mapping[str, Any]) -> str:
    days = culprit["latency_days"]
    return f"{culprit['drug']} ({'day not known' if days is None else f'day {days}'})"


def _print_culprits(console: Console, explanation: Explanation) -> None:
    culprits = explanation.alert["culprits"]
    if not culprits:
        return
    console.print("\n[bold]Suspect drugs[/], most suspect first")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("rank", "drug", "day of onset", "latency", "exposure", "reasons"):
        table.add_column(heading, header_style="dim")
    for culprit in culprits:
        days = culprit["latency_days"]
        table.add_row(
            str(culprit["rank"]),
            _named(culprit),
            "not known exactly" if days is None else f"day {days} of the course",
            culprit["latency"],
            culprit["exposure"],
            ", ".join(culprit["reasons"]).replace("_", " "),
        )
    console.print(Padding(table, (0, 0, 0, 2)))


def _named(culprit: Mapping[str, Any]) -> str:
    code = f" (RxNorm {culprit['rxnorm']})" if culprit["rxnorm"] else ""
    product = f" in {'/'.join(culprit['product'])}" if culprit["product"] else ""
    people = [namer.replace("_", " ") for namer in culprit["named_by"] if namer != "facts"]
    named = f", named by {' and '.join(people)}" if people else ""
    return f"{culprit['drug']}{code}{product}{named}"


def _print_score(console: Console, explanation: Explanation) -> None:
    score = explanation.alert["regiscar"]
    if score is None:
        return
    category = {name: text.replace("_", " ") for name, text in score["category"].items()}
    console.print(
        f"\n[bold]RegiSCAR {score['current']} ({category['current']})[/]; with what is unknown it may be anything from "
        f"{score['worst']} ({category['worst']}) to {score['best']} ({category['best']}). "
        f"{score['unknown_items']} of {len(score['items'])} criteria are unknown."
    )
    if explanation.alert["status"] in OFF_THE_LIST:
        console.print(
            f"[dim]That was the score before the alert was {explanation.alert['status']}; "
            "the statements are shown as they stand since.[/]"
        )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column("criterion", header_style="dim", ratio=1)
    table.add_column("documented", header_style="dim", width=17)
    for heading in ("worst", "now", "best"):
        table.add_column(heading, header_style="dim", justify="right", width=5)
    for item in explanation.items:
        table.add_row(*_item_row(item))
    console.print(Padding(table, (0, 0, 0, 2)))
    unknown = [
        f"[bold]{_short_title(item)}[/]: {escape(item.settles)}" for item in explanation.items if item.settles
    ]
    if unknown:
        console.print("\n[bold]What would settle the unknown criteria[/]")
        console.print(bullets(unknown))


def _short_title(item: ItemView) -> str:
    return item.item.replace("_", " ")


def _item_row(item: ItemView) -> tuple[str, ...]:
    lines = [f"[bold]{escape(item.title)}[/]"]
    lines += [f"  {_fact_line(view)}" for view in item.facts]
    levels = item.level_titles
    known = "unknown" if len(levels) > 1 else levels[0]
    return ("\n".join(lines), known, *(_points(item.points[name]) for name in ("worst", "current", "best")))


def _points(points: int) -> str:
    return f"{points:+d}" if points else "0"


def _fact_line(view: FactView) -> str:
    return escape(f"{view.what} {view.used}, {moment(view.when)}")


def _print_treated(console: Console, explanation: Explanation) -> None:
    treated = explanation.treated
    if treated is None:
        return
    at = treated["clinical_resolution_at"]
    told = "not documented" if at is None else moment(at)
    console.print(
        f"\n[bold]Treatments[/]; clinical resolution (no fever, sustained, and the rash better): {told}"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("drug", "started", "ended", "highest dose", "days to resolution"):
        table.add_column(heading, header_style="dim")
    for given in treated["treatments"]:
        dose, days = given["dose_mg_per_kg"], given["days_to_clinical_resolution"]
        table.add_row(
            given["drug"],
            moment(given["started"]),
            "may go on" if given["ended"] is None else moment(given["ended"]),
            "not known" if dose is None else f"{dose} mg/kg",
            "not known" if days is None else f"{days}",
        )
    console.print(Padding(table, (0, 0, 0, 2)))


def _print_evidence(console: Console, explanation: Explanation) -> None:
    if not explanation.evidence:
        return
    console.print("\n[bold]Evidence[/], each statement as sent and as used")
    for view in explanation.evidence:
        console.print(Padding(f"[bold]{escape(view.what)} {escape(view.used)}[/]", (0, 0, 0, 2)))
        mind = f"; mind: {', '.join(view.flags)}".replace("_", " ") if view.flags else ""
        sent = f"as sent: {view.as_sent}; " if view.as_sent else ""
        status = view.review or view.status
        told = f"{sent}{status}, at {moment(view.when)}, received {moment(view.received_at)}{mind}"
        console.print(Padding(escape(told), (0, 0, 0, 6)))
        console.print(Padding(f"[dim]{escape(view.source)}[/]", (0, 0, 0, 6)))


def _print_history(console: Console, explanation: Explanation) -> None:
    console.print("\n[bold]How this alert came to be[/]")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for alert in explanation.revisions:
        here = " *" if alert["revision"] == explanation.alert["revision"] else ""
        told = (moment(alert["as_of"]), alert["status"], alert["tier"], escape(alert["reason"]))
        table.add_row(f"{alert['revision']}{here}", *told)
    console.print(Padding(table, (0, 0, 0, 2)))
    for found in explanation.recurrences:
        console.print(
            Padding(
                f"recurrence {found['status']}: {found['primary']}, {found['interval_days']} days",
                (0, 0, 0, 2),
            )
        )


def _pairs() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
