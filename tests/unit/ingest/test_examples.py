"""The bundled examples do what examples/README.md says."""

from pathlib import Path

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, RejectCode
from pv_stream.ingest.rejects import RejectStore

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_good_examples_are_accepted_whole(intake: Intake, tmp_path: Path) -> None:
    names = ("allopurinol.events.jsonl", "imatinib.hl7", "imatinib.fhir.json")
    feed = Feed(intake, RejectStore(tmp_path), 1024 * 1024)
    events = list(feed.read([EXAMPLES / name for name in names]))
    assert feed.report.messages == {"accepted": 23}
    assert (feed.report.held, feed.report.rejected, feed.report.ignored) == ({}, {}, {})
    assert len({event.patient_id for event in events if isinstance(event, FactArrived)}) == 2
    given = [
        event.version.statement.content
        for event in events
        if isinstance(event, FactArrived) and isinstance(event.version.statement.content, Exposure)
    ]
    assert {name for each in given for name in each.ingredients} == {"imatinib", "reslizumab", "allopurinol"}


def test_the_awkward_example_shows_each_kind_of_trouble(intake: Intake, tmp_path: Path) -> None:
    feed = Feed(intake, RejectStore(tmp_path), 1024 * 1024)
    list(feed.read([EXAMPLES / "awkward.hl7"]))
    assert feed.report.messages == {"accepted": 1, "held": 3, "rejected": 1}
    assert feed.report.held == {"fraction_of_a_cell": 1, "missing_unit": 1, "time_in_future": 3}
    assert feed.report.rejected == {"unsupported_type": 1}
    assert feed.report.ignored == {"text_value": 1}


def test_every_example_is_described() -> None:
    told = (EXAMPLES / "README.md").read_text()
    assert all(path.name in told for path in EXAMPLES.iterdir() if path.name != "README.md")


def test_every_code_is_explained_in_the_documentation() -> None:
    told = (EXAMPLES.parent / "docs" / "ingest.md").read_text()
    for code in (*HoldCode, *RejectCode, *IgnoreReason):
        assert f"`{code.value}`" in told, code
