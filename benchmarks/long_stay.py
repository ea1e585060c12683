"""What it costs to keep a patient of very many values: each state as one record, and in segments.

Run as `python -m benchmarks.long_stay [VALUES ...]`. The values of a stay of 90 days are folded; then come single
values, each a run of its own, and what such a run writes and computes is told (medians), and what a restore takes.
"""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from statistics import median
from typing import Final

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import FactVersion, Measurement, Provenance, Statement, VersionOrder
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, exactly, parse_instant
from pv_stream.rulebooks import load_default
from pv_stream.shard.fold import RawRecord, ShardFold
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits

VALUES: Final = (800, 5_000)
DAYS: Final = 90
RUNS: Final = 20
RUN_RECORDS: Final = 250
#: A cap that no state reaches: all of it is one record.
WHOLE: Final = 1 << 30
_CODES: Final = (Analyte.ALT, Analyte.AST, Analyte.ALP)
_BEGIN: Final = parse_instant("2026-01-01T00:00:00Z")


def main(asked: Sequence[int]) -> None:
    """Print a row for each number of values and each form."""
    gc.set_threshold(50_000)
    print("values  kept as        records  bytes a run  largest record  run ms  restore ms")
    for count in asked:
        for name, bytes_max in (("one record", WHOLE), ("segments", DEFAULT_LIMITS.segment_bytes_max)):
            records, written, largest, run_ms, restore_ms = measure(count, bytes_max)
            row = f"{count:6,}  {name:12}  {records:8}  {written:11,}  {largest:14,}  {run_ms:6.1f}  {restore_ms:10.1f}"
            print(row)


def measure(count: int, segment_bytes_max: int) -> tuple[int, int, int, float, float]:
    """Return how many records a state has, bytes of a run and of the largest record, and ms of a run and a restore."""
    limits = Limits(state_bytes_max=WHOLE, segment_bytes_max=segment_bytes_max)
    shard = _shard(limits)
    log = [_record(number, count) for number in range(count + RUNS)]
    for first in range(0, count, RUN_RECORDS):
        shard.commit(shard.process(log[first : min(first + RUN_RECORDS, count)]))
    written, took = [], []
    for record in log[count:]:
        begin = time.process_time()
        run = shard.process([record])
        shard.commit(run)
        took.append(time.process_time() - begin)
        written.append(sum(len(value or b"") for _, value in run.states))
    states = dict(shard.final_states())
    return (
        len(states) - 1,
        int(median(written)),
        max(map(len, states.values())),
        1_000 * median(took),
        1_000 * _seconds(lambda: _restore(limits, states)),
    )


def _shard(limits: Limits) -> ShardFold:
    return ShardFold(shard=0, shard_count=1, rulebook=load_default(), limits=limits)


def _restore(limits: Limits, states: dict[bytes, bytes]) -> None:
    shard = _shard(limits)
    for key, value in states.items():
        shard.restore(key, value)
    shard.process([])


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _record(number: int, count: int) -> RawRecord:
    when = Instant(_BEGIN + number * DAYS * MICROSECONDS_PER_DAY // count)
    statement = Statement(Measurement(_CODES[number % len(_CODES)], Decimal(20)), exactly(when), 0)
    provenance = Provenance(when, f"sha256:{number:064x}", "OBX[1]", "hl7v2")
    version = FactVersion(FactKey(f"lab-{number:032d}"), VersionOrder(0, Status.FINAL), statement, provenance)
    event = FactArrived(PatientId("patient"), version)
    return RawRecord(number, b"patient", encode_event(event))


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or VALUES)
