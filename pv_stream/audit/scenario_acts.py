"""What people do about alerts in a scenario: lines that name an alert by its kind, since ids are made by the fold.

The record of such a line is written when its turn comes, about the alert as it stands by then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pv_stream.codec.events import encode_event
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind
from pv_stream.domain.events import AlertActed
from pv_stream.domain.ids import ActionId, AlertId, PatientId
from pv_stream.domain.times import Instant

#: The words by which a line says what is done, and what each of them may say besides.
ACT_WORDS: Final[Mapping[str, ActionKind]] = {
    "acknowledges": ActionKind.ACKNOWLEDGE,
    "overrides": ActionKind.OVERRIDE,
    "refutes": ActionKind.REFUTE,
    "confirms_case": ActionKind.CONFIRM,
}
_OF_ALL: Final = frozenset({"by", "which", "seen_tier"})
ACT_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "acknowledges": _OF_ALL,
    "overrides": _OF_ALL | {"reason"},
    "refutes": _OF_ALL,
    "confirms_case": _OF_ALL | {"culprit"},
}
#: Of several alerts of a kind, in order of their first revision.
FIRST: Final = "first"
LATEST: Final = "latest"
ACTOR_DEFAULT: Final = "pharmacist"
_NO_ALERT: Final = AlertId("al_none")


@dataclass(frozen=True, slots=True)
class Act:
    """Hold what is done about an alert of a kind; `seen_tier` is None for the tier that stands."""

    patient_id: PatientId
    action_id: ActionId
    action: ActionKind
    kind: str
    which: str
    reason: str | None
    drugs: tuple[str, ...]
    actor: str
    seen_tier: Tier | None
    received: Instant

    def write(self, alerts: Iterable[Mapping[str, Any]]) -> bytes:
        """Return the record about the alert that is meant, of all revisions told so far.

        When there is none of that kind, the record names an alert that does not exist.
        """
        latest: dict[str, Mapping[str, Any]] = {}
        for alert in alerts:
            if (alert["kind"], alert["patient_id"]) == (self.kind, self.patient_id):
                latest[alert["alert_id"]] = alert
        found = list(latest.values())
        seen = None if not found else found[0 if self.which == FIRST else -1]
        standing = Tier.CRITICAL if seen is None else Tier[seen["tier"].upper()]
        return encode_event(
            AlertActed(
                patient_id=self.patient_id,
                action_id=self.action_id,
                alert_id=_NO_ALERT if seen is None else AlertId(seen["alert_id"]),
                action=self.action,
                reason=self.reason,
                drugs=self.drugs,
                actor=self.actor,
                seen_tier=self.seen_tier or standing,
                seen_revision=1 if seen is None else seen["revision"],
                received_at=self.received,
            )
        )
