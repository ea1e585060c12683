"""Replay: a recorded log through the same fold that runs live, so that the same bytes come out (law 2).

Nothing of the machine enters the outputs or the manifest: no path, host, time or number of processes. The log is read
as a stream; what stays in memory are the states of its patients, one run of records and one segment for each shard.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.clock import ClockMode, TimedLog, settle
from pv_stream.audit.code_digest import code_digest
from pv_stream.audit.log import Log, LogRecord, Survey, read_log, read_shard, survey
from pv_stream.audit.output_folder import OutputFolder
from pv_stream.audit.record_kinds import is_of_type
from pv_stream.audit.shard_outputs import ShardDone, ShardOutputs
from pv_stream.audit.tally import Tally
from pv_stream.audit.transfers import TransferCheck
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import DataError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold

#: How many records the fold gets at a time. Outputs do not depend on it.
RUN_RECORDS_MAX: Final = 1000

MANIFEST_VERSION: Final = 1

Folds = dict[int, ShardFold]
#: Is told how many bytes of the log are done, and how many records.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Say what is replayed and how.

    The log begins under `rulebook` and may activate those that are `carried`, by digest. `what_if` passes over its
    activations: all of it is read under a rulebook that the log did not name. `with_states` writes the states, too.
    """

    log: Log
    rulebook: Rulebook
    what_if: bool = False
    clock: ClockMode = ClockMode.AUTO
    run_records_max: int = RUN_RECORDS_MAX
    carried: Mapping[str, Rulebook] = field(default_factory=dict)
    with_states: bool = False

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
            encode_states=False,
        )


def replay(  # noqa: PLR0913 - one keyword for each choice
    plan: ReplayPlan,
    directory: Path,
    *,
    force: bool = False,
    processes: int = 1,
    on_progress: OnProgress = lambda _bytes, _records: None,
    on_stop: Callable[[int], None] = lambda _finished: None,
) -> dict[str, Any]:
    """Replay a log into a folder and return the manifest.

    An archive in a folder is replayed by that many `processes`, and a call that is stopped keeps the shards that are
    finished: `on_stop` is told how many, and the same call goes on. Raises UsageError for a folder that holds other
    files, or the replay of another log.
    """
    found = survey(plan.log)
    mode = settle(plan.clock, found)
    folder = OutputFolder(directory)
    folder.begin(found.digest, _identity(plan, mode, found), force=force)
    try:
        done = _replay_shards(plan, mode, folder, processes, on_progress)
        manifest = _join(plan, mode, found, folder, done)
    except (KeyboardInterrupt, SystemExit):
        on_stop(folder.stop())
        raise
    except BaseException:
        folder.abandon()
        raise
    on_progress(found.size_bytes, sum(shard.records for shard in done))
    return manifest


def _identity(plan: ReplayPlan, mode: ClockMode, found: Survey) -> dict[str, object]:
    """Return what must be the same for a finished shard to be of use to another call."""
    return {
        "log": found.digest,
        "code": code_digest(),
        "rulebook": plan.rulebook.digest,
        "carried": sorted(plan.carried),
        "what_if": plan.what_if,
        "clock": mode.value,
        "makes_transfers": plan.log.makes_transfers,
        "with_states": plan.with_states,
    }


def _replay_shards(
    plan: ReplayPlan, mode: ClockMode, folder: OutputFolder, processes: int, on_progress: OnProgress
) -> list[ShardDone]:
    if not plan.log.parts:
        return _replay_file(plan, mode, folder.partial, on_progress)
    shards = range(plan.log.shard_count)
    kept = {shard: done for shard in shards if (done := folder.finished(shard)) is not None}
    rest = sorted(set(shards) - kept.keys(), key=lambda shard: (-plan.log.shard_bytes(shard), shard))
    before = sum(map(plan.log.shard_bytes, kept)), sum(done.records for done in kept.values())

    def tell(bytes_done: int, records: int) -> None:
        on_progress(before[0] + bytes_done, before[1] + records)

    work = ShardWork(plan, mode, folder.partial)
    if min(processes, len(rest)) > 1:
        from pv_stream.audit.processes import replay_in_processes  # noqa: PLC0415 - it imports this module

        replay_in_processes(work, rest, processes, tell)
    else:
        for shard in rest:
            done = work.replay(shard, tell)
            before = before[0] + plan.log.shard_bytes(shard), before[1] + done.records
    return [_finished(folder, shard) for shard in shards]


def _finished(folder: OutputFolder, shard: int) -> ShardDone:
    done = folder.finished(shard)
    if done is None:
        msg = f"{folder.directory}: what was replayed of shard {shard} is gone: replay once more"
        raise DataError(msg)
    return done


@dataclass(frozen=True, slots=True)
class ShardWork:
    """Replay single shards of an archive in a folder, in this process or in another."""

    plan: ReplayPlan
    mode: ClockMode
    folder: Path

    def replay(self, shard: int, on_progress: OnProgress) -> ShardDone:
        """Replay one shard from its beginning, and say on the disk that it is finished."""
        records = read_shard(self.plan.log, shard)
        passing = _Passing(self.plan, TimedLog(records, self.mode), on_progress)
        written = _write_outputs(self.plan, passing, self.folder)
        if shard not in written:  # it has no records
            passing.seen.setdefault(shard, _Seen())
            written[shard] = ShardOutputs(self.folder, shard)
            written[shard].begin()
        return passing.close(shard, written[shard])


