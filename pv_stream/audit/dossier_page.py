"""A dossier as one page that a person reads from top to bottom, patient by patient, in the order of the log."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pv_stream.audit.dossier import Deed, Dossier, Entry, alerts_said
from pv_stream.audit.fact_view import FactView
from pv_stream.audit.flag_words import remarks_on
from pv_stream.audit.page import heading, page, paragraph, table

_DONE: Final = {
    Deed.KNOWN: "became known",
    Deed.CORRECTED: "was corrected",
    Deed.TAKEN_BACK: "was taken back",
    Deed.REPEATED: "came again",
    Deed.SAID: "alert",
    Deed.RECURRED: "recurrence",
    Deed.NOTED: "acted",
    Deed.REFUSED: "could not be used",
    Deed.MERGED: "patient records",
    Deed.IN_FORCE: "rulebook in force",
}
_IDENTITY: Final = {
    "absorbed": "merged into",
    "absorbs": "takes over",
    "separated": "gives back what came from",
}
_NOTICE: Final = (
    "For qualified readers. It holds pseudonyms and clinical facts: keep it as you keep a patient's record. What was "
    "said is what the software said of this log; it is not validated for care."
)
_WHAT_IF: Final = (
    "WHAT IF: under a rulebook that the log did not name. So this was not said: it would have been."
)


def page_of(dossier: Dossier) -> str:
    """Return the page; it stands alone."""
    return page(_title(dossier), _parts(dossier))


def _title(dossier: Dossier) -> str:
    selection = dossier.selection
    if selection.alert_id is not None:
        return f"Alert {selection.alert_id}"
    if selection.patient_id is not None:
        return f"Patient {selection.patient_id}"
    return f"Alerts from {selection.since or 'the beginning'} to {selection.until or 'the end'}"


def _parts(dossier: Dossier) -> Iterator[str]:
    yield paragraph(_NOTICE, "notice")
    if dossier.what_if:
        yield paragraph(_WHAT_IF, "notice")
    manifest = dossier.manifest()
    yield table(
        ("made from", ""),
        (
            ("log", f"{manifest['input']['digest']}, {manifest['input']['bytes']:,} bytes"),
            (
                "rulebooks",
                ", then ".join(f"{book['version']} ({book['digest']})" for book in dossier.rulebooks),
            ),
            ("engine version", manifest["engine_version"]),
            ("clock", manifest["clock"]),
        ),
    )
    for entry in dossier.entries:
        if entry.patient_id is None:
            yield paragraph(f"{entry.at or 'Before the first clock record'}: {_of_all(entry)}", "aside")
    of_patient: dict[str, list[Entry]] = {patient: [] for patient in dossier.patients}
    for entry in dossier.entries:
        if entry.patient_id is not None:
            of_patient[entry.patient_id].append(entry)
    for patient, entries in of_patient.items():
        yield heading(patient)
        yield from _of_patient(entries)


def _of_all(entry: Entry) -> str:
    if entry.deed is Deed.IN_FORCE:
        return f"rulebook {(entry.output or {})['rulebook']} in force from here on"
    return f"a record that {_DONE[entry.deed]}, {_told(entry)}; {_from(entry)}"


def _of_patient(entries: Sequence[Entry]) -> Iterator[str]:
    alerts = alerts_said(entries)
    if alerts:
        yield table(
            ("alert", "about", "revision", "stands as", "tier", "rulebook", "noted by"),
            (_alert(alert) for alert in alerts.values()),
        )
    yield table(
        ("known at", "what", "", "from"),
        ((each.at, _DONE[each.deed], _told(each), _from(each)) for each in entries),
    )


def _alert(alert: Mapping[str, Any]) -> tuple[object, ...]:
    noted = alert["acknowledged"]
    return (
        alert["alert_id"],
        alert["kind"].replace("_", " "),
        alert["revision"],
        " ".join(word for word in (alert["status"], alert["closing"]) if word).replace("_", " "),
        alert["tier"],
        alert["rulebook"]["version"],
        "nobody" if noted is None else f"{noted['by']} at {noted['at']}",
    )


def _told(entry: Entry) -> str:
    if entry.fact is not None:
        return _fact(entry.fact, entry.before)
    output = entry.output or {}
    match entry.deed:
        case Deed.SAID:
            return (
                f"{output['alert_id']} revision {output['revision']}, {output['status']} at {output['tier']} "
                f"because of {output['cause']}: {output['reason']}{remarks_on(output['flags'])}"
            )
        case Deed.RECURRED:
            return (
                f"{output['primary']} of {output['of_episode']} after {output['interval_days']} days, "
                f"{output['status']}".replace("_", " ")
            )
        case Deed.NOTED:
            why = f", {output['reason']}" if output["reason"] else ""
            seen = f"as seen at revision {output['revision']}, {output['tier']}"
            return f"{output['by']}: {output['action']} {output['alert_id']}{why} ({seen})".replace("_", " ")
        case Deed.REFUSED:
            return f"{output['code']}: {output['value_bytes']} bytes, {output['value_digest']}"
        case _:
            return f"{_IDENTITY[output['identity']]} {output['other']}"


def _fact(fact: FactView, before: FactView | None) -> str:
    sent = f", sent as {fact.as_sent}" if fact.as_sent else ""
    flags = f" [{', '.join(fact.flags)}]" if fact.flags else ""
    replaced = f"; it was {before.what} {before.used} before" if before is not None else ""
    review = f"; {fact.review}" if fact.review else ""
    return f"{fact.what} {fact.used} ({fact.status}) of {fact.when}{sent}{flags}{replaced}{review}"


def _from(entry: Entry) -> str:
    place = f"shard {entry.shard}, position {entry.position}"
    return place if entry.fact is None else f"{entry.fact.source}; {place}"
