"""Files of safety reports through the command: alerts that later versions withdraw, privacy, and public samples."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pv_stream.cli.main import app
from pv_stream.codec.events import decode_event
from pv_stream.domain.codes import DrugRole, RechallengeOutcome
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure, Measurement, Report
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason
from tests.unit.ingest.icsr.safety_reports import DRESS, RASH, Given, Onset, Version, r3, result
from tests.unit.ingest.messages import facts

CANARIES = ["Zyxwvut", "MRN8675309", "19420229", "13 Canary Row", "patient says it itches"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "a key for the tests of safety reports")


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.exception
    return done.output


def _alerts(*contents: bytes) -> list[dict[str, Any]]:
    names = []
    for number, content in enumerate(contents):
        Path(f"{number}.xml").write_bytes(content)
        names.append(f"{number}.xml")
    _run("ingest", *names, "--to", "events.jsonl")
    _run("replay", "events.jsonl", "--out", "out", "--force")
    return [json.loads(line) for line in Path("out/alerts.jsonl").read_text().splitlines()]


FIRST = r3(Version(reactions=[Onset()], drugs=[Given(rechallenge=((0, "1"),))]))
OTHER_DRUG = r3(
    Version(kind="2", created="20260302120000+0000", drugs=[Given("Zyloric")]), sent="20260302130000+0000"
)
NULLIFIED = r3(Version(kind="1", created="20260303120000+0000", drugs=[]), sent="20260303130000+0000")


def test_a_report_of_dress_alerts_and_its_later_versions_change_and_withdraw_the_alert() -> None:
    alerts = _alerts(FIRST, OTHER_DRUG, NULLIFIED)
    (alert_id,) = {alert["alert_id"] for alert in alerts if alert["kind"] == "suspected_dress"}
    told = [alert for alert in alerts if alert["alert_id"] == alert_id]
    assert (told[0]["status"], told[0]["tier"], told[0]["timeliness"]) == ("raised", "critical", "late")
    first = [alert for alert in told if alert["as_of"] < "2026-03-02"][-1]
    second = [alert for alert in told if "2026-03-02" <= alert["as_of"] < "2026-03-03"][-1]
    assert [each["drug"] for each in first["culprits"]] == ["carbamazepine"]
    assert [each["drug"] for each in second["culprits"]] == ["allopurinol"]
    assert told[-1]["status"] == "withdrawn"


def test_the_last_word_is_the_same_in_any_order_of_files() -> None:
    assert [alert for alert in _alerts(NULLIFIED, OTHER_DRUG, FIRST) if alert["status"] != "withdrawn"] == []


@pytest.mark.parametrize("canary", CANARIES)
def test_no_text_of_a_report_leaks(tmp_path: Path, canary: str) -> None:
    version = Version(
        reactions=[Onset(), Onset(RASH)],
        drugs=[Given(), Given("Zyxwvut", code="012C11ZU6G")],
        tests=[result(name="Eosinophil count")],
        weight="61.5",
    )
    content = r3(version).decode()
    found = re.finditer(r'(?:value|extension|code|unit)="([^"]+)"|>([^<>]+)<', content)
    spans = [each.span(each.lastindex or 0) for each in found]
    assert len(spans) > 60
    for start, end in spans:
        (tmp_path / "in.xml").write_text(content[:start] + canary + content[end:])
        said = _run("ingest", "in.xml", "--to", "events.jsonl", "--json", "--by-file", "--received-at", "now")
        index = tmp_path / ".pv-stream/rejects/index.jsonl"
        kept = index.read_text() if index.exists() else ""
        assert canary not in said + (tmp_path / "events.jsonl").read_text() + kept


# Public samples --------------------------------------------------------------------------------------------------

MEGA = "e2b_r3/FAERS2022Scenario6_attachments_removed.xml"


def test_the_report_that_holds_every_element(sample_data: Path, intake: Intake) -> None:
    outcome = read_e2b((sample_data / MEGA).read_bytes(), intake)
    assert (outcome.rejects, outcome.holds) == ([], [])
    contents = [event.version.statement.content for event in facts(outcome)]
    reports = [each for each in contents if isinstance(each, Report)]
    named = {(drug.ingredient, drug.role, drug.rechallenge) for report in reports for drug in report.drugs}
    assert {role for _, role, _ in named} == {DrugRole.SUSPECT, DrugRole.INTERACTING}
    assert {rechallenge for _, _, rechallenge in named} >= {
        RechallengeOutcome.RECURRED,
        RechallengeOutcome.DID_NOT_RECUR,
    }
    assert {report.serious for report in reports} == {True}
    assert len([each for each in contents if isinstance(each, Exposure)]) == 1
    assert outcome.parts["G.k drug", Fate.FACT] == 2
    assert outcome.parts["E.i reaction", Fate.FACT] == 2
    # All of them are of calcium and the like, by a MedDRA code and by name: no rule uses one.
    assert outcome.parts["F.r test", Fate.IGNORED] == 7
    assert outcome.ignored[IgnoreReason.CODE_NOT_USED] == 7
    (weight,) = [each for each in contents if isinstance(each, Measurement)]
    assert weight.analyte.value == "body_weight"


def test_a_public_test_coded_in_loinc_is_a_measurement(sample_data: Path, intake: Intake) -> None:
    content = (sample_data / MEGA).read_bytes()
    first = b'<code code="10050520" codeSystem="2.16.840.1.113883.6.163" codeSystemVersion="12.0">'
    assert first in content
    changed = content.replace(first, b'<code code="2160-0" codeSystem="2.16.840.1.113883.6.1">', 1)
    contents = [event.version.statement.content for event in facts(read_e2b(changed, intake))]
    measured = {
        each.analyte.value: format(each.value, "f") for each in contents if isinstance(each, Measurement)
    }
    assert measured["creatinine"] == "10"


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("Eosinophil count", "10*9/L", {"eosinophils": "10000"}),
        ("Eosinophils", "%", {"eosinophils_percent": "10"}),
        ("Eosinophils", "mg/dl", {}),
    ],
)
def test_a_public_test_by_its_name_is_a_measurement(
    sample_data: Path, intake: Intake, name: str, unit: str, expected: dict[str, str]
) -> None:
    content = (sample_data / MEGA).read_bytes()
    for old, new in (
        ("Calcium Level", name),
        ('<center value="10" unit="mg/dl"', f'<center value="10" unit="{unit}"'),
    ):
        assert content.count(old.encode()) == 1
        content = content.replace(old.encode(), new.encode())
    outcome = read_e2b(content, intake)
    contents = [event.version.statement.content for event in facts(outcome)]
    measured = {
        each.analyte.value: format(each.value, "f") for each in contents if isinstance(each, Measurement)
    }
    del measured["body_weight"]
    assert measured == expected
    assert [hold.code.value for hold in outcome.holds] == ([] if expected else ["unit_does_not_fit"])


def test_a_public_report_made_one_of_dress_alerts(sample_data: Path) -> None:
    content = (sample_data / MEGA).read_bytes().replace(b"10027940", DRESS[0].encode())
    alerts = _alerts(content)
    assert (alerts[0]["kind"], alerts[0]["status"], alerts[0]["tier"]) == (
        "suspected_dress",
        "raised",
        "critical",
    )


@pytest.mark.parametrize("folder", ["e2b_r2", "e2b_r3"])
def test_every_public_file_goes_in(sample_data: Path, folder: str) -> None:
    files = sorted((sample_data / folder).glob("*.xml"))
    assert files
    said = json.loads(
        _run("ingest", *files, "--to", "e.jsonl", "--json", "--utc-offset", "+00:00").partition("\n}")[0]
        + "\n}"
    )
    assert (said["messages"]["rejected"], said["rejected"], said["held"]) == (0, {}, {})
    assert said["messages"]["accepted"] == {"e2b_r2": 7, "e2b_r3": 4}[folder]
    for line in Path("e.jsonl").read_bytes().splitlines():
        assert isinstance(decode_event(line), FactArrived)