def _replay_file(plan: ReplayPlan, mode: ClockMode, folder: Path, on_progress: OnProgress) -> list[ShardDone]:
    """Replay a log whose shards stand in one file, all of them in one go."""
    passing = _Passing(plan, TimedLog(read_log(plan.log), mode), on_progress)
    written = _write_outputs(plan, passing, folder)
    return [passing.close(shard, written[shard]) for shard in sorted(written)]


def _write_outputs(plan: ReplayPlan, passing: "_Passing", folder: Path) -> dict[int, ShardOutputs]:
    written: dict[int, ShardOutputs] = {}
    for shard, output in fold_log(passing, plan, passing.folds):
        if output.stream is OutputStream.EVENTS:
            passing.seen[shard].transfers.follows(output)
        else:
            if shard not in written:
                written[shard] = ShardOutputs(folder, shard)
                written[shard].begin()
            written[shard].add(output)
    for shard in passing.folds.keys() - written.keys():  # it told nothing
        written[shard] = ShardOutputs(folder, shard)
        written[shard].begin()
    return written


@dataclass(slots=True)
class _Seen:
    """Hold what passed of one shard."""

    records: int = 0
    last_position: int = -1
    activated: list[tuple[int, int, str]] = field(default_factory=list)
    transfers: TransferCheck = field(default_factory=lambda: TransferCheck(makes_transfers=False))


@dataclass(slots=True)
class _Passing:
    """Count the records of a log as they pass, and tell how far it is read."""

    plan: ReplayPlan
    log: TimedLog
    on_progress: OnProgress
    folds: Folds = field(default_factory=dict)
    seen: dict[int, _Seen] = field(default_factory=dict)

    def __iter__(self) -> Iterator[LogRecord]:
        for passed, record in enumerate(self.log, start=1):
            seen = self.seen.get(record.shard)
            if seen is None:
                seen = self.seen[record.shard] = _Seen()
            seen.records += 1
            seen.last_position = record.record.position
            value = record.record.value or b""
            if b'"identity.' in value:
                seen.transfers.stands(record.record)
            elif is_of_type("control.activate", value):
                self._note_activation(seen, record.record.position, value)
            if passed % RUN_RECORDS_MAX == 0:
                self.on_progress(record.bytes_read, passed)
            yield record

    def _note_activation(self, seen: _Seen, position: int, value: bytes) -> None:
        with suppress(KeyError):  # what is no whole activation becomes a dead letter
            event = json.loads(value)
            seen.activated.append((position, event["engine_version"], event["rulebook_digest"]))

    def close(self, shard: int, outputs: ShardOutputs) -> ShardDone:
        """Finish the outputs of a shard."""
        fold, seen = self.folds.get(shard), self.seen[shard]
        if fold is not None and self.plan.with_states:
            outputs.add_states(fold.final_states())
        used = () if fold is None else fold.rulebooks_used
        done = ShardDone(
            shard=shard,
            records=seen.records,
            records_added=self.log.added_to(shard),
            last_position=seen.last_position,
            rulebooks=tuple((rulebook.version, rulebook.digest) for rulebook in used),
            activated=tuple(seen.activated),
            standing=dict(seen.transfers.standing),
            following=dict(seen.transfers.following),
        )
        outputs.close(done)
        return done


def _join(
    plan: ReplayPlan, mode: ClockMode, found: Survey, folder: OutputFolder, shards: list[ShardDone]
) -> dict[str, Any]:
    """Put the outputs of all shards in place, and the manifest."""
    tally, transfers = Tally(), TransferCheck(plan.log.makes_transfers)
    for done in shards:
        transfers.add(done.standing, done.following)
    files, places = folder.finish([done.shard for done in shards], states=plan.with_states, on_line=tally.add)
    added = sum(done.records_added for done in shards)
    manifest = {
        "manifest": MANIFEST_VERSION,
        "input": {
            "form": plan.log.form.value,
            "digest": found.digest,
            "bytes": found.size_bytes,
            "records": sum(done.records for done in shards) - added,
            "clock_records": found.clock_records,
            "shards": plan.log.shard_count,
            "last_positions": {str(done.shard): done.last_position for done in shards},
        },
        "engine_version": ENGINE_VERSION,
        "rulebooks": _rulebooks_of(shards),
        "activations": found.activations,
        "activated": {str(done.shard): done.activated for done in shards if done.activated},
        "what_if": plan.what_if,
        "clock": {"mode": mode.value, "records_added": added},
        "transfers": transfers.manifest(),
        "counts": tally.counts(),
        "files": files,
        "places": places,
    }
    folder.write_manifest(manifest)
    return manifest


def _rulebooks_of(shards: list[ShardDone]) -> list[dict[str, str]]:
    """Name every rulebook under which a record was read, in order of shard and position."""
    used = {digest: version for done in shards for version, digest in done.rulebooks}
    return [{"version": version, "digest": digest} for digest, version in used.items()]


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


def _advance(folds: Folds, shard: int, records: list[RawRecord], plan: ReplayPlan) -> list[OutRecord]:
    if shard not in folds:
        folds[shard] = plan.new_fold(shard)
    left, outputs = tuple(records), list[OutRecord]()
    while left:
        run = folds[shard].process(left)
        folds[shard].commit(run)
        outputs.extend(run.outputs)
        left = run.left
    return outputs
