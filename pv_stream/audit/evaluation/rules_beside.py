"""Simple rules on the same log, for comparison: a bare threshold, and two rules of a published benchmark.

The benchmark looked for DRESS in the records of 199,924 patients (Allergy Asthma Respir Dis 2018;6:149). These rules
know no versions: what was sent wrong fires as it would where they run, and who was flagged stays flagged.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pv_stream.audit.evaluation.measures import Stood
from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Finding, Measurement
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant

THRESHOLD_PER_UL: Final = 1500
_PERCENT_ABOVE: Final = Decimal(10)
_ALT_ABOVE: Final = Decimal(300)
_HUNDRED: Final = Decimal(100)

#: What each rule asks for, all of it at some time in the log.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "naive": ("count",),
    "published": ("percent", "alt"),
    "published_with_skin_notes": ("percent", "alt", "skin"),
}
TITLES: Final[Mapping[str, str]] = {
    "naive": f"eosinophils >= {THRESHOLD_PER_UL:,}/µL",
    "published": "eosinophils > 10 % and ALT > 300 U/L",
    "published_with_skin_notes": "the same, and a rash in the notes",
}


@dataclass(slots=True)
class RulesBeside:
    """Remember of each patient when each condition was first met; `stood` says since when each rule was."""

    _met: dict[PatientId, dict[str, Instant]] = field(default_factory=dict)
    _tubes: dict[tuple[PatientId, str], dict[Analyte, Decimal]] = field(default_factory=dict)

    def take(self, event: FactArrived) -> None:
        """Look at one event as it arrives."""
        met = self._met.setdefault(event.patient_id, {})
        for condition in self._conditions(event):
            met.setdefault(condition, event.received_at)

    def stood(
        self, rule: str, person_of: Callable[[PatientId], PatientId] = lambda patient: patient
    ) -> dict[PatientId, list[Stood]]:
        """Return since when a rule flagged each person whom it did; merged patient records are read as one."""
        persons: dict[PatientId, dict[str, Instant]] = {}
        for patient, met in self._met.items():
            known = persons.setdefault(person_of(patient), {})
            for condition, at in met.items():
                known[condition] = min(at, known.get(condition, at))
        return {
            person: [Stood(max(met[need] for need in NEEDS[rule]))]
            for person, met in persons.items()
            if all(need in met for need in NEEDS[rule])
        }

    def _conditions(self, event: FactArrived) -> Iterable[str]:
        match event.version.statement.content:
            case Finding(FindingCode.RASH, Presence.PRESENT):
                yield "skin"
            case Measurement(Analyte.ALT, value) if value > _ALT_ABOVE:
                yield "alt"
            case Measurement(Analyte.EOSINOPHILS_PERCENT, value) if value > _PERCENT_ABOVE:
                yield "percent"
            case Measurement(Analyte.EOSINOPHILS | Analyte.LEUKOCYTES as analyte, value, _, specimen):
                if analyte is Analyte.EOSINOPHILS and value >= THRESHOLD_PER_UL:
                    yield "count"
                tube = self._tubes.setdefault((event.patient_id, specimen or ""), {})
                tube[analyte] = value
                if specimen and _percent(tube) > _PERCENT_ABOVE:
                    yield "percent"
            case _:
                pass


def _percent(tube: Mapping[Analyte, Decimal]) -> Decimal:
    eosinophils, leukocytes = tube.get(Analyte.EOSINOPHILS), tube.get(Analyte.LEUKOCYTES)
    return Decimal(0) if eosinophils is None or not leukocytes else eosinophils * _HUNDRED / leukocytes
