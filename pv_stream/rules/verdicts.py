"""Verdicts: what a clinician's refutation or confirmation makes of the evidence that it was about.

A verdict is found again by the evidence that it names, and of two that name the same fact the later counts. So the
same verdicts give the same answer in whatever order the facts came.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import Judgement
from pv_stream.domain.ids import FactKey


@dataclass(frozen=True, slots=True)
class Ruling:
    """Hold what the verdicts say of one episode: the judgement, the tier that follows, and the culprits named."""

    judgement: Judgement | None
    tier: Tier | None
    named: frozenset[str] = frozenset()


def rule_on(evidence: Iterable[FactKey], tier: Tier | None, verdicts: Sequence[ClinicianVerdict]) -> Ruling:
    """Return what stands of an episode with this evidence, whose own facts reach a tier (None: no alert).

    A confirmation about any of the evidence confirms all of it, and is at least a warning, as a reaction reported as
    DRESS is. A refutation covers the evidence as long as it reaches no higher tier than stood when it was refuted.
    """
    latest = _latest(evidence, verdicts)
    confirmed = [verdict for verdict in latest if verdict.judgement is Judgement.CONFIRMED]
    if confirmed:
        named = frozenset(drug for verdict in confirmed for drug in verdict.drugs)
        return Ruling(Judgement.CONFIRMED, max(tier or Tier.WARNING, Tier.WARNING), named)
    if latest and (tier is None or tier <= max(verdict.tier for verdict in latest)):
        return Ruling(Judgement.REFUTED, tier)
    return Ruling(None, tier)


def _latest(
    evidence: Iterable[FactKey], verdicts: Sequence[ClinicianVerdict]
) -> tuple[ClinicianVerdict, ...]:
    """Return the verdicts that are the latest about some fact of the evidence."""
    if not verdicts:
        return ()
    latest_about = {key: verdict for verdict in verdicts for key in verdict.evidence}
    return tuple(dict.fromkeys(latest_about[key] for key in evidence if key in latest_about))


def with_verdict(
    verdicts: Sequence[ClinicianVerdict], verdict: ClinicianVerdict
) -> tuple[ClinicianVerdict, ...]:
    """Return the verdicts with a later one; those about nothing else than it is about have had their day."""
    about = frozenset(verdict.evidence)
    return (*(old for old in verdicts if not about.issuperset(old.evidence)), verdict)
