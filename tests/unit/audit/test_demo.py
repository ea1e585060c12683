from pathlib import Path

import pytest

from pv_stream.audit.demo import Demonstration, demonstrate
from pv_stream.audit.published_cohort import published_outcome
from pv_stream.errors import UsageError
from pv_stream.shard.fold import OutputStream
from tests.unit.audit.logs import RULEBOOK


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    return demonstrate(tmp_path_factory.mktemp("demo") / "demo", RULEBOOK)


def test_the_demo_tells_the_published_case_and_a_ward_in_every_tier(demo: Demonstration) -> None:
    alert = demo.imatinib_alert
    assert (alert["tier"], alert["eosinophils_per_ul"], alert["recurrence"]["primary"]) == (
        "critical",
        1690,
        "rechallenge",
    )
    first = demo.imatinib.of(OutputStream.CASES)[0]
    assert first["state"] == "candidate"
    assert {a["tier"] for a in demo.ward} == {"critical", "warning", "info"}
    assert demo.manifest["counts"]["dead_letters"]["records"] == 0


def test_every_alert_of_the_demo_names_evidence_that_stands_in_its_log(demo: Demonstration) -> None:
    for alert in demo.alerts:
        if alert["status"] != "withdrawn":
            assert len(demo.evidence(alert)) == len(alert["evidence"]) > 0


def test_most_of_the_ward_alerts_nobody(demo: Demonstration) -> None:
    assert len({alert["patient_id"] for alert in demo.ward}) < demo.patients / 4


def test_the_imatinib_case_ends_under_control_in_the_same_open_alert(demo: Demonstration) -> None:
    told = demo.imatinib.of(OutputStream.ALERTS)
    dress = [alert for alert in told if alert["kind"] == "suspected_dress"]

    assert len({alert["alert_id"] for alert in dress}) == 1
    assert (dress[-1]["status"], dress[-1]["course"]) == ("revised", "controlled_under_treatment")
    assert [alert["course"] is not None for alert in dress[-3:]] == [True, False, True]


def test_every_row_of_the_cohort_comes_out_as_published(demo: Demonstration) -> None:
    assert demo.outcomes == {row.row: published_outcome(row) for row in demo.cohort.occurrences}


def test_the_recurrences_of_the_cohort_come_out_as_their_scenarios_say(demo: Demonstration) -> None:
    found = [
        [
            (case["recurrence"]["primary"], case["recurrence"]["interval_days"])
            for case in {case["episode_id"]: case for case in told.of(OutputStream.CASES)}.values()
            if case["recurrence"] is not None
        ]
        for told in demo.recurrences_told
    ]

    assert found == [
        [("new_culprit", 517), ("rechallenge", 913)],
        [("flare_on_withdrawal", 10)],
        [("flare_on_withdrawal", 8)],
    ]


def test_the_recurrences_end_before_the_ward_does(demo: Demonstration) -> None:
    last = max(value["as_of"] for told in demo.recurrences_told for value in told.of(OutputStream.CASES))

    assert last <= max(alert["as_of"] for alert in demo.alerts)


def test_the_alerts_of_the_ward_are_of_the_ward(demo: Demonstration) -> None:
    assert {alert["patient_id"].rpartition("-")[0] for alert in demo.ward} == {"synthetic-ward"}


@pytest.mark.parametrize("name", ["mine.txt", "events.jsonl", "imatinib2021.yaml"])
def test_a_folder_that_no_demo_wrote_or_that_was_edited_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(UsageError, match="--out"):
        demonstrate(tmp_path, RULEBOOK)
    assert (tmp_path / name).read_text() == "mine"


def test_the_demo_can_be_shown_again_in_its_folder(demo: Demonstration) -> None:
    again = demonstrate(demo.directory, RULEBOOK, seed=demo.seed)

    assert again.manifest == demo.manifest
