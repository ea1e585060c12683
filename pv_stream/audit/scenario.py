"""Scenarios: cases that a pharmacist writes and reviews. Given these events, these alerts come, and nothing else.

This module holds what a scenario is. How the YAML is read is `scenario_file`, how its lines become canonical events
`scenario_events`, how what came is compared `scenario_check`. docs/scenarios.md tells a pharmacist how to write one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Instant,
    format_instant,
    parse_instant,
)

#: Day 0 of every scenario, and the time of day of a line that names none.
DAY_ZERO: Final = parse_instant("2026-01-01T00:00:00Z")
TIME_OF_DAY_DEFAULT: Final = (8, 0)


@dataclass(frozen=True, slots=True)
class Given:
    """Hold one line of what happens: the action, what it is about, and its options as written."""

    line: int
    action: str
    subject: str
    at: Instant
    received: Instant
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """Hold one line of what must come: the kind of output, its name, and the fields that were chosen."""

    line: int
    output: str
    name: str
    at: Instant
    fields: Mapping[str, str | tuple[str, ...] | Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one case: its name, what is given (the file's shared lines first), and what is expected."""

    name: str
    line: int
    given: tuple[Given, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold one file: the rule that it is about, where the rule comes from, and its cases.

    `rulebooks` are those that a line may activate, by name: the entries that differ from the checked rulebook.
    """

    path: Path
    title: str
    source: str
    rule: str
    utc_offset_minutes: int
    cases: tuple[Case, ...]
    rulebooks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def at_day(day: int, hour: int, minute: int, utc_offset_minutes: int = 0) -> Instant:
    """Return the instant of a day of the scenario at a time of day at the facility."""
    local = (
        DAY_ZERO
        + day * MICROSECONDS_PER_DAY
        + hour * MICROSECONDS_PER_HOUR
        + minute * MICROSECONDS_PER_MINUTE
    )
    return Instant(local - utc_offset_minutes * MICROSECONDS_PER_MINUTE)


def say_when(instant: Instant, utc_offset_minutes: int = 0) -> str:
    """Write an instant as a scenario does: day 14 08:00."""
    local = instant + utc_offset_minutes * MICROSECONDS_PER_MINUTE - DAY_ZERO
    day, rest = divmod(local, MICROSECONDS_PER_DAY)
    if rest % MICROSECONDS_PER_MINUTE:
        return format_instant(instant)
    hour, rest = divmod(rest, MICROSECONDS_PER_HOUR)
    return f"day {day} {hour:02d}:{rest // MICROSECONDS_PER_MINUTE:02d}"
