"""Every public sample message: accepted, held or rejected, with the exact counts and values."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pv_stream.domain.assessment import EpisodeFlag, Points
from pv_stream.domain.codes import EvidenceFlag, ExposureKind, FindingCode, Presence, Route, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Exposure, Fact, FactVersion, Finding, Statement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, exactly, parse_instant
from pv_stream.engine.assess import assess
from pv_stream.engine.join import join_fact
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.messages import exposure, facts, fixture, is_retraction, only, specimens, values

LAB_1, LAB_2, NIST = "hl7v2/LAB-ORU-1.hl7", "hl7v2/LAB-ORU-2.hl7", "hl7v2/LRI_2.0-NG_CBC_Typ_Message.hl7"
CBC = "fhir_r4/Bundle-101.json"


@pytest.fixture
def read(sample_data: Path, intake: Intake) -> Callable[[str], Outcome]:
    """Read one sample by its name; the operator stamps those that name no time of sending."""
    stamped = replace(intake, received_at=parse_instant("2026-01-01T00:00:00Z"))

    def one(name: str) -> Outcome:
        content = (sample_data / name).read_bytes()
        if name.endswith(".hl7"):
            return read_hl7v2(content, intake)
        return read_fhir(content, intake if name == CBC else stamped)

    return one


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("hl7v2/ADT-A40-01.hl7", (2, 0, [], {})),
        (LAB_1, (1, 0, [], {"code_not_used": 8, "no_result_yet": 1})),
        (LAB_2, (2, 0, [], {"code_not_used": 8})),
        (NIST, (3, 0, [], {"code_not_used": 24, "text_value": 1})),
        ("hl7v2/RDE-O11-01.hl7", (1, 0, [], {"code_not_used": 1, "drug_not_recognised": 1})),
        ("hl7v2/RDS-O13-01.hl7", (1, 0, [], {"code_not_used": 1, "drug_not_recognised": 1})),
        ("fhir_r4/AdverseEvent-example.json", (2, 0, [], {"drug_not_listed": 1, "medication_not_found": 1})),
        (CBC, (3, 0, [], {"code_not_used": 14})),
        ("fhir_r4/MedicationAdministration-medadmin0301.json", (1, 0, [], {"resource_not_used": 1})),
        ("fhir_r4/MedicationAdministration-medadmin0303.json", (1, 0, [], {})),
    ],
)
def test_every_sample_ends_as_expected(
    read: Callable[[str], Outcome], name: str, counts: tuple[int, int, list[str], dict[str, int]]
) -> None:
    outcome = read(name)
    rejects = [each.code.value for each in outcome.rejects]
    ignored = {reason.value: count for reason, count in outcome.ignored.items()}
    assert (len(outcome.events), len(outcome.holds), rejects, ignored) == counts


def test_every_sample_file_is_in_the_table_above(sample_data: Path) -> None:
    assert len([*(sample_data / "hl7v2").iterdir(), *(sample_data / "fhir_r4").iterdir()]) == 10


def test_all_samples_as_one_feed(sample_data: Path, intake: Intake, tmp_path: Path) -> None:
    paths = sorted((*(sample_data / "hl7v2").iterdir(), *(sample_data / "fhir_r4").iterdir()))
    feed = Feed(intake, RejectStore(tmp_path), 1024 * 1024)
    assert len(list(feed.read(paths))) == 13
    assert feed.report.messages == {"accepted": 7, "rejected": 3}
    assert feed.report.rejected == {"no_received_at": 3}
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == 3


def test_bundle_101(read: Callable[[str], Outcome]) -> None:
    outcome = read(CBC)
    assert values(outcome) == {"leukocytes": "4600", "eosinophils": "920", "eosinophils_percent": "20"}
    assert len(specimens(outcome)) == 1
    assert {event.version.statement.effective.earliest for event in facts(outcome)} == {
        parse_instant("2011-03-03T21:30:00Z")
    }


def test_the_nist_message(read: Callable[[str], Outcome]) -> None:
    outcome = read(NIST)
    assert values(outcome) == {"leukocytes": "105600", "eosinophils": "2100", "eosinophils_percent": "2"}
    assert len(specimens(outcome)) == 1


def test_the_two_laboratory_messages_are_two_versions_of_the_same_facts(
    read: Callable[[str], Outcome],
) -> None:
    (early,) = facts(read(LAB_1))
    late = {event.version.key: event for event in facts(read(LAB_2))}[early.version.key]
    assert (early.version.order.status, late.version.order.status) == (Status.PRELIMINARY, Status.FINAL)
    assert (early.patient_id, early.version.statement) == (late.patient_id, late.version.statement)
    fact = join_fact(join_fact(None, late.version), early.version)
    assert fact.order.status is Status.FINAL
    assert not fact.is_conflicting


def test_a_drug_by_a_number_that_no_list_has_is_known_by_its_name_alone(
    read: Callable[[str], Outcome],
) -> None:
    given = exposure(read("fhir_r4/MedicationAdministration-medadmin0301.json"))
    assert (given.ingredients, given.route, given.kind) == (
        ("vancomycin",),
        Route.INTRAVENOUS,
        ExposureKind.ADMINISTRATION,
    )
    assert given.as_sent == AsSent("name", "vancomycin_hydrochloride")
    for name, code in (("RDE-O11-01", "0143963401"), ("RDS-O13-01", "01151327")):
        content = exposure(read(f"hl7v2/{name}.hl7"))
        assert content.flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)
        assert content.as_sent == AsSent("ndc", code)


def test_an_administration_entered_in_error_is_a_retraction(read: Callable[[str], Outcome]) -> None:
    assert is_retraction(only(read("fhir_r4/MedicationAdministration-medadmin0303.json")))


@pytest.mark.parametrize("name", ["Alberto_Atencio", "Ernie_Rosenbaum"])
def test_whole_synthetic_patients(sample_data: Path, intake: Intake, name: str) -> None:
    stamped = replace(intake, received_at=parse_instant("2026-01-01T00:00:00Z"))
    (path,) = (sample_data / "synthea_r4").glob(f"{name}*.json")
    outcome = read_fhir(path.read_bytes(), stamped)
    assert outcome.rejects == []
    assert len({event.patient_id for event in facts(outcome)}) == 1
    entries = json.loads(path.read_bytes())["entry"]
    contained = sum(len(entry["resource"].get("contained", ())) for entry in entries)
    assert outcome.parts.total() == len(entries) + contained + 1  # every resource, and the Bundle
    assert b"|" not in json.dumps(outcome.ignored).encode()


def _assessed(events: list[FactArrived], intake: Intake) -> tuple[Points, tuple[EpisodeFlag, ...]]:
    """Return the points of the eosinophil item with a rash, ten days into imatinib, and the episode's flags."""
    found: dict[FactKey, Fact] = {event.version.key: join_fact(None, event.version) for event in events}
    first = events[0].version
    start = Instant(first.statement.effective.earliest - 10 * MICROSECONDS_PER_DAY)
    drug = Exposure(ExposureKind.ADMINISTRATION, ("imatinib",))
    given = FactVersion(FactKey("given"), first.order, Statement(drug, exactly(start)), first.provenance)
    rash = Statement(Finding(FindingCode.RASH, Presence.PRESENT), first.statement.effective)
    seen = FactVersion(FactKey("seen"), first.order, rash, first.provenance)
    found |= {version.key: join_fact(None, version) for version in (given, seen)}
    (episode,) = assess(found, intake.rulebook).episodes
    (item,) = (item for item in episode.score.items if item.item.startswith("eosinophil"))
    return item.points, episode.flags


