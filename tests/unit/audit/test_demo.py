from pathlib import Path

import pytest

from pv_stream.audit.demo import IMATINIB_PATIENT, Demonstration, demonstrate
from pv_stream.errors import UsageError
from pv_stream.shard.fold import OutputStream
from tests.unit.audit.logs import RULEBOOK


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    return demonstrate(tmp_path_factory.mktemp("demo") / "demo", RULEBOOK)


def test_the_demo_tells_the_published_case_and_a_ward_in_every_tier(demo: Demonstration) -> None:
    alert = demo.of_patient(IMATINIB_PATIENT)[0]
    assert (alert["tier"], alert["eosinophils_per_ul"], alert["recurrence"]["primary"]) == (
        "critical",
        1690,
        "rechallenge",
    )
    first = next(value for stream, value in demo.imatinib if stream is OutputStream.CASES)
    assert first["state"] == "candidate"
    ward = [a for a in demo.alerts if a["patient_id"] != IMATINIB_PATIENT]
    assert {a["tier"] for a in ward} == {"critical", "warning", "info"}
    assert demo.manifest["counts"]["dead_letters"]["records"] == 0


def test_every_alert_of_the_demo_names_evidence_that_stands_in_its_log(demo: Demonstration) -> None:
    for alert in demo.alerts:
        if alert["status"] != "withdrawn":
            assert len(demo.evidence(alert)) == len(alert["evidence"]) > 0


def test_most_of_the_ward_alerts_nobody(demo: Demonstration) -> None:
    assert len({alert["patient_id"] for alert in demo.alerts}) < demo.patients / 4


@pytest.mark.parametrize("name", ["mine.txt", "events.jsonl", "imatinib2021.yaml"])
def test_a_folder_that_no_demo_wrote_or_that_was_edited_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(UsageError, match="--out"):
        demonstrate(tmp_path, RULEBOOK)
    assert (tmp_path / name).read_text() == "mine"


def test_the_demo_can_be_shown_again_in_its_folder(demo: Demonstration) -> None:
    again = demonstrate(demo.directory, RULEBOOK, seed=demo.seed)

    assert again.manifest == demo.manifest
