"""The watchdog: it ends a worker that has work and does not get on with it, also inside opening and committing.

Each thing that is under way has a mark that changes whenever it gets on: an opening, a shard with records that wait,
the fetching of a shard with none, the group, a worker that was given no shard, the event loop itself. One whose mark
stays the same for too long ends the process; the next owner starts from the checkpoint. The watchdog has a thread of
its own, since a loop that is stuck runs no task.

While the broker does not answer only the loop is watched: nothing else can get on, and starting again would not help.
It counts its own looks and not the clock, so a process that was stopped and goes on is not blamed for the time.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pv_stream.errors import EnvironmentBroken
from pv_stream.stream.owner import ShardOwner

BEAT_SECONDS: Final = 0.5
LOOK_SECONDS_MAX: Final = 1.0
#: How long the last line may take to be written: where it cannot be, the process ends without it.
LAST_LINE_SECONDS_MAX: Final = 5.0

#: What is under way, in words, with a mark that changes when it gets on.
UnderWay = Mapping[str, object]


class LoopBeat:
    """Count while the event loop turns."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.beats = 0

    async def keep_beating(self) -> None:
        """Count, again and again."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self.beats += 1


def under_way(owner: ShardOwner, beat: LoopBeat, *, broker_is_gone: bool, spare_looks: int) -> UnderWay:
    """Return what a worker is doing or waiting for, as far as it can get on."""
    doing: dict[str, object] = {"its event loop": beat.beats}
    if broker_is_gone:
        return doing
    if owner.closing:
        doing["closing its shards"] = owner.progress.transactions
    elif owner.assigned is None:
        doing["joining the group"] = owner.progress.rebalances
    elif not owner.assigned:
        doing["getting shards, of which some have no worker"] = spare_looks
    for shard, step in dict(owner.opening).items():
        doing[f"opening shard {shard} ({step.doing})"] = step.steps()
    for shard, task in dict(owner.open_shards).items():
        if task.busy:
            what = f"processing shard {shard} at position {task.next_position}"
            doing[what] = task.transactions
        else:
            doing[f"fetching shard {shard} from position {task.processed_position}"] = owner.last_seen_end(
                shard
            )
    return doing


@dataclass(slots=True)
class _Seen:
    mark: object
    seconds: float = 0.0


@dataclass(slots=True)
class Watchdog:
    """Notice what does not get on for `stall_seconds`."""

    stall_seconds: float
    look_at: Callable[[], UnderWay]
    #: Why the worker must end, once that is so.
    verdict: EnvironmentBroken | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def look(self, seconds: float) -> EnvironmentBroken | None:
        """Look once, so many seconds after the last look; return why the worker must end, if it must."""
        doing = self.look_at()
        for what in self._seen.keys() - doing.keys():
            del self._seen[what]
        for what, mark in doing.items():
            seen = self._seen.get(what)
            if seen is None or seen.mark != mark:
                self._seen[what] = _Seen(mark)
                continue
            seen.seconds += seconds
            if seen.seconds >= self.stall_seconds:
                self.verdict = EnvironmentBroken(
                    f"no progress for {self.stall_seconds:g} s in {what}: the worker ends and starts again; if that "
                    "repeats, look at the broker's own log (docs/live.md, A worker that does not get on)"
                )
                break
        return self.verdict


def watch_in_a_thread(
    watchdog: Watchdog,
    end: Callable[[Exception], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    exit_anyway: Callable[[], None] = lambda: os._exit(EnvironmentBroken.exit_code),
) -> threading.Thread:
    """Look again and again, and call `end`, which must not return, when the worker must end, or looking fails.

    A watchdog that is dead watches nothing: whatever it fails with is a fault of the worker, and ends it.
    """
    interval_seconds = min(LOOK_SECONDS_MAX, watchdog.stall_seconds / 4)

    def keep_looking() -> None:
        while True:
            sleep(interval_seconds)
            why = _why_to_end(watchdog, interval_seconds)
            if why is not None:
                # Whatever holds the worker may hold the log as well: the end must not depend on it.
                last = threading.Timer(LAST_LINE_SECONDS_MAX, exit_anyway)
                last.daemon = True
                last.start()
                end(why)
                return

    thread = threading.Thread(target=keep_looking, name="watchdog", daemon=True)
    thread.start()
    return thread


def _why_to_end(watchdog: Watchdog, seconds: float) -> Exception | None:
    try:
        return watchdog.look(seconds)
    except Exception as error:  # noqa: BLE001 - it ends the worker, whatever it is
        return error
