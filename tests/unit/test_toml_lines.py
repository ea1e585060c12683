"""The lines of a TOML file: every entry that tomllib reads has one, and it is where the entry stands."""

import tomllib
from collections.abc import Iterator
from importlib import resources

import pytest

from pv_stream.toml_lines import EntryPath, lines_of

AWKWARD = '''# [not.a.table]
title = "a = [b]" # x = 1
a.b."c d" = 1
x = [ 1, # hi ]
  { y = "]", z = ['}'] },
  """multi
line " ""\\"""" ,
]
d = 1979-05-27 07:32:00Z

[t."q.r"]
k = {}
[[u]]
n=1
[[u.v]]
m = \'\'\'x
]\'\'\'
[[u.v]]
[u.w]
o = 2
[[u]]
[u.w]
o = 3
'''


def _paths(value: object, path: EntryPath = ()) -> Iterator[EntryPath]:
    parts: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        parts = iter(value.items())
    elif isinstance(value, list):
        parts = iter(enumerate(value))
    for part, inner in parts:
        yield (*path, part)
        yield from _paths(inner, (*path, part))


def _shipped() -> str:
    return resources.files("pv_stream.rules").joinpath("rulebooks", "2026.11.toml").read_text("utf-8")


@pytest.mark.parametrize("text", [AWKWARD, _shipped(), "", "# only\n", "a=1", "\r\na = 1\r\n[b]\r\n"])
def test_every_entry_that_is_read_has_a_line_and_nothing_else_has(text: str) -> None:
    assert set(lines_of(text)) == set(_paths(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("a", "b", "c d"), 3),
        (("x", 1, "y"), 5),
        (("x", 2), 6),
        (("d",), 9),
        (("t", "q.r", "k"), 12),
        (("u",), 13),
        (("u", 0, "v", 0, "m"), 16),
        (("u", 0, "v", 1), 18),
        (("u", 0, "w", "o"), 20),
        (("u", 1, "w", "o"), 23),
    ],
)
def test_the_line_is_where_the_entry_stands(path: EntryPath, line: int) -> None:
    assert lines_of(AWKWARD)[path] == line


def test_a_number_of_the_rulebook_is_found_on_its_line() -> None:
    lines = _shipped().splitlines()
    found = lines_of(_shipped())
    assert lines[found["parameters", "lag_days", "source"] - 1].startswith("lag_days = ")
    assert lines[found["drugs", 0, "threshold_per_ul"] - 1].startswith("threshold_per_ul = ")