def test_bundle_101_scores_one_point_for_eosinophils(read: Callable[[str], Outcome], intake: Intake) -> None:
    points, _ = _assessed(facts(read(CBC)), intake)
    assert points == Points(1, 1, 1)


def test_the_hand_written_count_scores_one_point_too(intake: Intake) -> None:
    points, _ = _assessed(facts(read_fhir(fixture("fhir_r4/cbc.json"), intake)), intake)
    assert points == Points(1, 1, 1)


def test_a_count_that_contradicts_its_percentage_is_conflicting_and_one_that_agrees_is_not(
    intake: Intake,
) -> None:
    agreeing = fixture("hl7v2/leukaemia.hl7")
    _, flags = _assessed(facts(read_hl7v2(agreeing, intake)), intake)
    assert EpisodeFlag.CONFLICTING_EVIDENCE not in flags
    _, flags = _assessed(facts(read_hl7v2(agreeing.replace(b"96400", b"7300"), intake)), intake)
    assert EpisodeFlag.CONFLICTING_EVIDENCE in flags


def test_the_nist_message_agrees_with_itself_and_a_copy_with_fewer_leukocytes_does_not(
    sample_data: Path, intake: Intake
) -> None:
    content = (sample_data / NIST).read_bytes()
    points, flags = _assessed(facts(read_hl7v2(content, intake)), intake)
    assert points == Points(2, 2, 2)
    assert EpisodeFlag.CONFLICTING_EVIDENCE not in flags
    outcome = read_hl7v2(content.replace(b"105600", b"8000"), intake)
    assert values(outcome)["leukocytes"] == "8000"
    _, flags = _assessed(facts(outcome), intake)
    assert EpisodeFlag.CONFLICTING_EVIDENCE in flags
    assert Decimal(values(outcome)["eosinophils"]) == 2100
