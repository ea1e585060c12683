"""What to measure after a reaction: the words of the rulebook, each with its source, and no number of our own."""

from dataclasses import replace
from typing import Any, Final

from pv_stream.audit.next_steps import next_steps
from pv_stream.rules.follow_up import follow_up_advice, follow_up_reason
from pv_stream.rules.rulebook import Count, FollowUp
from tests.builders import RULEBOOK

OWN: Final = replace(
    RULEBOOK,
    follow_up=(FollowUp("creatinine", "weekly", "ours"), FollowUp("HHV-6", "once more", "ours")),
)
BARE: Final = replace(RULEBOOK, follow_up=())
DUE: Final = {"status": "raised", "kind": "follow_up_due"}
SUSPECTED: Final[dict[str, Any]] = {
    "status": "raised",
    "kind": "suspected_dress",
    "tier": "warning",
    "culprits": [],
    "regiscar": None,
}


def test_the_shipped_rulebook_advises_what_its_sources_say() -> None:
    assert [(entry.name, entry.advice, entry.source) for entry in RULEBOOK.follow_up] == [
        ("blood count and liver tests", "every 1 to 2 weeks after discharge until normal", "follow_up2019"),
        ("glucose, TSH and free T4", "monthly for 3 months after discharge", "follow_up2019"),
        ("HHV-6", "once more, also where it was negative on admission", "hhv6_follow_up"),
    ]


def test_advice_is_that_of_the_rulebook_in_its_order() -> None:
    assert follow_up_advice(OWN) == "Follow-up: creatinine weekly; HHV-6 once more."
    assert follow_up_advice(BARE) == ""


def test_the_reason_names_the_day_of_the_rulebook_and_its_advice() -> None:
    assert follow_up_reason(OWN).startswith("Day 15 after the onset has passed and nothing documents whether")
    assert follow_up_reason(OWN).endswith("record it. Follow-up: creatinine weekly; HHV-6 once more.")
    assert follow_up_reason(BARE).endswith("look at the patient and record it.")
    later = replace(BARE, parameters=replace(BARE.parameters, resolution_days=Count(20, "ours")))
    assert follow_up_reason(later).startswith("Day 20 ")


def test_the_next_steps_of_a_suspicion_and_of_a_follow_up_end_with_the_advice() -> None:
    for alert in (DUE, SUSPECTED):
        assert next_steps(alert, OWN)[-1] == "Follow-up: creatinine weekly; HHV-6 once more."
        assert not any("Follow-up" in step for step in next_steps(alert, BARE))


def test_an_info_is_not_followed_up_yet() -> None:
    assert not any("Follow-up" in step for step in next_steps({**SUSPECTED, "tier": "info"}, OWN))
