"""Acting: what people do about the alerts of a log, put in where those were told; some of it does not fit."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, OverrideReason
from pv_stream.domain.events import AlertActed, Event
from pv_stream.domain.ids import ActionId, AlertId, PatientId
from pv_stream.domain.times import Instant, parse_instant
from pv_stream.shard.fold import OutputStream
from tests.shards import fold, raw
from tests.stories import Narrator


def acted(
    alert: Mapping[str, Any],
    action: ActionKind,
    *,
    reason: str | None = None,
    drugs: tuple[str, ...] = (),
    seen_tier: Tier | None = None,
    seen_revision: int | None = None,
    at: Instant | None = None,
    action_id: str | None = None,
) -> AlertActed:
    """Return an action on a revision of an alert, as it was told unless said otherwise."""
    received_at = parse_instant(alert["as_of"]) if at is None else at
    named = f"act:{alert['record_id']}:{action}:{reason}:{received_at}" if action_id is None else action_id
    return AlertActed(
        patient_id=PatientId(alert["patient_id"]),
        action_id=ActionId(named[:80]),
        alert_id=AlertId(alert["alert_id"]),
        action=action,
        reason=reason,
        drugs=drugs,
        actor="actor-1",
        seen_tier=Tier[alert["tier"].upper()] if seen_tier is None else seen_tier,
        seen_revision=alert["revision"] if seen_revision is None else seen_revision,
        received_at=received_at,
    )


def with_actions(narrator: Narrator, log: Sequence[Event]) -> list[Event]:
    """Return a log with actions on about a third of its alert revisions, each right after what told it."""
    told = [out for out in fold(raw(log)) if out.stream is OutputStream.ALERTS]
    events = list(log)
    for out in reversed(told):
        if narrator.number(0, 2) == 0:
            events.insert(out.position + 1, _any_action(narrator, json.loads(out.value)))
    return events


def _any_action(narrator: Narrator, alert: Mapping[str, Any]) -> AlertActed:
    action = narrator.pick(tuple(ActionKind))
    overrides = action is ActionKind.OVERRIDE
    suspects = tuple(culprit["drug"] for culprit in alert["culprits"])
    return acted(
        alert,
        action,
        reason=narrator.pick((*OverrideReason, "busy")) if overrides else None,
        drugs=suspects[: narrator.number(0, 1)] if action is ActionKind.CONFIRM else (),
        seen_tier=narrator.pick((None, None, None, Tier.INFO)),
    )
