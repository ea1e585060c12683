"""Which drugs a clinician may name: those of which a record of the patient tells."""

import pytest

from pv_stream.domain.codes import DrugRole, ExposureKind, FindingCode, HoldCode, ReportedReaction
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import UNLISTED_DRUG, AsSent, Exposure
from pv_stream.rules.recorded_drugs import recorded_drugs
from tests.builders import (
    RULEBOOK,
    assessed,
    at,
    dose,
    event,
    exposed,
    facts_of,
    held,
    present,
    reported,
    retracted,
    stop,
)

BY_CODE = Exposure(ExposureKind.ORDER, (), as_sent=AsSent("rxnorm", "161"))


def recorded(*events: FactArrived) -> set[str]:
    return set(recorded_drugs(facts_of(events), RULEBOOK))


@pytest.mark.parametrize("kind", list(ExposureKind))
def test_a_drug_is_recorded_whatever_kind_of_exposure_tells_of_it_watched_or_not(kind: ExposureKind) -> None:
    assert recorded(exposed(kind, "ibuprofen", at(1)), exposed(kind, "imatinib", at(2))) == {
        "ibuprofen",
        "imatinib",
    }


def test_a_stop_tells_of_a_drug_too() -> None:
    assert recorded(stop("ibuprofen", at(1))) == {"ibuprofen"}


@pytest.mark.parametrize("role", list(DrugRole))
@pytest.mark.parametrize("reaction", list(ReportedReaction))
def test_a_report_tells_of_every_drug_but_one_that_was_not_administered(
    role: DrugRole, reaction: ReportedReaction
) -> None:
    found = recorded(reported(at(1), "ibuprofen", reaction=reaction, role=role))
    assert found == (set() if role is DrugRole.NOT_ADMINISTERED else {"ibuprofen"})


def test_a_drug_is_called_as_the_rulebook_does_and_a_product_by_its_ingredients() -> None:
    assert recorded(dose("fosphenytoin", at(1)), dose("prednisone/glivec", at(2))) == {
        "phenytoin",
        "imatinib",
    }
    assert recorded(reported(at(1), "co-trimoxazole")) == {"sulfamethoxazole", "trimethoprim"}


def test_a_drug_that_no_list_knows_is_called_by_its_code_and_without_one_not_at_all() -> None:
    assert recorded(event(BY_CODE, at(1))) == {"rxnorm 161"}
    assert recorded(event(Exposure(ExposureKind.ORDER, ()), at(1))) == set()
    known = Exposure(ExposureKind.ORDER, ("imatinib",), as_sent=AsSent("rxnorm", "282388"))
    assert recorded(event(known, at(1))) == {"imatinib"}


def test_treatments_what_was_taken_back_and_what_names_nothing_are_no_recorded_drugs() -> None:
    given = dose("ibuprofen", at(2))
    assert (
        recorded(
            dose("prednisone", at(1)),
            given,
            retracted(given),
            reported(at(3), UNLISTED_DRUG),
            held(HoldCode.MISSING_TIME, at(4)),
            present(FindingCode.RASH, at(5)),
        )
        == set()
    )


def test_a_drug_known_by_its_code_is_met_again_by_that_code() -> None:
    blamed = reported(at(20), "rxnorm 161")
    (restart,) = assessed(blamed, event(BY_CODE, at(60))).restarts
    assert (restart.drugs, restart.started_at) == (("rxnorm 161",), at(60))
    other = Exposure(ExposureKind.ORDER, (), as_sent=AsSent("rxnorm", "162"))
    assert assessed(blamed, event(other, at(60))).restarts == ()
