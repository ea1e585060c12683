"""Kinds of records: what can be said of a record of the log without reading it as an event."""

import json
from typing import Any, Final

_TRANSFERS: Final = frozenset({"identity.transferred", "identity.received"})


def is_of_type(kind: str, value: bytes) -> bool:
    """Tell whether a record names this type; most do not hold the word and are not looked into."""
    return kind.encode() in value and json_object(value).get("type") == kind


def is_transfer(value: bytes) -> bool:
    """Tell whether a record is one that shards write to each other about merged patients."""
    return b'"identity.' in value and json_object(value).get("type") in _TRANSFERS


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line, empty when it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
