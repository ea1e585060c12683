"""Flares: what of a reaction came back that an anti-IL-5 antibody had held down.

It is the same episode and the same alert, whose sentence names the antibody and what came back. What went on though
an antibody was given was never held down, and does not come back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.assessment import Flare
from pv_stream.domain.times import Instant, Interval
from pv_stream.rules.episodes import Span, sign_track
from pv_stream.rules.items import is_positive
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import EosinophilCount, Sign, SignKind, Timeline

EOSINOPHILS: Final = "eosinophils"
_Moment = tuple[Instant, Sign | EosinophilCount | Interval]


def find_flare(span: Span, rulebook: Rulebook) -> Flare | None:
    """Return what has come back since the episode was held down; None where it is held down, or never was."""
    timeline = span.timeline
    if not timeline.control:
        return None
    watch = _Watch(timeline)
    for at, source in _in_order(timeline):
        match source:
            case Sign(positive=True):
                watch.see(source.label, at)
                watch.signs[source.kind, sign_track(source)] = None
            case Sign():
                watch.end(source, at)
            case EosinophilCount() if is_positive(source, rulebook.parameters):
                watch.see(EOSINOPHILS, at)
                if watch.flare is not None or watch.held_by(at) or not watch.signs:
                    watch.count = None
            case EosinophilCount():
                watch.count = watch.held_by(at)
                watch.rest()
            case _:
                watch.signs = dict.fromkeys(watch.signs, watch.held_by(at))
                watch.count = watch.held_by(at)
                watch.rest()
    return watch.flare


@dataclass(slots=True)
class _Watch:
    """Hold what is there and what is gone at a moment: gone by which antibodies, () where by none; None is there.

    A raised count from before an antibody says nothing of what it holds down, where there are signs.
    """

    timeline: Timeline
    signs: dict[tuple[SignKind, str], tuple[str, ...] | None] = field(default_factory=dict)
    count: tuple[str, ...] | None = ()
    flare: Flare | None = None

    @property
    def held_down_by(self) -> tuple[str, ...]:
        """Return the antibodies that hold everything down, in order of name; none while anything is there."""
        every = (*self.signs.values(), self.count)
        return tuple(sorted({drug for drugs in every for drug in drugs or ()})) if None not in every else ()

    def held_by(self, at: Instant) -> tuple[str, ...]:
        """Return the antibodies that may hold the reaction down at an instant, each once."""
        return tuple(
            dict.fromkeys(
                period.drug
                for period in self.timeline.control
                if period.since <= at and (period.until is None or at <= period.until)
            )
        )

    def see(self, label: str, at: Instant) -> None:
        """Take in that something is there: it is back where all was held down, or something else came back before."""
        drugs = self.held_down_by
        if drugs:
            self.flare = Flare(drugs, (label,), is_under=not set(drugs).isdisjoint(self.held_by(at)))
        elif self.flare is not None and label not in self.flare.back:
            self.flare = Flare(self.flare.drugs, (*self.flare.back, label), is_under=self.flare.is_under)

    def end(self, absent: Sign, at: Instant) -> None:
        """Take in that a sign is gone; a skin without rash ends all of its signs."""
        for kind, track in self.signs:
            if kind is absent.kind and (track == sign_track(absent) or absent.label == "rash"):
                self.signs[kind, track] = self.held_by(at)
        self.rest()

    def rest(self) -> None:
        """End a flare when nothing is there any more."""
        if None not in (*self.signs.values(), self.count):
            self.flare = None


def _in_order(timeline: Timeline) -> Iterable[_Moment]:
    """Return signs, counts and resolutions in order of time; of one time what is gone comes after what is there."""
    moments: list[_Moment] = [
        *((sign.at.earliest, sign) for sign in timeline.signs if sign.positive),
        *((count.at.earliest, count) for count in timeline.counts if count.counts),
        *((sign.at.earliest, sign) for sign in timeline.signs if not sign.positive),
        *((at.latest, at) for at in timeline.resolutions),
    ]
    return sorted(moments, key=lambda moment: moment[0])
