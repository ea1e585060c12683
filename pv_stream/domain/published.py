"""What was told about a patient, and the patient's whole state.

`Published` is the engine's memory of its own outputs: the ids it gave, the tiers it latched, the last revision of
each alert. It is why an id never changes and nothing is told twice. Facts say what is true; this says what was said.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntFlag, StrEnum
from typing import Final

from pv_stream.domain.actions import Acknowledgement, ClinicianVerdict
from pv_stream.domain.assessment import (
    Closing,
    EpisodeAssessment,
    RestartAssessment,
    ReviewAssessment,
    Tier,
)
from pv_stream.domain.codes import Analyte
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import ActionId, AlertId, EpisodeId, FactKey, RecurrenceId
from pv_stream.domain.lineage import NEVER_MERGED, Lineage
from pv_stream.domain.often_built import often_built
from pv_stream.domain.outputs import AlertStatus
from pv_stream.domain.times import Instant


class EpisodeState(StrEnum):
    """Say where a published episode is in its life."""

    CANDIDATE = "candidate"
    OPEN = "open"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    TRANSFERRED = "transferred"


#: An alert with one of these stands: somebody may have to act on it.
LIVE: Final = frozenset({AlertStatus.RAISED, AlertStatus.REVISED})
#: An alert with one of these was told and not taken back: whoever takes over the patient answers for it.
STANDING: Final = LIVE | {AlertStatus.CLOSED}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """Hold the identity of an alert and the last that was told of it.

    `continues` names the alerts of merged patient records that go on in this one.
    """

    alert_id: AlertId
    revision: int
    status: AlertStatus
    tier: Tier
    continues: tuple[AlertId, ...] = ()

    def revised(
        self, status: AlertStatus, tier: Tier, inherited: "tuple[AlertLine, ...]" = ()
    ) -> "AlertLine":
        """Return the line of the next revision; it continues the inherited ones from now on."""
        continued = (alert_id for line in inherited for alert_id in (line.alert_id, *line.continues))
        every = tuple(dict.fromkeys((*self.continues, *continued)))
        return AlertLine(self.alert_id, self.revision + 1, status, tier, every)


@dataclass(frozen=True, slots=True)
class RecurrenceLine:
    """Hold the identity of a recurrence and what was last told of it; `shown` is None once it is withdrawn.

    `shown` is the primary class, the contributing ones, the earlier episode and the interval in days.
    """

    recurrence_id: RecurrenceId
    revision: int
    shown: tuple[str, tuple[str, ...], str, int] | None


@dataclass(frozen=True, slots=True)
class PublishedEpisode:
    """Hold one episode that was told of: its id, all evidence it ever had, and its last assessment.

    `sealed`: it was closed when another rulebook came into force. Rules leave it as it is; only a fact opens it again.
    """

    episode_id: EpisodeId
    members: tuple[FactKey, ...]
    state: EpisodeState
    last: EpisodeAssessment
    case_revision: int
    alert: AlertLine | None = None
    follow_up: AlertLine | None = None
    recurrence: RecurrenceLine | None = None
    recurrence_of: EpisodeId | None = None
    closing: Closing | None = None
    superseded_by: EpisodeId | None = None
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class PublishedRestart:
    """Hold one restart that was warned of."""

    alert: AlertLine
    of_episode: EpisodeId
    course: tuple[FactKey, ...]
    last: RestartAssessment


@dataclass(frozen=True, slots=True)
class PublishedReview:
    """Hold one held value that was told of."""

    alert: AlertLine
    last: ReviewAssessment


@dataclass(frozen=True, slots=True, order=True)
class ThinnedDays:
    """Name the UTC days, from first to last, on which not every value of a code was kept; 0 is 1970-01-01."""

    analyte: Analyte
    first: int
    last: int


def join_days(known: tuple[ThinnedDays, ...], more: Iterable[ThinnedDays]) -> tuple[ThinnedDays, ...]:
    """Return all of these days in order, those that follow each other as one; the same object when none is new."""
    joined: list[ThinnedDays] = []
    for days in sorted((*known, *more)):
        before = joined[-1] if joined else None
        if before is not None and before.analyte is days.analyte and days.first <= before.last + 1:
            joined[-1] = replace(before, last=max(before.last, days.last))
        else:
            joined.append(days)
    return known if tuple(joined) == known else tuple(joined)


@dataclass(frozen=True, slots=True)
class Published:
    """Hold all that was told about one patient, in order of first publication, and what people decided about it.

    `verdicts` stand in the order of the log; `acted` are the ids of the latest accepted actions. `thinned` is what must
    be told of the facts that are not there: the days of which not every value was kept.
    """

    episodes: tuple[PublishedEpisode, ...] = ()
    restarts: tuple[PublishedRestart, ...] = ()
    reviews: tuple[PublishedReview, ...] = ()
    incomplete: AlertLine | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    verdicts: tuple[ClinicianVerdict, ...] = ()
    acted: tuple[ActionId, ...] = ()
    thinned: tuple[ThinnedDays, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was ever told."""
        return not (self.episodes or self.restarts or self.reviews or self.verdicts)


class Relevance(IntFlag):
    """Say which kinds of fact a patient ever had, so that assessing can be left out while it cannot matter.

    Those after `HELD` are what can score. `ORGAN` is any organ but liver and kidney.
    """

    NONE = 0
    WATCHED_DRUG = 1
    REPORT = 2
    HELD = 4
    COUNT = 8
    SKIN = 16
    ORGAN = 32
    NODES = 64
    ATYPICAL_LYMPHOCYTES = 128
    LIVER = 256
    KIDNEY = 512
    EXCLUSION_TEST = 1024


@often_built
@dataclass(frozen=True, slots=True)
class PatientState:
    """Hold everything about one patient: facts, what was told, the clock, and what is due by time alone.

    `rulebook` is the digest of the rulebook under which `published` and `relevance` were computed.
    """

    facts: dict[FactKey, Fact] = field(default_factory=dict)
    published: Published = Published()
    clock: Instant | None = None
    due: Instant | None = None
    relevance: Relevance = Relevance.NONE
    rulebook: str | None = None
    lineage: Lineage = NEVER_MERGED

    def after_fact(
        self, facts: dict[FactKey, Fact], clock: Instant, relevance: Relevance, rulebook: str
    ) -> "PatientState":
        """Return the state with these facts, and all else as it is: `replace`, without what it costs at every event."""
        return PatientState(facts, self.published, clock, self.due, relevance, rulebook, self.lineage)
