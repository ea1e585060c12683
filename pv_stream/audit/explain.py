"""Explaining one alert from the log itself: each criterion with the facts that decided it.

The patient's records are run through the fold again, one by one, so that the facts are those that stood when the
revision was written, not those of today. Values come from the facts, never from the alert's sentence.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.audit.clock import TimedLog, settle
from pv_stream.audit.log import LogRecord, read_log, survey
from pv_stream.audit.replay import ReplayPlan, fold_log
from pv_stream.audit.settling import what_settles
from pv_stream.codec.canonical import decimal_text
from pv_stream.codec.events import decode_event
from pv_stream.domain.codes import UNIT_OF, ExposureKind
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, Exposure, Fact, Finding, Held, Measurement, Provenance, Statement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval, format_instant
from pv_stream.engine.join import join_fact
from pv_stream.errors import DataError, UsageError
from pv_stream.rules.regiscar import TABLE
from pv_stream.shard.fold import OutputStream, ShardFold

#: How many matching alerts an error names.
_NAMED_MAX: Final = 5
_DIGEST_PREFIX: Final = "sha256:"
_DIGEST_SHOWN: Final = 12
_ACRONYMS: Final = frozenset({"alt", "ast", "alp", "ana"})
_UNIT_WORDS: Final = {"/uL": "/µL", "Cel": "°C"}
_GIVEN: Final = {
    ExposureKind.ORDER: "ordered",
    ExposureKind.DISPENSE: "dispensed",
    ExposureKind.STATEMENT: "stated as taken",
    ExposureKind.ADMINISTRATION: "given",
}


@dataclass(frozen=True, slots=True)
class FactView:
    """Show one statement as a reader checks it: what was sent, what was used, when, and from which message."""

    fact: str
    what: str
    as_sent: str | None
    used: str
    when: str
    received_at: str
    status: str
    source: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemView:
    """Show one criterion: what is known, its points, the statements behind it, and what would settle it."""

    item: str
    title: str
    levels: tuple[str, ...]
    points: Mapping[str, int]
    facts: tuple[FactView, ...]
    settles: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold one revision of an alert with all that stands behind it; `revisions` lists its whole life.

    `earlier` is the case of the earlier episode that a restart or a recurrence points back to.
    """

    alert: Mapping[str, Any]
    revisions: tuple[Mapping[str, Any], ...]
    items: tuple[ItemView, ...]
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
    facts = _facts_after(story, after)
    return Explanation(
        alert=alert,
        revisions=tuple(value for value, _ in story.revisions),
        items=_items(alert, facts, plan),
        evidence=_evidence(alert, facts),
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
    timed = TimedLog(read_log(plan.log), settle(plan.clock, survey(plan.log)))
    for line in timed:
        if line.record.key in {None, key}:
            _tell(story, line, folds, plan, alert_id)
    return story


def _tell(
    story: _Story, line: LogRecord, folds: dict[int, ShardFold], plan: ReplayPlan, alert_id: str
) -> None:
    fold = folds.get(line.shard)
    if fold is None:
        fold = ShardFold(shard=line.shard, shard_count=plan.log.shard_count, rulebook=plan.rulebook)
        folds[line.shard] = fold
    event = decode_event(line.record.value)
    if isinstance(event, FactArrived):
        story.arrived.append(event)
    run = fold.process((line.record,))
    fold.commit(run)
    for output in run.outputs:
        _note(story, output.stream, json.loads(output.value), alert_id)


def _note(story: _Story, stream: OutputStream, value: Mapping[str, Any], alert_id: str) -> None:
    if stream is OutputStream.CASES:
        story.cases.append((value, len(story.arrived)))
    elif stream is OutputStream.ALERTS and value["alert_id"] == alert_id:
        story.revisions.append((value, len(story.arrived)))
    elif stream is OutputStream.RECURRENCES and value["alert_id"] == alert_id:
        story.recurrences.append(value)


def _earlier(alert: Mapping[str, Any], story: _Story, count: int) -> Mapping[str, Any] | None:
    pointer = alert["restart"] or alert["recurrence"]
    if pointer is None:
        return None
    told = (
        case for case, after in story.cases if case["episode_id"] == pointer["of_episode"] and after <= count
    )
    return max(told, key=lambda case: int(case["revision"]), default=None)


def _facts_after(story: _Story, count: int) -> dict[FactKey, Fact]:
    facts: dict[FactKey, Fact] = {}
    for event in story.arrived[:count]:
        facts[event.version.key] = join_fact(facts.get(event.version.key), event.version)
    return facts


# Views ------------------------------------------------------------------------------------------------------------


def _items(alert: Mapping[str, Any], facts: Mapping[FactKey, Fact], plan: ReplayPlan) -> tuple[ItemView, ...]:
    score = alert["regiscar"]
    if score is None:
        return ()
    titles = {item.name: item.title for item in TABLE}
    return tuple(
        ItemView(
            item=item["item"],
            title=titles[item["item"]],
            levels=tuple(item["levels"]),
            points=item["points"],
            facts=tuple(view for key in item["evidence"] for view in _views(FactKey(key), facts)),
            settles=what_settles(item["item"], plan.rulebook.parameters) if len(item["levels"]) > 1 else None,
        )
        for item in score["items"]
    )


def _evidence(alert: Mapping[str, Any], facts: Mapping[FactKey, Fact]) -> tuple[FactView, ...]:
    """Show what the alert names as evidence: `<fact key>@<digest>#<path>`."""
    keys = dict.fromkeys(FactKey(named.partition("@")[0]) for named in alert["evidence"])
    return tuple(view for key in keys for view in _views(key, facts))


def _views(key: FactKey, facts: Mapping[FactKey, Fact]) -> tuple[FactView, ...]:
    fact = facts.get(key)
    if fact is None:
        msg = f"the alert names the fact {key}, which this log does not hold"
        raise DataError(msg)
    return tuple(view_of(key, fact, statement, provenance) for statement, provenance in fact.statements)


def view_of(key: FactKey, fact: Fact, statement: Statement, provenance: Provenance) -> FactView:
    """Return one statement of a fact as a reader checks it."""
    what, used = _used(statement.content)
    digest = provenance.message_digest.removeprefix(_DIGEST_PREFIX)[:_DIGEST_SHOWN]
    return FactView(
        fact=key,
        what=what,
        as_sent=_as_sent(statement.content),
        used=used,
        when=_when(statement.effective),
        received_at=format_instant(Instant(provenance.received_at)),
        status=fact.order.status.name.lower(),
        source=f"{provenance.format} message {digest} at {provenance.path}",
        flags=(
            *(flag.value for flag in getattr(statement.content, "flags", ())),
            *(("conflicting",) if fact.is_conflicting else ()),
        ),
    )


def _used(content: Content) -> tuple[str, str]:
    match content:
        case Measurement(analyte=analyte, value=value, comparator=comparator):
            unit = _UNIT_WORDS.get(UNIT_OF[analyte], UNIT_OF[analyte])
            return _words(analyte), f"{comparator or ''}{decimal_text(value)} {unit}"
        case Finding(code=code, presence=presence):
            return _words(code), f"{presence}{_extent(content)}"
        case Exposure(kind=kind, ingredients=ingredients, is_stop=is_stop):
            drugs = " and ".join(ingredients) or "drug not recognised"
            return drugs, "stopped" if is_stop else _GIVEN[kind]
        case Held(code=code, analyte=analyte):
            return _words(analyte or "value"), f"held: {_words(code)}"
        case _:
            return "statement", "taken back"


def _extent(finding: Finding) -> str:
    stated = [
        (finding.body_surface_percent, "% of body surface"),
        (finding.sites, "sites"),
        (finding.size_cm, "cm"),
    ]
    return "".join(f", {value} {unit}" for value, unit in stated if value is not None)


def _words(name: str) -> str:
    return str(name).upper() if name in _ACRONYMS else str(name).replace("_", " ")


def _as_sent(content: Content) -> str | None:
    sent = getattr(content, "as_sent", None)
    if sent is None:
        return None
    value = " ".join(part for part in (sent.value, sent.unit) if part is not None)
    return f"{value} (code {sent.code}, {sent.system})" if value else f"code {sent.code}, {sent.system}"


def _when(effective: Interval) -> str:
    if effective.is_exact:
        return format_instant(effective.earliest)
    return f"{format_instant(effective.earliest)} to {format_instant(effective.latest)}"
