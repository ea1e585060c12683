"""Rounds: as many shufflings of each case whenever they end, the same again, and gone on with after a stop."""

from pathlib import Path

import pytest

from pv_stream.errors import DataError
from tests.shuffling.rounds import Found, Log, Origin, Part, case_names, drawn_for, parts, shuffle

ORIGIN = Origin(seed=7, commit="abc")


def test_every_case_has_its_turn_before_any_has_the_next() -> None:
    assert list(parts(["a", "b"], 0, 150, ())) == [
        Part("a", 0, 100),
        Part("b", 0, 100),
        Part("a", 100, 50),
        Part("b", 100, 50),
    ]


def test_what_was_done_is_not_done_again() -> None:
    done = [Found("a", 0, 100, 1, 0.0), Found("b", 0, 100, 1, 0.0), Found("a", 100, 50, 1, 0.0)]
    assert list(parts(["a", "b"], 0, 200, done)) == [Part("a", 150, 50), Part("b", 100, 100)]


def test_a_shuffling_is_the_same_whatever_was_drawn_before() -> None:
    draws = {drawn_for(7, "a", 3).random() for _ in range(2)}
    assert len(draws) == 1
    others = {drawn_for(7, "a", 4).random(), drawn_for(7, "b", 3).random(), drawn_for(8, "a", 3).random()}
    assert len(draws | others) == 4


def test_a_log_is_gone_on_with_where_it_broke_off(tmp_path: Path) -> None:
    path = tmp_path / "out" / "shufflings.jsonl"
    one = Found("a", 0, 10, 1, 0.5, {"3": ["main: tier is info, expected warning"]})
    with Log(path, ORIGIN, resume=False) as log:
        log.add(one)
    path.write_text(f'{path.read_text(encoding="utf-8")}{{"case": "a", "fir', encoding="utf-8")
    with Log(path, ORIGIN, resume=True) as log:
        assert log.found == [one]
        log.add(one)
    with Log(path, ORIGIN, resume=True) as log:
        assert log.found == [one, one]
    with Log(path, ORIGIN, resume=False) as log:
        assert log.found == []


@pytest.mark.parametrize("other", [Origin(8, "abc"), Origin(7, "abd"), Origin(7, "abc", whole=True)])
def test_a_log_of_another_seed_or_commit_is_not_gone_on_with(tmp_path: Path, other: Origin) -> None:
    path = tmp_path / "out" / "shufflings.jsonl"
    with Log(path, ORIGIN, resume=False):
        pass
    with pytest.raises(DataError, match="without RESUME=1"):
        Log(path, other, resume=True)


def test_a_part_is_done_one_in_a_hundred_of_it_whole() -> None:
    (name,) = case_names("records_that_cannot_be_read: not JSON")
    found = shuffle(Part(name, 0, 102), ORIGIN)
    assert (found.count, found.whole, found.differing) == (102, 2, {})
