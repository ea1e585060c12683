"""Actions: what people decided about alerts, as the engine remembers it.

An acknowledgement belongs to an alert and holds until its tier rises above the one that was seen. A verdict belongs
to evidence, not to an id: it says what a clinician made of the facts that an episode had, so that it reaches
`assess` like the facts themselves, whatever order those came in.
"""

from dataclasses import dataclass

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import Judgement, OverrideReason
from pv_stream.domain.ids import AlertId, FactKey
from pv_stream.domain.times import Instant


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Hold who took note of an alert, when and at which tier; `override` is why it was set aside, if it was."""

    alert_id: AlertId
    by: str
    at: Instant
    tier: Tier
    override: OverrideReason | None


@dataclass(frozen=True, slots=True)
class ClinicianVerdict:
    """Hold what a clinician decided about an episode.

    `evidence` is all that the episode ever had when it was decided. `tier` is the one that stood then: evidence that
    reaches a higher one is not covered by a refutation. `drugs` are the culprits that a confirmation names.
    """

    judgement: Judgement
    evidence: tuple[FactKey, ...]
    tier: Tier
    drugs: tuple[str, ...] = ()
