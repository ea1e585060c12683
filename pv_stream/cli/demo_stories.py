"""The published cases of the demo, told in time: what was recorded, and what pv_stream said about it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pv_stream.audit.demo import Demonstration, ToldStory
from pv_stream.audit.scenario import Given, say_when
from pv_stream.cli.terminal import kind_text, plural, tier_text
from pv_stream.domain.outputs import AlertStatus
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, parse_instant
from pv_stream.shard.fold import OutputStream

_DID: Final = {
    "orders": "ordered",
    "gives": "given",
    "stops": "stopped",
    "present": "seen",
    "absent": "gone",
}
_DOCUMENTED: Final = {
    "reaction_resolved": "reaction documented as resolved",
    "rash_improved": "rash improved",
}
#: What a reader should see in each of the recurrences, in the order of their file.
_SEEN: Final = (
    (
        "A culprit is remembered for life. The third reaction is a rechallenge of the first drug although a reaction "
        "to another one lies between, and the first dose of it warned before any sign."
    ),
    (
        "Nothing was given again. What comes back shortly after a treatment was stopped is a flare on withdrawal, an "
        "occurrence of its own."
    ),
    (
        "The patient never left the hospital. The second occurrence counts as one of its own, since the first was "
        "documented as resolved; each has its own treatment."
    ),
)


def print_recurrence_stories(console: Console, demo: Demonstration) -> None:
    """Print the recurrences that the cohort's publication tells, each with what came of it."""
    console.rule("[bold]3. The recurrences that the cohort tells of[/]", align="left")
    source = demo.recurrences_told[0].story.scenario.source
    console.print(
        f"[dim]Reconstructed from {escape(source)}: intervals, treatments and what came back after what. Which drugs "
        "they were it does not say; drugs, findings and values are assumed.[/]\n"
    )
    for number, (told, seen) in enumerate(zip(demo.recurrences_told, _SEEN, strict=True)):
        console.print(
            f"[bold]{'abc'[number]}. {told.story.case.name[:1].upper()}{told.story.case.name[1:]}[/]"
        )
        console.print(story_table(told, by_day=True))
        for line in _outcome_lines(told):
            console.print(Padding(line, (0, 0, 0, 2)))
        console.print(f"{seen}\n")


def story_table(told: ToldStory, *, by_day: bool) -> Table:
    """Return a table of what was recorded and what was said, the lines of one hour, or one day, together."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("when", header_style="dim", no_wrap=True)
    table.add_column("what was recorded", header_style="dim", ratio=4)
    table.add_column("what pv_stream said", header_style="dim", ratio=5)
    recorded, said = _recorded(told, by_day=by_day), _said(told, by_day=by_day)
    for when in sorted({*recorded, *said}):
        lines = recorded.get(when, [])
        first = _when(told, lines[0].received if lines else when)
        done = "; ".join(_done(told, given) for given in lines)
        table.add_row(
            first.rpartition(" ")[0] if by_day else first, escape(done), "\n".join(said.get(when, []))
        )
    return table


def _slot(instant: Instant, *, by_day: bool) -> Instant:
    length = MICROSECONDS_PER_DAY if by_day else MICROSECONDS_PER_DAY // 24
    return Instant(instant - instant % length)


def _when(told: ToldStory, instant: Instant) -> str:
    """Say when an instant was in the story's own days."""
    return say_when(Instant(instant - told.story.first_day * MICROSECONDS_PER_DAY))


def _recorded(told: ToldStory, *, by_day: bool) -> Mapping[Instant, list[Given]]:
    slots: dict[Instant, list[Given]] = {}
    for given in sorted(told.story.case.given, key=lambda given: given.received):
        slots.setdefault(_slot(given.received, by_day=by_day), []).append(given)
    return slots


def _done(told: ToldStory, given: Given) -> str:
    if given.action == "present" and given.subject in _DOCUMENTED:
        return _DOCUMENTED[given.subject]
    subject = given.subject.replace("_", " ")
    if given.action in _DID:
        dose = f" {given.options['dose_mg_per_kg']} mg/kg" if "dose_mg_per_kg" in given.options else ""
        return f"{subject}{dose} {_DID[given.action]}{_until(told, given)}"
    sent = f" (sent as {given.options['sent_as']})" if "sent_as" in given.options else ""
    return f"{given.action} {subject.replace('/uL', '/µL')}{sent}"


def _until(told: ToldStory, given: Given) -> str:
    if "daily_until" not in given.options:
        return ""
    _, day, *_ = given.options["daily_until"].split()
    return f" daily until day {int(day) - told.story.first_day}"


def _said(told: ToldStory, *, by_day: bool) -> Mapping[Instant, list[str]]:
    """Return what was said: an alert in full, of its revisions the news, and a candidate that stayed one meanwhile."""
    last: dict[str, Mapping[str, Any]] = {}
    slots: dict[Instant, list[str]] = {}
    for alert in told.of(OutputStream.ALERTS):
        said = _news(last.get(alert["alert_id"]), alert)
        slot = _slot(parse_instant(alert["as_of"]), by_day=by_day)
        line = f"{tier_text(alert['tier'])} - {kind_text(alert['kind'])}{escape(said)}"
        slots.setdefault(slot, []).append(line)
        last[alert["alert_id"]] = alert
    for case in told.of(OutputStream.CASES):
        slot = _slot(parse_instant(case["as_of"]), by_day=by_day)
        if case["state"] == "candidate" and case["revision"] == 1 and not (by_day and slot in slots):
            line = "[dim]no alert: a skin reaction alone is remembered as a candidate[/]"
            slots.setdefault(slot, []).insert(0, line)
    return slots


def _news(last: Mapping[str, Any] | None, alert: Mapping[str, Any]) -> str:
    """Say an alert's reason, or of the same alert only what is new in it."""
    if last is None:
        return f": {alert['reason']}"
    if alert["status"] == AlertStatus.CLOSED:
        return f", closed: {alert['reason']}"
    known = _parts(last["reason"])
    news = [part for part in _parts(alert["reason"]) if part not in known]
    return f", the same alert: {'; '.join(news) or 'more evidence'}."


def _parts(reason: str) -> list[str]:
    return reason.removesuffix(".").split("; ")


def _outcome_lines(told: ToldStory) -> Iterator[str]:
    """Yield a line for each occurrence: its class and interval, and how each treatment went."""
    latest = {case["episode_id"]: case for case in told.of(OutputStream.CASES)}
    for case in latest.values():
        recurrence, drugs = case["recurrence"], " and ".join(c["drug"] for c in case["culprits"])
        what = (
            "first reaction"
            if recurrence is None
            else f"{recurrence['primary'].replace('_', ' ')}, {plural(recurrence['interval_days'], 'day')} from onset "
            "to onset"
        )
        treated = "".join(f"; {_treated(treatment)}" for treatment in case["treatments"])
        yield f"[bold]{what}[/]: suspect {drugs}{treated}"


def _treated(treatment: Mapping[str, Any]) -> str:
    dose = treatment["dose_mg_per_kg"]
    much = "" if dose is None else f" {dose} mg/kg"
    days = "" if treatment["days"] is None else f" for {plural(treatment['days'], 'day')}"
    resolved = treatment["days_to_clinical_resolution"]
    after = "" if resolved is None else f", resolved after {plural(resolved, 'day')}"
    return f"{treatment['drug']}{much}{days}{after}"
