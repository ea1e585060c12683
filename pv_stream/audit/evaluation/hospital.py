"""A made-up hospital whose truth is known: who has DRESS, from which drug, and since when.

Nobody here exists. Every share, value and delay is an assumption but for what `ward.SOURCES` names; reactions are far
more frequent than anywhere, so that intervals are narrow. What is measured here says how the rules behave on such a
log, and nothing about patients. The same seed gives the same log on every machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from pv_stream.audit.ward import STORIES, Chart, LogLine, WardAssumptions, story_of
from pv_stream.domain.codes import FindingCode, Presence, Route
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant

_IMATINIB: Final = "imatinib"
_CULPRITS: Final = ("carbamazepine", "allopurinol", "phenytoin", "sulfasalazine", "vancomycin", _IMATINIB)
_LATENCY_DAYS: Final = (14, 20)


@dataclass(frozen=True, slots=True)
class HospitalAssumptions(WardAssumptions):
    """Hold every number that the hospital is made from; `ward.SOURCES` names those that are none of our own."""

    patients: int = 1000
    days: int = 35
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "dress": 0.012,
            "dress_mild": 0.006,
            "dress_without_notes": 0.006,
            "hypereosinophilic_on_imatinib": 0.02,
            "antibiotic": 0.20,
            "watched_drug": 0.20,
            "eosinophilia_without_drug": 0.06,
            "rash_under_drug": 0.04,
            "hepatitis": 0.03,
        }
    )
    share_missing: float = 0.05


@dataclass(frozen=True, slots=True)
class Truth:
    """Hold what is true of a patient: the culprit and the first sign of DRESS, both None where there is none."""

    patient_id: PatientId
    culprit: str | None = None
    first_sign: Instant | None = None

    @property
    def is_case(self) -> bool:
        """Tell whether the patient has DRESS."""
        return self.first_sign is not None


#: Writes a patient's chart and returns culprit and first sign when it is a case.
_Story = Callable[[Chart], tuple[str, Instant] | None]


def made_up_hospital(
    *, seed: int, start: Instant, assumptions: HospitalAssumptions
) -> tuple[list[LogLine], list[Truth]]:
    """Return the events of a hospital in the order in which they are received, and the truth of each patient."""
    lines: list[LogLine] = []
    truth: list[Truth] = []
    for number in range(assumptions.patients):
        chart = Chart(
            PatientId(f"synthetic-hospital-{number:05d}"),
            start,
            Random(f"{seed}/{number}"),  # noqa: S311 - nothing secret
            assumptions,
        )
        case = _story(story_of(number, assumptions))(chart)
        truth.append(Truth(chart.patient_id, *case) if case is not None else Truth(chart.patient_id))
        lines += chart.lines
    lines.sort(key=lambda line: (line.received, line.patient_id, line.value))
    return lines, truth


def _story(name: str) -> _Story:
    ours = _STORIES.get(name)
    return ours if ours is not None else _without_case(STORIES[name])


def _without_case(story: Callable[[Chart], None]) -> _Story:
    def told(chart: Chart) -> None:
        story(chart)

    return told


# Stories ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reaction:
    """Hold how a reaction shows: count and ALT by days after its onset, fever, and what is noted of the skin."""

    bloods: Sequence[tuple[int, int, int, int]]
    fever: bool
    skin: tuple[FindingCode, ...]
    more: tuple[FindingCode, ...] = ()


_FULL: Final = _Reaction(
    bloods=((1, 800, 1300, 90), (3, 1600, 2400, 250), (6, 2500, 4200, 480), (9, 900, 1400, 120)),
    fever=True,
    skin=(FindingCode.RASH, FindingCode.FACIAL_OEDEMA, FindingCode.INFILTRATION),
    more=(FindingCode.ENLARGED_LYMPH_NODES, FindingCode.ATYPICAL_LYMPHOCYTES),
)
_MILD: Final = _Reaction(
    bloods=((1, 500, 900, 60), (4, 900, 1450, 130), (7, 700, 1200, 160)),
    fever=False,
    skin=(FindingCode.RASH,),
)
_WITHOUT_NOTES: Final = _Reaction(
    bloods=((1, 900, 1400, 120), (3, 1700, 2600, 330), (6, 2000, 3600, 420)), fever=True, skin=()
)


def _reacts(chart: Chart, reaction: _Reaction) -> tuple[str, Instant]:
    culprit = chart.pick(_CULPRITS)
    onset = chart.between(*_LATENCY_DAYS)
    chart.drug(culprit, 0, onset + 2, Route.INTRAVENOUS if culprit == "vancomycin" else Route.ORAL)
    chart.routine(until_day=onset - 1)
    if reaction.fever:
        for day in range(onset, onset + 4):
            chart.temperature(day, chart.between(386, 396))
    for code in reaction.skin:
        chart.finding(code, onset)
    chart.stop(culprit, onset + 3)
    for later, low, high, alt in reaction.bloods:
        count = chart.between(low, high)
        chart.blood(onset + later, eosinophils=count, alt=chart.between(alt - 30, alt + 30))
    for code in reaction.more:
        chart.finding(code, onset + 3)
    return culprit, chart.at(onset, 6)


def _hypereosinophilic_on_imatinib(chart: Chart) -> None:
    """Tell of a patient whose disease is the eosinophilia: high before the drug, and falling slowly under it."""
    for day in range(0, 6, 2):
        chart.blood(day, eosinophils=chart.between(2500, 6000), alt=chart.between(10, 60))
    chart.drug(_IMATINIB, 6, chart.known.days - 1)
    for day in range(8, chart.known.days, chart.known.days_between_counts):
        least = max(300, 4000 - 150 * day)
        chart.blood(day, eosinophils=chart.between(least, least + 1500), alt=chart.between(10, 60))


def _hepatitis(chart: Chart) -> None:
    """Tell of a liver that has nothing to do with the drug given beside it."""
    chart.drug(chart.pick(_CULPRITS), 0, chart.known.days - 1)
    first = chart.between(2, 10)
    chart.routine(until_day=first)
    for day in range(first, first + 12, 3):
        chart.blood(day, eosinophils=chart.between(20, 480), alt=chart.between(250, 900))
    chart.finding(FindingCode.RASH, first, Presence.ABSENT)


_STORIES: Final[Mapping[str, _Story]] = {
    "dress": lambda chart: _reacts(chart, _FULL),
    "dress_mild": lambda chart: _reacts(chart, _MILD),
    "dress_without_notes": lambda chart: _reacts(chart, _WITHOUT_NOTES),
    "hypereosinophilic_on_imatinib": _without_case(_hypereosinophilic_on_imatinib),
    "hepatitis": _without_case(_hepatitis),
}


def values(lines: Sequence[LogLine]) -> Iterator[bytes]:
    """Yield the lines of the log."""
    for line in lines:
        yield line.value
