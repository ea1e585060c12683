"""Second hits: an episode that worsened after a cross-reactive drug was begun in it.

Worse is a new sign, a higher count or a higher organ value than all before the drug. Fever does not count by its
degree: each fever is one sign.
"""

from collections.abc import Iterable
from decimal import Decimal

from pv_stream.rules.courses import Course
from pv_stream.rules.culprits import Blamed
from pv_stream.rules.episodes import Evidence
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import EosinophilCount, Sign, SignKind


def has_second_hit(blamed: Blamed, rulebook: Rulebook) -> bool:
    """Tell whether an episode worsened after a drug was begun in it that cross-reacts with a blamed one."""
    opening = blamed.span.opening.at.latest
    return any(
        _worsened_after(suspect.course, blamed.span.evidence)
        for suspect in blamed.suspects
        if suspect.course.first.earliest > opening
        and rulebook.class_partners.get(suspect.course.drug, frozenset()) & blamed.drugs
    )


def _worsened_after(course: Course, evidence: Iterable[Evidence]) -> bool:
    highest: dict[str, Decimal | None] = {}
    for found in evidence:
        measure, value = _measure(found)
        if measure is None:
            continue
        if found.at.earliest <= course.first.earliest:
            highest[measure] = _higher(value, highest.get(measure))
        elif measure not in highest or (value is not None and value > (highest[measure] or Decimal(0))):
            return True
    return False


def _higher(value: Decimal | None, known: Decimal | None) -> Decimal | None:
    return max((v for v in (value, known) if v is not None), default=None)


def _measure(evidence: Evidence) -> tuple[str | None, Decimal | None]:
    """Return what a piece of evidence measures and its value, where a higher one is worse; a report is no sign."""
    match evidence.source:
        case EosinophilCount(alert=alert):
            return "eosinophils", None if alert is None else alert.low
        case Sign(kind=SignKind.ORGAN, label=label, value=value):
            return label, value
        case Sign(label=label):
            return label, None
        case _:
            return None, None
