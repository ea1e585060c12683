"""Explaining one alert from the log itself: each criterion with the facts that decided it.

The patient's records are run through the fold again, one by one, so that the facts are those that stood when the
revision was written, not those of today. Values come from the facts, never from the alert's sentence.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.audit.clock import TimedLog, settle
from pv_stream.audit.criteria_view import CriteriaView, criteria_view
from pv_stream.audit.fact_view import Chart, FactView, chart_of
from pv_stream.audit.log import LogRecord, Survey, read_log, survey
from pv_stream.audit.replay import ReplayPlan, fold_log
from pv_stream.audit.settling import what_settles
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.events import Event, FactArrived, Transferred
from pv_stream.domain.ids import FactKey
from pv_stream.errors import UsageError
from pv_stream.rules.regiscar import TABLE, level_title
from pv_stream.shard.fold import OutputStream, ShardFold

#: How many matching alerts an error names.
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class ItemView:
    """Show one criterion: what is known, its points, the statements behind it, and what would settle it."""

    item: str
    title: str
    levels: tuple[str, ...]
    level_titles: tuple[str, ...]
    points: Mapping[str, int]
    facts: tuple[FactView, ...]
    settles: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold one revision of an alert with all that stands behind it; `revisions` lists its whole life.

    `criteria` are those beside RegiSCAR, as they stood then; `earlier` is the case of the earlier episode that a
    restart or a recurrence points back to. `treated` holds the treatments of the episode and when it clinically
    resolved under them, None where none is recorded.
    """

    alert: Mapping[str, Any]
    revisions: tuple[Mapping[str, Any], ...]
    items: tuple[ItemView, ...]
    criteria: CriteriaView | None
    treated: Mapping[str, Any] | None
    evidence: tuple[FactView, ...]
    recurrences: tuple[Mapping[str, Any], ...]
    earlier: Mapping[str, Any] | None


def find_alert(wanted: str, alerts: Mapping[str, str]) -> tuple[str, str]:
    """Return id and patient of the one alert whose id is, or begins with, `wanted`.

    `alerts` maps ids to patients. Raises UsageError when none or several match.
    """
    found = sorted(
        alert_id
        for alert_id in alerts
        if alert_id.startswith(wanted) or alert_id.partition("_")[2].startswith(wanted)
    )
    if not wanted or not found:
        msg = f"no alert begins with {wanted!r}: the ids stand in alerts.jsonl of a replay"
        raise UsageError(msg)
    if wanted in alerts:
        return wanted, alerts[wanted]
    if len(found) > 1:
        more = "" if len(found) <= _NAMED_MAX else f" and {len(found) - _NAMED_MAX} more"
        msg = f"{wanted!r} is the beginning of several alerts: {', '.join(found[:_NAMED_MAX])}{more}"
        raise UsageError(msg)
    return found[0], alerts[found[0]]


def alerts_of_log(plan: ReplayPlan) -> dict[str, str]:
    """Return the patient of every alert of a log, by replaying all of it."""
    timed = TimedLog(read_log(plan.log), settle(plan.clock, survey(plan.log)))
    values = (
        json.loads(output.value)
        for _, output in fold_log(timed, plan)
        if output.stream is OutputStream.ALERTS
    )
    return {value["alert_id"]: value["patient_id"] for value in values}


def explain(plan: ReplayPlan, alert_id: str, patient_id: str, revision: int | None = None) -> Explanation:
    """Explain a revision of an alert, the latest unless one is named.

    Raises UsageError when the log does not give the alert or the revision.
    """
    story = _story(plan, alert_id, patient_id)
    if not story.revisions:
        msg = f"this log does not give alert {alert_id}: was it another log, rulebook or --clock?"
        raise UsageError(msg)
    numbered = {value["revision"]: (value, after) for value, after in story.revisions}
    if revision is not None and revision not in numbered:
        msg = f"alert {alert_id} has no revision {revision}; it has {', '.join(map(str, sorted(numbered)))}"
        raise UsageError(msg)
    alert, after = numbered[max(numbered) if revision is None else revision]
    chart = chart_of(story.arrived[:after], plan.rulebook_of(alert))
    case = _case(alert["episode_id"], story, after)
    return Explanation(
        alert=alert,
        revisions=tuple(value for value, _ in story.revisions),
        items=_items(alert, chart, plan),
        criteria=_criteria(alert, case, chart, plan),
        treated=_treated(case),
        evidence=_evidence(alert, chart),
        recurrences=tuple(value for value in story.recurrences if value["as_of"] <= alert["as_of"]),
        earlier=_earlier(alert, story, after),
    )


@dataclass(slots=True)
class _Story:
    """Hold a patient's facts in order of arrival, and each revision with how many facts had arrived."""

    arrived: list[FactArrived] = field(default_factory=list)
    revisions: list[tuple[Mapping[str, Any], int]] = field(default_factory=list)
    recurrences: list[Mapping[str, Any]] = field(default_factory=list)
    cases: list[tuple[Mapping[str, Any], int]] = field(default_factory=list)


