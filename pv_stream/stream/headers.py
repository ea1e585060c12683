"""The headers of output records: CloudEvents in binary mode, and for dead letters a pointer to the input.

Whatever depends on where and when a record was made belongs here and never into its value: values are equal in
every replay. `ce_time` is left out: a header that read a clock would differ between two runs of one log.
"""

from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.topics import Topic

Headers = list[tuple[str, bytes]]

TOPIC_OF_STREAM = {
    OutputStream.ALERTS: Topic.ALERTS,
    OutputStream.RECURRENCES: Topic.RECURRENCES,
    OutputStream.CASES: Topic.CASES,
    OutputStream.ACTIONS: Topic.ALERT_ACTIONS,
    OutputStream.DEAD_LETTERS: Topic.DEAD_LETTERS,
    OutputStream.EVENTS: Topic.EVENTS,
}
#: What the ledger of a shard covers: not cases, of which Kafka keeps only the last, nor what goes to other shards.
LEDGER_STREAMS = frozenset(
    {OutputStream.ALERTS, OutputStream.RECURRENCES, OutputStream.ACTIONS, OutputStream.DEAD_LETTERS}
)
EVENT_TYPE_OF_STREAM = {
    OutputStream.ALERTS: b"pv.dress.alert.v1",
    OutputStream.RECURRENCES: b"pv.dress.recurrence.v1",
    OutputStream.CASES: b"pv.dress.case.v1",
    OutputStream.ACTIONS: b"pv.dress.alert-action.v1",
    OutputStream.DEAD_LETTERS: b"pv.dead-letter.v1",
    OutputStream.EVENTS: b"pv.clinical-event.v1",
}
# The names that Kafka Streams gives them (KIP-1034), so that its tools find the input of a dead letter.
DEAD_LETTER_PREFIX = "__streams.errors."


def output_headers(record: OutRecord, *, source_topic: str, shard: int) -> Headers:
    """Return the headers of one output record; the same record has the same headers in every attempt."""
    source = f"/{source_topic}/{shard}"
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", EVENT_TYPE_OF_STREAM[record.stream]),
        ("ce_source", source.encode()),
        ("ce_id", f"{shard}-{record.position}-{record.ordinal}".encode()),
        ("content-type", b"application/json"),
    ]
    if record.stream is OutputStream.DEAD_LETTERS:
        headers += [
            (f"{DEAD_LETTER_PREFIX}topic", source_topic.encode()),
            (f"{DEAD_LETTER_PREFIX}partition", str(shard).encode()),
            (f"{DEAD_LETTER_PREFIX}offset", str(record.position).encode()),
        ]
    return headers
