"""`pv-stream act`: what a person does about one alert, written durably to the log that gave it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pv_stream.cli.decisions import KAFKA, actor_of, decided_at, plan_of, target_of, write_events
from pv_stream.cli.options import CarryOption
from pv_stream.domain.codes import ActionKind, DeadLetterCode, Judgement, OverrideReason
from pv_stream.errors import UsageError

if TYPE_CHECKING:
    from pv_stream.audit.replay import ReplayPlan
    from pv_stream.domain.events import AlertActed
    from pv_stream.engine.actions import Standing
    from pv_stream.settings import Settings

_REASONS: Final = ", ".join(OverrideReason)


class Deed(StrEnum):
    """Name what can be done about an alert, in the words of the command line."""

    ACK = "ack"
    OVERRIDE = "override"
    REFUTE = "refute"
    CONFIRM = "confirm"


_ACTION_OF: Final = {
    Deed.ACK: ActionKind.ACKNOWLEDGE,
    Deed.OVERRIDE: ActionKind.OVERRIDE,
    Deed.REFUTE: ActionKind.REFUTE,
    Deed.CONFIRM: ActionKind.CONFIRM,
}
#: Why an action would be refused, and what to do.
_REFUSED: Final = {
    DeadLetterCode.ACTION_UNKNOWN_ALERT: "the log does not give this alert: name the log that did with --log",
    DeadLetterCode.ACTION_ALERT_NOT_LIVE: (
        "the alert does not stand at that time, so nothing needs to be done about it. If it stood when you acted, "
        "say when with --received-at"
    ),
    DeadLetterCode.ACTION_DOES_NOT_FIT: (
        "that cannot be done about an alert of this kind: refute and confirm judge a suspected_dress, --culprit goes "
        "with confirm, and a data_review, follow_up_due or system alert can only be acknowledged"
    ),
    DeadLetterCode.ACTION_UNKNOWN_DRUG: (
        "no order, dose, dispense, statement or report of this patient names that drug, or it treats DRESS and is "
        "never blamed. Name a --culprit as the record does: a drug that no list knows by its code, such as 'rxnorm 161'"
    ),
    DeadLetterCode.ACTION_UNKNOWN_REASON: f"say why with --reason, for an override and nothing else: {_REASONS}",
    DeadLetterCode.ACTION_OUTDATED: "the alert has risen since: replay the log again, look at it, then act",
    DeadLetterCode.ACTION_REPEATED: "that was done about this alert before: nothing to add",
}


LogOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        readable=False,
        help="The log of events that gave the alert; the action is appended to it. Without it: Kafka.",
    ),
]
NoteOption = Annotated[
    str | None,
    typer.Option(help="Free text for yourself: kept in a file that you alone can read, never in the log."),
]


def command(  # noqa: PLR0913 - one parameter for each option of the command
    alert: Annotated[str, typer.Argument(help="The alert's id, or a beginning of it that no other shares.")],
    deed: Annotated[
        Deed,
        typer.Argument(
            help="ack: taken note of. override: set aside, with a --reason. refute: not DRESS. confirm: DRESS."
        ),
    ],
    reason: Annotated[str | None, typer.Option(help=f"Why it is overridden: {_REASONS}.")] = None,
    culprit: Annotated[
        list[str] | None,
        typer.Option(help="A drug of the patient's record that a confirm names; may be repeated."),
    ] = None,
    note: NoteOption = None,
    by: Annotated[
        str | None, typer.Option(help="Who acts; the log gets a pseudonym of it. [your login name]")
    ] = None,
    log: LogOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A replay of that log: finds the alert faster.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="kafka|FILE", help="Where the action goes, if not to --log.")
    ] = None,
    carry: CarryOption = None,
    received_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When it was done, for an old log. [now]")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the event and the alert as JSON.")] = False,
) -> None:
    """Acknowledge, override, refute or confirm one alert: shows it, then writes the action to the log.

    What does not fit the alert as it stands is refused and not written. A note (--note) never enters the log.
    """
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for them

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    target = _target(log, out, to)
    plan = None if log is None else plan_of(log, carry or ())
    if plan is not None and target == log:
        _check_can_append(plan)
    seen = _find(alert, plan, out, settings)
    acted = _acted(seen, deed, (reason, tuple(culprit or ())), actor_of(by, settings, target), received_at)
    _refuse(_why_refused(seen, acted, plan))
    if not as_json:
        _show(seen, acted)
    kept = None if note is None else _keep_note(note, acted, settings)
    write_events((acted,), target, settings)
    _say(seen, acted, target, kept, log=log, carry=carry or (), as_json=as_json)


def _target(log: Path | None, out: Path | None, to: str | None) -> Path | None:
    """Return the file that the action is appended to, or None for Kafka."""
    if to is not None or out is None:
        return target_of(log, to)
    if log is None:
        message = (
            "--out names a replay of a log in a file: name the log as well with --log, or say --to kafka"
        )
        raise UsageError(message)
    return log


def _check_can_append(plan: "ReplayPlan") -> None:
    from pv_stream.audit.acting import check_can_append  # noqa: PLC0415 - see above

    check_can_append(plan)


def _find(
    wanted: str, plan: "ReplayPlan | None", out: Path | None, settings: "Settings"
) -> Mapping[str, Any]:
    """Return the latest revision of the alert that is meant."""
    from pv_stream.audit.acting import alerts_in_folder, alerts_in_log  # noqa: PLC0415 - see above
    from pv_stream.audit.explain import find_alert  # noqa: PLC0415
    from pv_stream.cli.terminal import require_id_to_write  # noqa: PLC0415

    require_id_to_write(wanted)
    if out is not None:
        alerts = alerts_in_folder(out)
    elif plan is not None:
        alerts = alerts_in_log(plan)
    else:
        alerts = _alerts_in_kafka(settings)
    alert_id, _ = find_alert(wanted, {name: value["patient_id"] for name, value in alerts.items()})
    return alerts[alert_id]


def _alerts_in_kafka(settings: "Settings") -> dict[str, Mapping[str, Any]]:
    from pv_stream.stream import require_client  # noqa: PLC0415 - only the live topic needs a Kafka client

    require_client("kafka")
    from pv_stream.stream.consumer import Worklist, read_alerts  # noqa: PLC0415

    worklist = Worklist()
    for value in read_alerts(settings, follow=False, say=lambda line: typer.echo(line, err=True)):
        worklist.upsert(value)
    return worklist.alerts


def _acted(
    seen: Mapping[str, Any],
    deed: Deed,
    said: tuple[str | None, tuple[str, ...]],
    actor: str,
    received_at: str | None,
) -> "AlertActed":
    from pv_stream.domain.assessment import Tier  # noqa: PLC0415 - see above
    from pv_stream.domain.events import AlertActed  # noqa: PLC0415
    from pv_stream.domain.ids import ActionId, AlertId, PatientId, derive_id  # noqa: PLC0415
    from pv_stream.domain.times import format_instant  # noqa: PLC0415

    reason, named = said
    drugs = tuple(sorted({" ".join(drug.split()).lower() for drug in named}))
    received = decided_at(received_at)
    action = _ACTION_OF[deed]
    parts = (seen["record_id"], action, reason or "", *drugs, actor, format_instant(received))
    return AlertActed(
        patient_id=PatientId(seen["patient_id"]),
        action_id=ActionId(derive_id("act", *parts)),
        alert_id=AlertId(seen["alert_id"]),
        action=action,
        reason=reason,
        drugs=drugs,
        actor=actor,
        seen_tier=Tier[seen["tier"].upper()],
        seen_revision=seen["revision"],
        received_at=received,
    )


def _why_refused(
    seen: Mapping[str, Any], acted: "AlertActed", plan: "ReplayPlan | None"
) -> DeadLetterCode | None:
    """Judge the action by the alert as it was found and, where the log is at hand, by trying it."""
    from pv_stream.audit.acting import try_on_log  # noqa: PLC0415 - see above
    from pv_stream.codec.events import decode_event, encode_event  # noqa: PLC0415
    from pv_stream.engine.actions import why_refused  # noqa: PLC0415

    refused = why_refused(_standing(seen), acted)
    if refused is None and decode_event(encode_event(acted)) != acted:
        # What else was said is of a known form: no log can hold a drug of such a name.
        refused = DeadLetterCode.ACTION_UNKNOWN_DRUG
    return refused if refused is not None or plan is None else try_on_log(plan, acted)


def _standing(seen: Mapping[str, Any]) -> "Standing":
    from pv_stream.domain.assessment import Tier  # noqa: PLC0415 - see above
    from pv_stream.domain.outputs import AlertKind, AlertStatus  # noqa: PLC0415
    from pv_stream.engine.actions import Standing  # noqa: PLC0415

    noted = seen.get("acknowledged")
    return Standing(
        kind=AlertKind(seen["kind"]),
        status=AlertStatus(seen["status"]),
        tier=Tier[seen["tier"].upper()],
        revision=seen["revision"],
        drugs=None,
        noted=noted is not None,
        override=None if noted is None else noted["override_reason"],
        judgement=Judgement.REFUTED if seen["closing"] == Judgement.REFUTED else None,
    )


def _refuse(code: DeadLetterCode | None) -> None:
    if code is not None:
        message = f"refused ({code}): {_REFUSED.get(code, 'the log does not take it')}. Nothing was written."
        raise UsageError(message)


def _show(seen: Mapping[str, Any], acted: "AlertActed") -> None:
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.padding import Padding  # noqa: PLC0415

    from pv_stream.cli.terminal import kind_text, moment, stderr, tier_text  # noqa: PLC0415

    say = stderr()
    told = f"{kind_text(seen['kind'])}, {seen['status']}, patient {seen['patient_id']}"
    say.print(f"{tier_text(seen['tier'])} {moment(seen['as_of'])}: {escape(told)}", soft_wrap=True)
    say.print(Padding(escape(seen["reason"]), (0, 0, 0, 4)))
    say.print(escape(f"    {seen['alert_id']} revision {seen['revision']}"), soft_wrap=True)
    why = f" ({acted.reason})" if acted.reason else ""
    names = f", naming {', '.join(acted.drugs)}" if acted.drugs else ""
    say.print(f"[bold]{acted.action}[/]{escape(why + names)} by {acted.actor}", soft_wrap=True)


def _keep_note(note: str, acted: "AlertActed", settings: "Settings") -> Path:
    from pv_stream.audit.action_notes import keep_note  # noqa: PLC0415 - see above
    from pv_stream.domain.times import format_instant  # noqa: PLC0415

    at = format_instant(acted.received_at)
    return keep_note(settings.state_dir, action_id=acted.action_id, alert_id=acted.alert_id, at=at, note=note)


def _say(  # noqa: PLR0913 - all that was done, to be said
    seen: Mapping[str, Any],
    acted: "AlertActed",
    target: Path | None,
    kept: Path | None,
    *,
    log: Path | None,
    carry: Sequence[Path],
    as_json: bool,
) -> None:
    from pv_stream.cli.terminal import program  # noqa: PLC0415 - see above
    from pv_stream.codec.events import encode_event  # noqa: PLC0415

    if as_json:
        told = {"action": json.loads(encode_event(acted)), "alert": seen, "written_to": str(target or KAFKA)}
        typer.echo(json.dumps(told, sort_keys=True, ensure_ascii=False))
    typer.echo(f"Written to {target or KAFKA} as {acted.action_id}", err=True)
    if kept is not None:
        typer.echo(f"Your note: {kept} (yours alone to read)", err=True)
    if as_json:
        return
    if target is None:
        unsuspected = set(acted.drugs).difference(culprit["drug"] for culprit in seen["culprits"])
        if unsuspected:
            names = ", ".join(sorted(unsuspected))
            typer.echo(
                f"The alert does not suspect {names}: the worker takes the action if a record of the patient names it, "
                f"else `{program()} dlq list` shows it as action_unknown_drug",
                err=True,
            )
        typer.echo(f"Next: {program()} worklist", err=True)
    elif target == log:
        carried = [word for path in carry for word in ("--carry", str(path))]
        words = shlex.join(["replay", str(log), "--out", f"{log.stem}-replay", *carried])
        typer.echo(f"Next: {program()} {words}", err=True)
