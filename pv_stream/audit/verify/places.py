"""Places: where an output stands: the shard and position of its input record, and which of its outputs it is.

Live the header `ce_id` says so, of a replay the file beside the outputs. Two records are the same output when they
have one place, whatever they say.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pv_stream.shard.fold import OutputStream

_PARTS: Final = 3
#: As many as a position of Kafka has.
_DIGITS_MAX: Final = 19
#: The fields of a value that make up the key of its record.
_KEY_FIELDS: Final[Mapping[OutputStream, tuple[str, ...]]] = {
    OutputStream.ALERTS: ("alert_id",),
    OutputStream.RECURRENCES: ("recurrence_id",),
    OutputStream.CASES: ("patient_id", "episode_id"),
    OutputStream.ACTIONS: ("alert_id",),
    OutputStream.DEAD_LETTERS: ("value_digest",),
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Hold the place of an output."""

    shard: int
    position: int
    ordinal: int

    def __str__(self) -> str:
        """Return it as `ce_id` does."""
        return f"{self.shard}-{self.position}-{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Told:
    """Hold an output of either side; `place` is None when it does not say where it belongs."""

    place: Place | None
    key: str
    value: bytes | None


def read_place(text: bytes) -> Place | None:
    """Return a place from its text, or None when it is none."""
    parts = text.split(b"-")
    if len(parts) != _PARTS or not all(part.isdigit() and len(part) <= _DIGITS_MAX for part in parts):
        return None
    return Place(*map(int, parts))


def key_of(stream: OutputStream, value: bytes) -> str:
    """Return the key that an output has live."""
    fields = fields_of(value)
    return "|".join(str(fields.get(name)) for name in _KEY_FIELDS[stream])


def fields_of(value: bytes | None) -> dict[str, Any]:
    """Return the fields of a value, none when it cannot be read."""
    try:
        fields = json.loads(value or b"null")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
