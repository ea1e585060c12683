"""Counting safety reports: a case once, with its last version, by who suspected what, period by period."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pv_stream.audit.disproportionality import Fourfold
from pv_stream.audit.log import open_log, read_log
from pv_stream.audit.signals import Every, Look, first_disproportionate, look
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Held, Report
from tests.unit.audit.logs import imatinib_lines, write_lines


def report(case: int, *drugs: str, dress: bool = False, month: int = 1, **more: Any) -> dict[str, Any]:
    """Return one reaction of a safety report as an event."""
    role = more.pop("role", "suspect")
    event = {
        "schema_version": 1,
        "type": "adverse_event_report",
        "patient_id": f"case-{case}",
        "fact_key": f"e2b_{case}",
        "source_version": 1,
        "status": "final",
        "issued_at": None,
        "received_at": f"2026-{month:02d}-10T00:00:00Z",
        "effective": {"earliest": "2025-09-17T10:00:00Z", "latest": "2025-09-18T10:00:00Z"},
        "utc_offset_minutes": None,
        "source": {"format": "e2b_r3", "message_digest": f"sha256:{case:064x}", "path": "E.i[1]"},
        "report": {
            "reaction": "dress" if dress else "other",
            "serious": True,
            "outcome": "unknown",
            "drugs": [{"ingredient": drug, "role": role, "rechallenge": "outcome_unknown"} for drug in drugs],
        },
    }
    return event | more


def looks(tmp_path: Path, *events: dict[str, Any], every: Every = Every.MONTH) -> list[Look]:
    """Return what is seen in a log of these events."""
    lines = [json.dumps(event, sort_keys=True).encode() for event in events]
    return look(read_log(open_log(write_lines(tmp_path / "log.jsonl", lines))), every)


def test_four_counts_of_each_suspected_drug(tmp_path: Path) -> None:
    (seen,) = looks(
        tmp_path,
        report(1, "phenytoin", dress=True),
        report(2, "phenytoin"),
        report(3, "imatinib", dress=True),
        report(4, "imatinib", "phenytoin", dress=True),
        report(5),
    )
    assert (seen.period, seen.cases, seen.dress) == ("2026-01", 5, 3)
    assert seen.drugs == {"imatinib": Fourfold(2, 0, 1, 2), "phenytoin": Fourfold(2, 1, 1, 1)}


def test_a_case_is_dress_when_one_of_its_reactions_is_and_counts_once(tmp_path: Path) -> None:
    (seen,) = looks(
        tmp_path,
        report(1, "phenytoin"),
        report(1, "phenytoin", dress=True, fact_key="e2b_1b"),
    )
    assert seen.drugs == {"phenytoin": Fourfold(1, 0, 0, 0)}


def test_a_report_counts_though_its_time_is_not_believed(tmp_path: Path) -> None:
    said = decode_event(json.dumps(report(1, "phenytoin", dress=True)).encode())
    assert isinstance(said, FactArrived)
    reaction = said.version.statement.content
    assert isinstance(reaction, Report)
    held = Held(HoldCode.UNREADABLE_TIME, f"sha256:{0:064x}", said=reaction)
    statement = replace(said.version.statement, content=held)
    event = replace(said, version=replace(said.version, statement=statement))
    (seen,) = looks(tmp_path, json.loads(encode_event(event)), report(2, "imatinib"))
    assert (seen.cases, seen.dress) == (2, 1)
    assert seen.drugs["phenytoin"] == Fourfold(1, 0, 0, 1)


def test_what_was_only_taken_along_is_not_suspected_and_interacting_is(tmp_path: Path) -> None:
    (seen,) = looks(
        tmp_path, report(1, "phenytoin", role="concomitant"), report(2, "imatinib", role="interacting")
    )
    assert seen.cases == 2
    assert list(seen.drugs) == ["imatinib"]


def test_a_drug_without_a_name_or_code_stays_in_the_denominator(tmp_path: Path) -> None:
    (seen,) = looks(tmp_path, report(1, "unlisted drug"), report(2, "atc n02be01"))
    assert seen.drugs == {"atc n02be01": Fourfold(0, 1, 0, 1)}


def test_the_last_version_counts_from_when_it_came_and_a_nullified_case_no_more(tmp_path: Path) -> None:
    nullified = report(2, month=3, source_version=2, type="retraction")
    del nullified["report"]
    nullified["status"] = "retracted"
    first, second, third = looks(
        tmp_path,
        report(1, "phenytoin"),
        report(2, "phenytoin"),
        report(1, "phenytoin", dress=True, month=2, source_version=2),
        nullified,
    )
    assert first.drugs["phenytoin"] == Fourfold(0, 2, 0, 0)
    assert second.drugs["phenytoin"] == Fourfold(1, 1, 0, 0)
    assert third.drugs["phenytoin"] == Fourfold(1, 0, 0, 0)


def test_an_old_version_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    *_, last = looks(
        tmp_path,
        report(1, "phenytoin", dress=True, source_version=2),
        report(1, "imatinib", month=2, source_version=1),
    )
    assert last.drugs == {"phenytoin": Fourfold(1, 0, 0, 0)}


def test_the_records_of_a_hospital_are_no_reports(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    assert look(read_log(open_log(log)), Every.MONTH) == []


def test_periods_are_named_by_month_quarter_and_year(tmp_path: Path) -> None:
    events = [report(1, "phenytoin"), report(2, "phenytoin", month=4), report(3, "phenytoin", month=12)]
    assert [each.period for each in looks(tmp_path, *events)] == ["2026-01", "2026-04", "2026-12"]
    assert [each.period for each in looks(tmp_path, *events, every=Every.QUARTER)] == [
        "2026-Q1",
        "2026-Q2",
        "2026-Q4",
    ]
    assert [each.period for each in looks(tmp_path, *events, every=Every.YEAR)] == ["2026"]


def test_the_first_period_in_which_a_drug_stood_out(tmp_path: Path) -> None:
    background = [report(100 + each, "imatinib") for each in range(200)]
    early = [report(each, "phenytoin", dress=True, month=1) for each in range(2)]
    late = [report(10 + each, "phenytoin", dress=True, month=3) for each in range(6)]
    seen = looks(tmp_path, *background, *early, *late)
    assert first_disproportionate(seen, "phenytoin") == "2026-03"
    assert first_disproportionate(seen, "imatinib") is None
    assert first_disproportionate(seen, "nothing") is None
