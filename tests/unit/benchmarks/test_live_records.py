"""What the live benchmark keeps of complete rounds, so that it can go on where it ended."""

from pathlib import Path

from benchmarks.live.comparison import findings
from benchmarks.live.latency import Waited
from benchmarks.live.records import Records, Round
from benchmarks.live.report import as_text, ratios
from benchmarks.live.throughput import Ran

ASKED = {"events": 1_000, "subjects": ["raw", "ours"]}


def ran(subject: str, seconds: float, *, told: str = "same") -> Ran:
    return Ran(subject, "small", 1, 1_000, seconds, seconds / 2, 1.0, 100.0, 7, told, 98.5)


def round_of(number: int, *, failed: tuple[str, ...] = (), told: str = "same") -> Round:
    waited = (Waited("ours", "small", number, 1_000, 90, 0, 12.0, 40.0, 55.0),)
    both = (ran("raw", 1.0), ran("ours", 0.5 * number, told=told))
    return Round("small", number, ASKED, {"cores": 2}, "2026-07-01 10:00", both, waited, failed)


def test_a_round_that_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    first = Records(path, resume=False)
    first.keep(round_of(1))
    again = Records(path, resume=True)
    assert again.rounds == [round_of(1)]
    assert again.has("small", 1, ASKED)
    assert not again.has("small", 2, ASKED)
    assert not again.has("engine", 1, ASKED)
    assert not again.has("small", 1, {**ASKED, "events": 2_000})


def test_a_round_in_which_something_failed_is_measured_again_and_replaced(tmp_path: Path) -> None:
    records = Records(tmp_path / "results.jsonl", resume=False)
    records.keep(round_of(1, failed=("ours ended",)))
    assert not records.has("small", 1, ASKED)
    assert findings(records.of("small")) == ["ours ended"]
    records.keep(round_of(1))
    assert records.of("small") == [round_of(1)]
    assert findings(records.of("small")) == []


def test_without_resume_the_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    Records(path, resume=False).keep(round_of(1))
    assert Records(path, resume=False).rounds == []
    assert Records(path, resume=True).rounds == []


def test_ratios_are_those_of_a_round_and_the_table_has_them() -> None:
    rounds = [round_of(1), round_of(2)]
    assert ratios(rounds, lambda each: each.per_second) == {"raw": [1.0, 1.0], "ours": [2.0, 1.0]}
    speeds = [Round(each.part, each.number, ASKED, {}, "", each.ran) for each in rounds]
    assert "1.50 (1.00-2.00)" in as_text(speeds)
    assert "98 (98-98)" in as_text(speeds)


def test_a_subject_that_tells_something_else_is_found() -> None:
    (said,) = findings([round_of(1, told="other")])
    assert said == "small: ours told 7 things in round 1, not what raw told (7)"
