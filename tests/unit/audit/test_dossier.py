"""A dossier: what was known when, what was said, what was corrected and noted, of a patient, an alert or a period."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.dossier import Deed, Dossier, Selection, alerts_said, dossier_of
from pv_stream.audit.dossier_page import page_of
from pv_stream.audit.fact_view import FactView, view_of
from pv_stream.audit.replay import replay
from pv_stream.codec.events import encode_event
from pv_stream.domain.ids import FactKey, PatientId
from tests.builders import at, dose, eosinophils, with_patient
from tests.merging import PatientEvent, merge
from tests.unit.audit.logs import PATIENT, imatinib_lines, plan_of, values, write_lines

OTHER: Final = PatientId("patient-other")


def corrected(line: bytes, value: str) -> bytes:
    """Return a correction of a measurement, an hour later."""
    event: dict[str, Any] = json.loads(line)
    received = event["received_at"].replace("T1", "T2")
    assert received != event["received_at"]
    event |= {"status": "corrected", "issued_at": received, "received_at": received}
    event["observation"]["value"] = value
    return json.dumps(event, sort_keys=True).encode()


def dossier(tmp_path: Path, selection: Selection, lines: list[bytes] | None = None) -> Dossier:
    """Make a dossier from a log of two patients with the published imatinib case."""
    told = lines or [*imatinib_lines(), *imatinib_lines(OTHER)]
    return dossier_of(plan_of(write_lines(tmp_path / "log.jsonl", told)), selection)


def test_everything_of_one_patient_and_nothing_of_another(tmp_path: Path) -> None:
    made = dossier(tmp_path, Selection(patient_id=PATIENT))
    assert made.patients == (PATIENT,)
    assert OTHER not in page_of(made)
    replayed = tmp_path / "out"
    replay(plan_of(tmp_path / "log.jsonl"), replayed)
    said = [each.output for each in made.entries if each.deed is Deed.SAID]
    assert said == [value for value in values(replayed / "alerts.jsonl") if value["patient_id"] == PATIENT]
    recurred = [each.output for each in made.entries if each.deed is Deed.RECURRED]
    assert recurred == [
        value for value in values(replayed / "recurrences.jsonl") if value["patient_id"] == PATIENT
    ]


def test_entries_stand_where_the_log_has_them_with_what_was_known_before(tmp_path: Path) -> None:
    made = dossier(tmp_path, Selection(patient_id=PATIENT))
    positions = [each.position for each in made.entries]
    assert positions == sorted(positions)
    first = next(each for each in made.entries if each.deed is Deed.SAID)
    cause = [each for each in made.entries if each.position == first.position and each.deed is Deed.KNOWN]
    assert len(cause) == 1


def test_a_correction_names_what_it_replaced_and_a_copy_nothing(tmp_path: Path) -> None:
    lines = imatinib_lines()
    place = next(n for n, line in enumerate(lines) if b'"eosinophils"' in line)
    lines[place + 1 : place + 1] = [lines[place], corrected(lines[place], "123")]
    made = dossier(tmp_path, Selection(patient_id=PATIENT), lines)
    repeated, fixed = (each for each in made.entries if each.deed in {Deed.REPEATED, Deed.CORRECTED})
    assert repeated.before is None
    assert fixed.deed is Deed.CORRECTED
    assert fixed.fact is not None
    assert fixed.before is not None
    assert fixed.fact.used == "123 /µL"
    assert fixed.before.used != fixed.fact.used
    assert "before" in page_of(made)


def test_of_one_alert_only_its_own_revisions_are_said(tmp_path: Path) -> None:
    whole = dossier(tmp_path, Selection(patient_id=PATIENT))
    wanted, *others = alerts_said(whole.entries)
    assert others
    made = dossier(tmp_path, Selection(patient_id=PATIENT, alert_id=wanted))
    assert list(alerts_said(made.entries)) == [wanted]
    known = [each for each in made.entries if each.deed is Deed.KNOWN]
    assert len(known) == sum(each.deed is Deed.KNOWN for each in whole.entries)


def test_of_a_period_who_was_told_nothing_in_it_is_left_out(tmp_path: Path) -> None:
    whole = dossier(tmp_path, Selection(patient_id=PATIENT))
    said = [each.at for each in whole.entries if each.deed is Deed.SAID]
    quiet = json.loads(imatinib_lines(OTHER)[0])
    lines = [*imatinib_lines(), json.dumps(quiet, sort_keys=True).encode()]
    made = dossier(tmp_path, Selection(since=said[0], until=said[-1]), lines)
    assert made.patients == (PATIENT,)
    assert all(said[0] <= each.at < said[-1] for each in made.entries)


def test_a_selection_of_nothing_is_empty(tmp_path: Path) -> None:
    assert dossier(tmp_path, Selection(patient_id="nobody")).entries == ()


def test_the_same_selection_gives_the_same_bytes_and_the_page_stands_alone(tmp_path: Path) -> None:
    made = dossier(tmp_path, Selection(patient_id=PATIENT))
    again = dossier(tmp_path, Selection(patient_id=PATIENT))
    html = page_of(made)
    assert html == page_of(again)
    assert asdict(made) == asdict(again)
    assert "<script" not in html
    assert "http" not in html
    assert made.manifest()["entries"] == len(made.entries)
    assert made.manifest()["clock"] == ClockMode.DAILY.value


@pytest.mark.parametrize(
    ("since", "until", "takes"),
    [(None, None, True), ("b", None, True), ("c", None, False), (None, "b", False), (None, "c", True)],
)
def test_a_period_begins_with_its_first_instant_and_ends_before_its_last(
    since: str | None, until: str | None, *, takes: bool
) -> None:
    assert Selection(since=since, until=until).takes("b") is takes


def test_a_record_that_nobody_can_read_is_no_rulebook_and_no_patients(tmp_path: Path) -> None:
    lines = [*imatinib_lines(), b"{ not json"]
    of_period = dossier(tmp_path, Selection(since="2000-01-01T00:00:00Z"), lines)
    (refused,) = (each for each in of_period.entries if each.deed is Deed.REFUSED)
    assert refused.patient_id is None
    assert "rulebook None" not in page_of(of_period)
    assert "malformed_json" in page_of(of_period)
    of_patient = dossier(tmp_path, Selection(patient_id=PATIENT), lines)
    assert Deed.REFUSED not in {each.deed for each in of_patient.entries}


def test_what_was_refused_before_the_first_clock_record_is_of_every_period(tmp_path: Path) -> None:
    made = dossier(tmp_path, Selection(since="2026-04-01T00:00:00Z"), [b"{ not json", *imatinib_lines()])
    assert [each.at for each in made.entries if each.deed is Deed.REFUSED] == [""]
    assert "Before the first clock record: a record that" in page_of(made)


def test_a_what_if_says_so(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    selection = Selection(patient_id=PATIENT)
    for what_if in (True, False):
        made = dossier_of(plan_of(log, what_if=what_if), selection)
        assert made.manifest()["what_if"] is what_if
        assert ("WHAT IF" in page_of(made)) is what_if


def test_of_a_merged_patient_the_other_record_is_told_too(tmp_path: Path) -> None:
    a, b = "patient-a", "patient-b"
    feed: list[PatientEvent] = [
        *(with_patient(sent, a) for sent in (dose("imatinib", at(0)), eosinophils(1690, at(15)))),
        *merge(a, b, at(16)),
    ]
    lines = [encode_event(sent) for sent in feed] + imatinib_lines(OTHER)
    made = dossier(tmp_path, Selection(patient_id=b), lines)
    assert made.patients == (a, b)
    assert "takes over patient-a" in page_of(made)
    assert "eosinophils" in page_of(made)


def test_of_a_period_who_was_told_something_is_told_with_what_came_under_the_other_record(
    tmp_path: Path,
) -> None:
    a, b = "patient-a", "patient-b"
    feed: list[PatientEvent] = [
        with_patient(dose("imatinib", at(0)), a),
        *merge(a, b, at(14)),
        with_patient(eosinophils(1690, at(15)), b),
    ]
    lines = [encode_event(sent) for sent in feed]
    made = dossier(tmp_path, Selection(since="2000-01-01T00:00:00Z"), lines)
    assert made.patients == (b,)
    (said,) = (each.output for each in made.entries if each.deed is Deed.SAID)
    assert said is not None
    assert "imatinib" in said["reason"]  # which came under the id of the other record


@pytest.mark.parametrize(
    "selection", [Selection(patient_id=PATIENT), Selection(since="2026-04-01T00:00:00Z")]
)
def test_what_is_known_of_others_is_not_even_looked_at(
    tmp_path: Path, selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So memory grows with what is asked, not with the log, also where patients were merged."""
    others = [with_patient(dose("paracetamol", at(day)), OTHER) for day in range(200)]
    feed: list[PatientEvent] = [*others, *merge(OTHER, "another", at(200))]
    lines = [*imatinib_lines(), *(encode_event(sent) for sent in feed)]
    seen: list[FactKey] = []

    def looked_at(key: FactKey, *about: Any) -> FactView:
        seen.append(key)
        return view_of(key, *about)

    monkeypatch.setattr("pv_stream.audit.dossier.view_of", looked_at)
    made = dossier(tmp_path, selection, lines)
    assert made.patients == (PATIENT,)
    assert len(seen) == len(imatinib_lines())


def test_a_fraction_of_a_second_lies_after_its_second() -> None:
    period = Selection(since="2026-03-01T00:00:00Z", until="2026-03-02T00:00:00Z")
    assert period.takes("2026-03-01T00:00:00.5Z")
    assert not period.takes("2026-03-02T00:00:00.5Z")
    assert not period.takes("2026-02-28T23:59:59.9Z")
