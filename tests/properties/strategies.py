"""Strategies: hypothesis as the narrator of patients' stories, and the logs of a shard that follow."""

from collections.abc import Sequence
from typing import Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pv_stream.domain.events import ClockTicked, Event, FactArrived, RulebookActivated
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from tests.stories import tell_story

T = TypeVar("T")

#: A story is many small choices, and a machine may be busy: neither is a finding. A third as many stories as the
#: profile has examples, since each is some dozen events.
unhurried: Final = settings(
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class DrawnNarrator:
    """Let hypothesis choose, so that it can shrink a story to what matters."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self._draw(st.integers(0, len(choices) - 1))]


@st.composite
def stories(draw: st.DrawFn, patient: str = "patient-1", acts_max: int = 9) -> list[FactArrived]:
    """One patient's events in order of arrival."""
    return tell_story(DrawnNarrator(draw), patient, acts_max=acts_max)


@st.composite
def shuffled_stories(draw: st.DrawFn) -> list[FactArrived]:
    """One patient's events in any order of arrival at all, some of them twice."""
    told = draw(stories())
    repeated = [told[draw(st.integers(0, len(told) - 1))] for _ in range(draw(st.integers(0, 3))) if told]
    return draw(st.permutations([*told, *repeated]))


@st.composite
def logs(draw: st.DrawFn, patients_max: int = 3, acts_max: int = 6) -> list[Event]:
    """The events of some patients as they reach one shard, with clock records between them, some of them late."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, patients_max))):
        events += draw(stories(f"patient-{number}", acts_max))
    events.sort(key=_instant)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(events)))
        before = _instant(events[place - 1]) if place else _instant(events[0]) if events else Instant(0)
        days = draw(st.sampled_from((-3, 0, 1, 14, 15, 60, 61, 400)))
        events.insert(place, ClockTicked(Instant(before + days * MICROSECONDS_PER_DAY)))
    return events


def _instant(sent: Event) -> Instant:
    assert not isinstance(sent, RulebookActivated)
    return sent.instant if isinstance(sent, ClockTicked) else sent.received_at


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Places at which a log of this length may be cut into runs."""
    return st.lists(st.integers(0, length), max_size=6).map(sorted)


POISON: Final[st.SearchStrategy[bytes]] = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: repr(value).replace("'", '"').encode("utf-8", "surrogatepass")),
)
