"""Replay: a recorded log through the same fold that runs live, so that the same bytes come out (law 2).

Nothing of the machine enters the outputs or the manifest: no path, host or time. The log is read as a stream; what
stays in memory are the states of its patients and one run of records for each shard.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.clock import ClockMode, TimedLog, settle
from pv_stream.audit.log import Log, LogRecord, Survey, read_log, survey
from pv_stream.audit.output_folder import OutputFolder
from pv_stream.audit.tally import Tally
from pv_stream.audit.transfers import TransferCheck
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold

#: How many records the fold gets at a time. Outputs do not depend on it.
RUN_RECORDS_MAX: Final = 1000

MANIFEST_VERSION: Final = 1

Folds = dict[int, ShardFold]


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Say what is replayed and how.

    The log begins under `rulebook` and may activate those that are `carried`, by digest. `what_if` passes over its
    activations: all of it is read under a rulebook that the log did not name.
    """

    log: Log
    rulebook: Rulebook
    what_if: bool = False
    clock: ClockMode = ClockMode.AUTO
    run_records_max: int = RUN_RECORDS_MAX
    carried: Mapping[str, Rulebook] = field(default_factory=dict)

    def rulebook_of(self, output: Mapping[str, Any]) -> Rulebook:
        """Return the rulebook that an output names."""
        return self.carried.get(output["rulebook"]["digest"], self.rulebook)

    def new_fold(self, shard: int) -> ShardFold:
        """Return the empty fold of a shard."""
        return ShardFold(
            shard=shard,
            shard_count=self.log.shard_count,
            rulebook=self.rulebook,
            carried=self.carried,
            what_if=self.what_if,
            originate=self.log.makes_transfers,
        )


def replay(
    plan: ReplayPlan,
    directory: Path,
    *,
    force: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Replay a log into a folder and return the manifest.

    `on_progress` is told how many bytes of the log are done. Raises UsageError for a folder that holds other
    files, or the replay of another log.
    """
    found = survey(plan.log)
    mode = settle(plan.clock, found)
    folder = OutputFolder(directory)
    folder.begin(found.digest, force=force)
    try:
        tally = Tally()
        transfers = TransferCheck(plan.log)
        timed = _Counted(TimedLog(read_log(plan.log), mode), transfers, on_progress)
        folds: Folds = {}
        for shard, output in fold_log(timed, plan, folds):
            if output.stream is OutputStream.EVENTS:
                transfers.follows(output)
                continue
            folder.add(shard, output)
            tally.add(output)
        manifest = {
            "manifest": MANIFEST_VERSION,
            "input": _input_of(plan.log, found, timed),
            "engine_version": ENGINE_VERSION,
            "rulebooks": _rulebooks_of(folds),
            "activations": found.activations,
            "what_if": plan.what_if,
            "clock": {"mode": mode.value, "records_added": timed.log.added},
            "transfers": transfers.manifest(),
            "counts": tally.counts(),
            "files": folder.finish(),
        }
        folder.write_manifest(manifest)
    except BaseException:
        folder.abandon()
        raise
    on_progress(found.size_bytes)
    return manifest


@dataclass(slots=True)
class _Counted:
    """Count the records of a log as they pass, and tell how far it is read."""

    log: TimedLog
    transfers: TransferCheck
    on_progress: Callable[[int], None]
    passed: int = 0

    def __iter__(self) -> Iterator[LogRecord]:
        for record in self.log:
            self.passed += 1
            self.transfers.stands(record.record)
            if self.passed % RUN_RECORDS_MAX == 0:
                self.on_progress(record.bytes_read)
            yield record


def _rulebooks_of(folds: Folds) -> list[dict[str, str]]:
    """Name every rulebook under which a record was read, in order of shard and position."""
    used = {rulebook.digest: rulebook for shard in sorted(folds) for rulebook in folds[shard].rulebooks_used}
    return [{"version": rulebook.version, "digest": digest} for digest, rulebook in used.items()]


def _input_of(log: Log, found: Survey, timed: _Counted) -> dict[str, Any]:
    return {
        "form": log.form.value,
        "digest": found.digest,
        "bytes": found.size_bytes,
        "records": timed.passed - timed.log.added,
        "clock_records": found.clock_records,
        "shards": log.shard_count,
    }


def fold_log(
    records: Iterable[LogRecord], plan: ReplayPlan, folds: Folds | None = None
) -> Iterator[tuple[int, OutRecord]]:
    """Run records through one fold for each shard; yield outputs with their shard, each shard's in order.

    The folds are put into `folds`, for who wants to look at them at the end.
    """
    folds = {} if folds is None else folds
    waiting: dict[int, list[RawRecord]] = {}
    for line in records:
        run = waiting.setdefault(line.shard, [])
        run.append(line.record)
        if len(run) >= plan.run_records_max:
            for output in _advance(folds, line.shard, run, plan):
                yield line.shard, output
            run.clear()
    for shard in sorted(waiting):
        for output in _advance(folds, shard, waiting[shard], plan):
            yield shard, output


def _advance(folds: Folds, shard: int, records: list[RawRecord], plan: ReplayPlan) -> tuple[OutRecord, ...]:
    if shard not in folds:
        folds[shard] = plan.new_fold(shard)
    run = folds[shard].process(tuple(records))
    folds[shard].commit(run)
    return run.outputs
