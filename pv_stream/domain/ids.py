"""Identity: names for things that are derived from content alone (law 4), and the shard of a patient.

Deliberately unknown here: hosts, partitions, offsets, time, randomness. The same content gives the same id on
every machine, live and in a replay made years later.
"""

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final, NewType

PatientId = NewType("PatientId", str)
FactKey = NewType("FactKey", str)
EpisodeId = NewType("EpisodeId", str)
AlertId = NewType("AlertId", str)
RecordId = NewType("RecordId", str)
RecurrenceId = NewType("RecurrenceId", str)
ActionId = NewType("ActionId", str)

#: What an identifier may look like in a topic: a pseudonym or a digest, never a name or free text.
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")

_ID_HEX_DIGITS: Final = 32
_UNIT_SEPARATOR: Final = "\x1f"


def derive_id(prefix: str, *parts: str) -> str:
    """Derive an id from content.

    The id is `prefix`, an underscore and 128 bits of SHA-256 over the parts in hexadecimal.
    """
    digest = hashlib.sha256(_UNIT_SEPARATOR.join((prefix, *parts)).encode()).hexdigest()
    return f"{prefix}_{digest[:_ID_HEX_DIGITS]}"


def derive_new_id(prefix: str, parts: tuple[str, ...], used: Collection[str]) -> str:
    """Derive an id from content; a number tells it from one already used for the same content."""
    new, number = derive_id(prefix, *parts), 1
    while new in used:
        new, number = derive_id(prefix, *parts, str(number)), number + 1
    return new


def shard_of(patient_id: str, shard_count: int) -> int:
    """Return the shard, 0 to `shard_count` - 1, that holds a patient's whole story.

    Every writer of ours sets the partition with this one function, and no other hash is used.
    """
    return _number_of(patient_id) % shard_count


#: Of the patients of late: what is asked at every event is a function of the id alone.
@lru_cache(maxsize=8_192)
def _number_of(patient_id: str) -> int:
    return int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "big")