def _story(plan: ReplayPlan, alert_id: str, patient_id: str) -> _Story:
    story = _Story()
    folds: dict[int, ShardFold] = {}
    key = patient_id.encode()
    found = survey(plan.log)
    alone = reads_alone(plan, found)
    for line in TimedLog(read_log(plan.log), settle(plan.clock, found)):
        if not alone or line.record.key in {None, key}:
            _tell(story, line, folds, plan, (alert_id, patient_id))
    return story


def reads_alone(plan: ReplayPlan, found: Survey) -> bool:
    """Tell whether a patient's own records give all that is said of the patient.

    After an activation the other patients' records decide when this one is assessed again, and after a merge what it
    has.
    """
    return not follows_activations(plan, found) and not (found.merges > 0 and plan.log.makes_transfers)


def follows_activations(plan: ReplayPlan, found: Survey) -> bool:
    """Tell whether rulebooks change on the way."""
    return found.activations > 0 and not plan.what_if


def _tell(
    story: _Story, line: LogRecord, folds: dict[int, ShardFold], plan: ReplayPlan, subject: tuple[str, str]
) -> None:
    alert_id, patient_id = subject
    fold = folds.get(line.shard)
    if fold is None:
        fold = folds[line.shard] = plan.new_fold(line.shard)
    event = decode_event(line.record.value)
    if isinstance(event, FactArrived) and event.patient_id == patient_id:
        story.arrived.append(event)
    _hand_over(story, event, patient_id)
    run = fold.process((line.record,))
    fold.commit(run)
    for output in run.outputs:
        if output.stream is OutputStream.EVENTS:
            if plan.log.makes_transfers:
                _hand_over(story, decode_event(output.value), patient_id)
            continue
        value = json.loads(output.value)
        if value["patient_id"] == patient_id:
            _note(story, output.stream, value, alert_id)


def _hand_over(story: _Story, event: Event | Rejection, patient_id: str) -> None:
    """Take the facts that another record of the patient handed over as arrived."""
    if isinstance(event, Transferred) and event.patient_id == patient_id:
        story.arrived.extend(event.facts)


def _note(story: _Story, stream: OutputStream, value: Mapping[str, Any], alert_id: str) -> None:
    if stream is OutputStream.CASES:
        story.cases.append((value, len(story.arrived)))
    elif stream is OutputStream.ALERTS and value["alert_id"] == alert_id:
        story.revisions.append((value, len(story.arrived)))
    elif stream is OutputStream.RECURRENCES and value["alert_id"] == alert_id:
        story.recurrences.append(value)


def _earlier(alert: Mapping[str, Any], story: _Story, count: int) -> Mapping[str, Any] | None:
    pointer = alert["restart"] or alert["recurrence"]
    return None if pointer is None else _case(pointer["of_episode"], story, count)


def _case(episode_id: str, story: _Story, count: int) -> Mapping[str, Any] | None:
    """Return the case of an episode as it stood when so many facts had arrived."""
    told = (case for case, after in story.cases if case["episode_id"] == episode_id and after <= count)
    return max(told, key=lambda case: int(case["revision"]), default=None)


def _criteria(
    alert: Mapping[str, Any], case: Mapping[str, Any] | None, chart: Chart, plan: ReplayPlan
) -> CriteriaView | None:
    if alert["criteria"] is None or case is None:
        return None
    return criteria_view(case["criteria"], chart, plan.rulebook_of(alert).parameters)


def _treated(case: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if case is None or not case["treatments"]:
        return None
    return {name: case[name] for name in ("treatments", "clinical_resolution_at")}


# Views ------------------------------------------------------------------------------------------------------------


def _items(alert: Mapping[str, Any], chart: Chart, plan: ReplayPlan) -> tuple[ItemView, ...]:
    score = alert["regiscar"]
    if score is None:
        return ()
    parameters = plan.rulebook_of(alert).parameters
    titles = {item.name: item.title(parameters) for item in TABLE}
    return tuple(
        ItemView(
            item=item["item"],
            title=titles[item["item"]],
            levels=tuple(item["levels"]),
            level_titles=tuple(level_title(level, parameters) for level in item["levels"]),
            points=item["points"],
            facts=tuple(view for key in item["evidence"] for view in chart.views(FactKey(key))),
            settles=what_settles(item["item"], parameters) if len(item["levels"]) > 1 else None,
        )
        for item in score["items"]
    )


def _evidence(alert: Mapping[str, Any], chart: Chart) -> tuple[FactView, ...]:
    """Show what the alert names as evidence: `<fact key>@<digest>#<path>`."""
    keys = dict.fromkeys(FactKey(named.partition("@")[0]) for named in alert["evidence"])
    return tuple(view for key in keys for view in chart.views(key))
