"""The report of a run: how many messages ended how, and why. Counts and codes only."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.domain import facts
from pv_stream.domain.events import AlertActed, ClockTicked, Event, FactArrived, RulebookActivated
from pv_stream.ingest.outcomes import Fate, MessageOutcome, Outcome


@dataclass(slots=True)
class Report:
    """Count what a run did, or one file of it.

    `rejected` counts messages by why they were refused; `entries_rejected` what was refused inside the others.
    """

    inputs: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    entries_rejected: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    parts: Counter[tuple[str, Fate]] = field(default_factory=Counter)

    def add(self, form: str, outcome: Outcome) -> None:
        """Count one message."""
        self.formats[form] += 1
        self.messages[outcome.message.value] += 1
        for event in outcome.events:
            self.events[kind_of(event)] += 1
        for hold in outcome.holds:
            self.held[hold.code.value] += 1
        codes = [reject.code.value for reject in outcome.rejects]
        if outcome.message is MessageOutcome.REJECTED:
            self.rejected.update(set(codes))
        else:
            self.entries_rejected.update(codes)
        for reason, count in outcome.ignored.items():
            self.ignored[reason.value] += count
        for part, count in outcome.parts.items():
            self.parts[part] += count

    def coverage(self) -> dict[str, dict[str, int]]:
        """Return what became of the parts of the messages: part -> fate -> count, in a fixed order."""
        names = sorted({part for part, _ in self.parts})
        return {
            name: {fate.value: self.parts[name, fate] for fate in Fate if self.parts[name, fate]}
            for name in names
        }

    def value(self) -> dict[str, Any]:
        """Return the report as JSON's own types, in a fixed order."""
        return {
            "schema_version": 1,
            "inputs": self.inputs,
            "messages": {
                "read": self.messages.total(),
                **{name: self.messages[name] for name in ("accepted", "held", "rejected")},
            },
            "formats": _sorted(self.formats),
            "events": {"written": self.events.total(), "by_type": _sorted(self.events)},
            "held": _sorted(self.held),
            "rejected": _sorted(self.rejected),
            "entries_rejected": _sorted(self.entries_rejected),
            "ignored": _sorted(self.ignored),
            "coverage": self.coverage(),
        }


_KIND_OF: Final[Mapping[type[facts.Content], str]] = {
    facts.Measurement: "observation",
    facts.Exposure: "exposure",
    facts.Finding: "finding",
    facts.Report: "adverse_event_report",
    facts.Held: "observation.held",
    facts.Retracted: "retraction",
}


def kind_of(event: Event) -> str:
    """Return the type of an event as the canonical form names it."""
    match event:
        case ClockTicked():
            return "clock"
        case AlertActed():
            return "alert.action"
        case RulebookActivated():
            return "control.activate"
        case FactArrived(version=version) if version.provenance.review is not None:
            return "hold.resolved"
        case FactArrived():
            return _KIND_OF[type(event.version.statement.content)]
        case _:
            return f"identity.{type(event).__name__.lower()}"


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
