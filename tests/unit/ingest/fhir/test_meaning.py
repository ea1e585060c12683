"""When a FHIR resource does not mean what it seems to: a later version, a modifier, somebody else, another server."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.domain.times import parse_instant
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, RejectCode
from tests.unit.ingest.messages import as_json, bundle, is_retraction, observation, only

_LATER = {"meta": {"lastUpdated": "2021-04-13T08:00:00Z", "versionId": "2"}}
_SPUTUM = {"code": {"coding": [{"system": "http://loinc.org", "code": "30381-8"}]}}


@pytest.mark.parametrize(
    "changes",
    [
        {**_LATER, **_SPUTUM},
        {**_LATER, "valueQuantity": None, "valueString": "clotted"},
        {"valueQuantity": None, "dataAbsentReason": {"text": "clotted"}},
        {"status": "corrected", **_SPUTUM},
    ],
)
def test_a_version_that_gives_no_result_takes_back_the_one_that_did(
    intake: Intake, changes: dict[str, Any]
) -> None:
    sent = only(read_fhir(as_json(observation()), intake))
    taken = only(read_fhir(as_json(observation(**changes)), intake))
    assert is_retraction(taken)
    assert taken.version.key == sent.version.key
    assert taken.version.statement.effective == sent.version.statement.effective
    assert taken.version.order > sent.version.order


@pytest.mark.parametrize(
    "changes",
    [_SPUTUM, {"meta": {"versionId": "1"}, **_SPUTUM}, {"status": "final", "meta": None, **_SPUTUM}],
)
def test_a_first_version_that_gives_no_result_takes_nothing_back(
    intake: Intake, changes: dict[str, Any]
) -> None:
    received = replace(intake, received_at=parse_instant("2021-04-14T00:00:00Z"))
    assert read_fhir(as_json(observation(**changes)), received).events == []


@pytest.mark.parametrize(
    "changes",
    [
        {"modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}]},
        {"implicitRules": "http://example.org/rules"},
        {"component": [{"modifierExtension": [{"url": "http://example.org/not"}]}]},
    ],
)
def test_what_may_mean_something_else_than_it_says_is_refused(
    intake: Intake, changes: dict[str, Any]
) -> None:
    outcome = read_fhir(as_json(observation(**changes)), intake)
    assert [reject.code for reject in outcome.rejects] == [RejectCode.UNKNOWN_MODIFIER]
    assert outcome.events == []


def test_test_data_and_what_is_about_somebody_else_are_left_aside(intake: Intake) -> None:
    label = {"security": [{"code": "HTEST"}], "lastUpdated": "2021-04-12T08:00:00Z"}
    about_child = {"focus": [{"reference": "Patient/child"}]}
    for changes, reason in (
        ({"meta": label}, IgnoreReason.TEST_DATA),
        (about_child, IgnoreReason.ABOUT_SOMEBODY_ELSE),
    ):
        outcome = read_fhir(as_json(observation(**changes)), intake)
        assert (outcome.events, outcome.ignored) == ([], {reason: 1})


def test_equal_references_on_two_servers_are_two_patients(intake: Intake) -> None:
    north, south = (replace(intake, fhir_server=f"https://{name}.example.org/fhir") for name in ("n", "s"))
    sent = [only(read_fhir(as_json(observation()), each)) for each in (intake, north, south)]
    assert len({event.patient_id for event in sent}) == len({event.version.key for event in sent}) == 3
    whole = bundle(observation(subject={"reference": "https://n.example.org/fhir/Patient/p1"}))
    assert only(read_fhir(whole, intake)).patient_id == sent[1].patient_id
