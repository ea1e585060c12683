"""How often this program looks for garbage."""

import gc
from collections.abc import Iterator

import pytest

from pv_stream.cli.garbage import collect_seldom


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_youngest_are_looked_through_seldom_and_the_older_as_ever() -> None:
    gc.set_threshold(700, 10, 10)
    collect_seldom()
    assert gc.get_threshold() == (50_000, 10, 10)
    assert gc.isenabled()
