"""Verdicts: which of them is about an episode, what a refutation covers, and what a confirmation is at least."""

import pytest

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import FindingCode, Judgement
from pv_stream.domain.ids import FactKey
from pv_stream.engine.assess import assess
from pv_stream.rules.verdicts import rule_on, with_verdict
from tests.builders import RULEBOOK, at, dose, eosinophils, facts_of, present

A, B, C = map(FactKey, "abc")


def refuted(*evidence: FactKey, tier: Tier = Tier.WARNING) -> ClinicianVerdict:
    return ClinicianVerdict(Judgement.REFUTED, evidence, tier)


def confirmed(*evidence: FactKey, drugs: tuple[str, ...] = ()) -> ClinicianVerdict:
    return ClinicianVerdict(Judgement.CONFIRMED, evidence, Tier.WARNING, drugs)


def test_without_a_verdict_about_its_evidence_an_episode_stands_as_it_is() -> None:
    for verdicts in ((), (refuted(C), confirmed(C))):
        ruling = rule_on((A, B), Tier.INFO, verdicts)
        assert (ruling.judgement, ruling.tier, ruling.named) == (None, Tier.INFO, frozenset())


@pytest.mark.parametrize(
    ("tier", "judgement"),
    [
        (None, Judgement.REFUTED),
        (Tier.INFO, Judgement.REFUTED),
        (Tier.WARNING, Judgement.REFUTED),
        (Tier.CRITICAL, None),
    ],
)
def test_a_refutation_covers_what_reaches_no_higher_tier(
    tier: Tier | None, judgement: Judgement | None
) -> None:
    ruling = rule_on((A, B), tier, (refuted(A),))
    assert (ruling.judgement, ruling.tier) == (judgement, tier)


@pytest.mark.parametrize(
    ("tier", "at_least"),
    [
        (None, Tier.WARNING),
        (Tier.INFO, Tier.WARNING),
        (Tier.WARNING, Tier.WARNING),
        (Tier.CRITICAL, Tier.CRITICAL),
    ],
)
def test_a_confirmation_is_at_least_a_warning(tier: Tier | None, at_least: Tier) -> None:
    ruling = rule_on((A,), tier, (confirmed(A, drugs=("imatinib",)),))
    assert (ruling.judgement, ruling.tier, ruling.named) == (
        Judgement.CONFIRMED,
        at_least,
        frozenset({"imatinib"}),
    )


def test_of_two_verdicts_about_a_fact_the_later_counts() -> None:
    assert rule_on((A,), Tier.INFO, (confirmed(A), refuted(A))).judgement is Judgement.REFUTED
    assert rule_on((A,), Tier.INFO, (refuted(A), confirmed(A))).judgement is Judgement.CONFIRMED


def test_of_two_episodes_that_became_one_the_confirmed_one_counts_in_any_order() -> None:
    for verdicts in ((confirmed(A), refuted(B)), (refuted(B), confirmed(A))):
        assert rule_on((A, B), Tier.INFO, verdicts).judgement is Judgement.CONFIRMED


def test_of_two_refutations_the_higher_tier_is_covered() -> None:
    verdicts = (refuted(A, tier=Tier.INFO), refuted(B, tier=Tier.WARNING))
    assert rule_on((A, B), Tier.WARNING, verdicts).judgement is Judgement.REFUTED


def test_a_verdict_replaces_those_about_nothing_else() -> None:
    earlier = (confirmed(A), refuted(A, C))
    assert with_verdict(earlier, refuted(A, B)) == (refuted(A, C), refuted(A, B))
    assert with_verdict(earlier, refuted(A, C)) == (refuted(A, C),)


def test_a_refuted_span_is_cut_by_the_gap_alone_so_that_later_evidence_is_news() -> None:
    """An alerting span without a documented end would take the later evidence in, and with it keep it quiet."""
    story = (
        *(dose("imatinib", at(day)) for day in range(0, 42, 6)),
        eosinophils(1600, at(14, 9)),
        present(FindingCode.RASH, at(14, 10)),
        eosinophils(1600, at(40, 9)),
        present(FindingCode.RASH, at(40, 10)),
    )
    facts = facts_of(story)
    (whole,) = assess(facts, RULEBOOK).episodes
    verdict = refuted(*whole.members[:2])
    first, second = assess(facts, RULEBOOK, (verdict,)).episodes
    assert (first.judgement, second.judgement) == (Judgement.REFUTED, None)
    assert second.tier is Tier.WARNING
