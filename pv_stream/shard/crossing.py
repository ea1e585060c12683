"""Crossing: the records by which patient records hand things to each other, cut so that each fits the log.

A transfer that is larger than a record may be goes in chunks: facts first, what was told with the last. The receiver
joins each chunk and tells of them only when the last has come.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pv_stream.codec.events import encode_event
from pv_stream.domain.events import FactArrived, IdentityEvent, Transferred
from pv_stream.domain.outputs import Output

#: No transfer has more chunks than this; so long may their numbers be.
_CHUNKS_MAX: Final = 2**31 - 1


def chunks_of(event: Output | IdentityEvent, *, record_bytes_max: int) -> tuple[Output | IdentityEvent, ...]:
    """Return what carries a transfer, each record of at most this many bytes; anything else is whole as it is."""
    if not isinstance(event, Transferred) or len(encode_event(event)) <= record_bytes_max:
        return (event,)
    bare = replace(event, facts=(), chunk=_CHUNKS_MAX, chunks=_CHUNKS_MAX)
    groups = list(_groups(event.facts, record_bytes_max - len(encode_event(bare))))
    last = len(groups)
    return tuple(
        replace(event, facts=facts, told=event.told if number == last else None, chunk=number, chunks=last)
        for number, facts in enumerate(groups, start=1)
    )


def _groups(facts: tuple[FactArrived, ...], bytes_max: int) -> Iterator[tuple[FactArrived, ...]]:
    group: list[FactArrived] = []
    size = 0
    for fact in facts:
        fact_bytes = len(encode_event(fact)) + 1
        if group and size + fact_bytes > bytes_max:
            yield tuple(group)
            group, size = [], 0
        group.append(fact)
        size += fact_bytes
    yield tuple(group)
