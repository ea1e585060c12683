"""When alerts stood, at which tier, and for which person: a list of revisions read as stretches of time.

Looked at are the alerts that say that DRESS may be there or may come: suspicions, and restarts of a culprit. Patient
records that were merged are one person, and an alert that goes on under the survivor is one alert.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.audit.evaluation.measures import Stood
from pv_stream.domain.ids import PatientId
from pv_stream.domain.outputs import AlertKind
from pv_stream.domain.times import Instant, parse_instant

TIERS: Final = ("info", "warning", "critical")
_KINDS: Final = frozenset({AlertKind.SUSPECTED_DRESS, AlertKind.CULPRIT_RESTART})
_STANDING: Final = frozenset({"raised", "revised"})


@dataclass(slots=True)
class _Told:
    """Hold the life of one alert: whose it is, what it was told to continue, and its tier from instant to instant."""

    patient_id: PatientId
    of_drugs: frozenset[str] | None
    continues: str | None
    revisions: list[tuple[Instant, int | None]] = field(default_factory=list)

    def stood(self, tier: int) -> Iterator[Stood]:
        """Yield the stretches in which the alert stood at a tier or above."""
        since: Instant | None = None
        for at, reached in self.revisions:
            stands = reached is not None and reached >= tier
            if stands and since is None:
                since = at
            elif not stands and since is not None:
                yield Stood(since, at, self.of_drugs)
                since = None
        if since is not None:
            yield Stood(since, None, self.of_drugs)


@dataclass(slots=True)
class AlertsTold:
    """Remember the life of every alert that is looked at."""

    _told: dict[str, _Told] = field(default_factory=dict)

    def take(self, alert: Mapping[str, Any]) -> None:
        """Look at one revision; those of one alert come in order."""
        if alert["kind"] not in _KINDS:
            return
        told = self._told.get(alert["alert_id"])
        if told is None:
            restart = alert["restart"]
            told = self._told[alert["alert_id"]] = _Told(
                patient_id=PatientId(alert["patient_id"]),
                of_drugs=None if restart is None else frozenset(restart["drug"].casefold().split("/")),
                continues=next(iter(alert["continues"]), None),
            )
        reached = TIERS.index(alert["tier"]) if alert["status"] in _STANDING else None
        told.revisions.append((parse_instant(alert["as_of"]), reached))

    def at(
        self, tier: str, person_of: Callable[[PatientId], PatientId]
    ) -> tuple[dict[PatientId, list[Stood]], int]:
        """Return for each person when alerts stood at a tier or above, and how many alerts these were."""
        least, stood, counted = TIERS.index(tier), dict[PatientId, list[Stood]](), set[str]()
        for alert_id, told in self._told.items():
            stretches = list(told.stood(least))
            if stretches:
                stood.setdefault(person_of(told.patient_id), []).extend(stretches)
                counted.add(self._first(alert_id))
        return stood, len(counted)

    def _first(self, alert_id: str) -> str:
        """Return the alert as which this one was told first, before it went on under other patient records."""
        seen = {alert_id}
        while (before := self._told[alert_id].continues) in self._told and before not in seen:
            seen.add(before)
            alert_id = before
        return alert_id
