"""Every watched drug is watched, by each of its names and at its own threshold; every treatment is never blamed."""

import pytest

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import FindingCode, Route
from pv_stream.rules.rulebook import Treatment, WatchedDrug
from tests.builders import RULEBOOK, assessed, at, dose, eosinophils, present


@pytest.mark.parametrize("drug", RULEBOOK.drugs, ids=lambda drug: drug.name)
def test_a_count_at_the_threshold_under_a_watched_drug_is_an_info_and_one_below_is_nothing(
    drug: WatchedDrug,
) -> None:
    threshold = RULEBOOK.threshold_per_ul(drug)
    given = dose(drug.name, at(0), route=Route.INTRAVENOUS)

    (episode,) = assessed(given, eosinophils(threshold, at(20))).episodes
    assert (episode.tier, [culprit.drug for culprit in episode.culprits]) == (Tier.INFO, [drug.name])
    assert episode.culprits[0].rxnorm == drug.rxnorm
    assert assessed(given, eosinophils(threshold - 1, at(20))).episodes == ()


def test_every_name_and_prodrug_of_a_watched_drug_leads_to_it() -> None:
    for drug in RULEBOOK.drugs:
        for name in (*drug.names, *(name for prodrug in drug.prodrugs for name in prodrug.names)):
            assert RULEBOOK.drug_called(name) is drug


@pytest.mark.parametrize("treatment", RULEBOOK.treatments, ids=lambda treatment: treatment.name)
def test_a_treatment_is_never_blamed(treatment: Treatment) -> None:
    rash, given = present(FindingCode.RASH, at(20)), dose(treatment.name, at(0))

    assert assessed(given, rash, eosinophils(2000, at(20))).episodes == ()
