"""What is counted of a transaction: words of a fixed vocabulary, and nothing of a patient."""

import json

from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.progress import UNKNOWN, AlertWords, Distribution, Progress

ALERT = {"kind": "suspected_dress", "tier": "critical", "status": "raised", "timeliness": "live"}


def output(stream: OutputStream, fields: object) -> OutRecord:
    return OutRecord(stream, b"canary", json.dumps(fields).encode(), 0, 0)


def test_a_transaction_is_counted_by_stream_alert_and_code() -> None:
    progress = Progress(now_s=lambda: 7.0)
    outputs = [
        output(OutputStream.ALERTS, {**ALERT, "patient_id": "canary"}),
        output(OutputStream.ALERTS, {**ALERT, "patient_id": "canary"}),
        output(OutputStream.DEAD_LETTERS, {"code": "misrouted"}),
        output(OutputStream.CASES, {}),
    ]
    progress.committed(2, 500, outputs, compute_seconds=0.2, commit_seconds=0.04)
    assert progress.records == {2: 500}
    assert progress.outputs == {OutputStream.ALERTS: 2, OutputStream.DEAD_LETTERS: 1, OutputStream.CASES: 1}
    assert progress.alerts == {AlertWords("suspected_dress", "critical", "raised", "live"): 2}
    assert (progress.dead_letters, progress.dead_letter_newest_s) == ({"misrouted": 1}, 7.0)
    assert (progress.transactions, progress.run_records.sum, progress.commit_seconds.sum) == (1, 500, 0.04)


def test_an_alert_without_its_words_is_counted_as_unknown() -> None:
    progress = Progress()
    progress.committed(0, 1, [output(OutputStream.ALERTS, {})], compute_seconds=0, commit_seconds=0)
    assert progress.alerts == {AlertWords(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN): 1}


def test_a_value_at_a_bound_is_not_above_it() -> None:
    values = Distribution((1.0, 5.0))
    for value in (1.0, 1.1, 5.0, 5.1):
        values.add(value)
    assert values.buckets() == [("1.0", 1.0), ("5.0", 3.0), ("+Inf", 4.0)]
