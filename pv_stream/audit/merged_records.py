"""Which patient records of a log may be one person's: those that any record of the log merges or takes apart.

What is said of a patient may rest on every one of them, also where a merge was refused or undone later.
"""

from collections.abc import Iterable

from pv_stream.audit.log import Log, read_log
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import Absorbed, Absorbs, Separated


def with_merged(log: Log, patients: Iterable[bytes]) -> set[bytes]:
    """Return the keys of some patients with those of every record that was merged with one of theirs."""
    pairs: set[frozenset[bytes]] = set()
    for line in read_log(log):
        if b"identity." not in (line.record.value or b""):
            continue
        event = decode_event(line.record.value)
        if isinstance(event, Absorbed | Absorbs | Separated):
            other = event.survivor if isinstance(event, Absorbed) else event.prior
            pairs.add(frozenset((event.patient_id.encode(), other.encode())))
    found = set(patients)
    while more := {one for pair in pairs if found & pair for one in pair} - found:
        found |= more
    return found
