"""Refusals: what ingest tells the world of a message that it could not read. Nothing here holds content."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """Carry why a message, or a part of it, was refused: a code, and the digest and size of the message's bytes.

    The bytes stay in the reject store of `kept_by`. `path` is the part, empty for the whole message. `settled_at` is
    when it was read after all; a later record of the same `entry_id` replaces an earlier one.
    """

    schema_version: Literal[1]
    entry_id: str
    code: str
    value_digest: str
    value_bytes: int
    path: str
    kept_by: str
    kept_at: str | None
    settled_at: str | None
