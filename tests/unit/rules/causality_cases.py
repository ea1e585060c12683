"""Cases of causality: a suspect drug of which nothing is known but what a test says, and drugs as assessed."""

from typing import Any

from pv_stream.domain.assessment import Culprit, Latency
from pv_stream.domain.criteria import Answer, Causality
from pv_stream.domain.events import FactArrived
from pv_stream.rules.causality import SuspectCase
from pv_stream.rules.judging import NOT_KNOWN
from tests.builders import RULEBOOK, assessed

#: A drug for which the rulebook cites a report of DRESS, and one for which it does not.
REPORTED, UNREPORTED = "imatinib", "dapsone"


def case_of(drug: str = UNREPORTED, **known: Any) -> SuspectCase:
    """Return a case of which only what is named is known; its latency is the core unless said."""
    nothing: dict[str, Any] = {
        "latency": Latency.CORE,
        "began_after_onset": False,
        "onset_after_start": NOT_KNOWN,
        "dechallenge": NOT_KNOWN,
        "rechallenge": NOT_KNOWN,
        "other_causes": NOT_KNOWN,
        "earlier_reaction": NOT_KNOWN,
        "cross_reaction": NOT_KNOWN,
        "objective": NOT_KNOWN,
        "is_contradictory": False,
    }
    return SuspectCase(drug=RULEBOOK.watched[drug], **(nothing | known))


def last_culprit(*events: FactArrived, drug: str = "imatinib") -> Culprit:
    """Return a culprit of the last episode that events make."""
    return next(culprit for culprit in assessed(*events).episodes[-1].culprits if culprit.drug == drug)


def last_causality(*events: FactArrived, drug: str = "imatinib") -> Causality:
    """Return the causality of a drug in the last episode that events make."""
    criteria = assessed(*events).episodes[-1].criteria
    return next(causality for causality in criteria.causality if causality.drug == drug)


def answer(item: str, *events: FactArrived, drug: str = "imatinib") -> Answer:
    """Return the answer to one Naranjo question about a drug of the last episode."""
    answered = {one.item: one.answer for one in last_causality(*events, drug=drug).naranjo.answered}
    return answered.get(item, Answer.UNKNOWN)
