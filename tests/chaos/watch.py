"""What can be seen of a run from outside while it goes on: the group's offsets, by another client (kafka-python)."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaConfigurationError, KafkaError

_POLL_SECONDS: Final = 0.1
_ASK_MS: Final = 3_000


@dataclass
class Watch:
    """Ask again and again how far the group is.

    A broker that has just begun may tell of no offset where it told of one, and of the right one at the next asking.
    That is no answer: it is counted and asked again.
    """

    servers: str
    group: str
    topic: str
    shards: int
    #: Answers in which an offset was missing that had been told before.
    missing: int = 0
    _highest: dict[int, int] = field(default_factory=dict)
    _consumer: Any = None

    def __post_init__(self) -> None:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)

    def committed(self) -> dict[int, int] | None:
        """Return the group's offset of each shard, or None when the broker does not say."""
        try:
            if self._consumer is None:
                self._consumer = KafkaConsumer(
                    bootstrap_servers=self.servers,
                    group_id=self.group,
                    enable_auto_commit=False,
                    request_timeout_ms=_ASK_MS,
                    session_timeout_ms=_ASK_MS - 1_000,
                    heartbeat_interval_ms=500,
                    bootstrap_timeout_ms=_ASK_MS,
                )
            told = {
                shard: self._consumer.committed(TopicPartition(self.topic, shard), timeout_ms=_ASK_MS)
                for shard in range(self.shards)
            }
        except KafkaConfigurationError:
            raise
        except (KafkaError, OSError):
            self.close()
            return None
        if any(offset is None and self._highest.get(shard) for shard, offset in told.items()):
            self.missing += 1
            return None
        found = {shard: offset or 0 for shard, offset in told.items()}
        for shard, offset in found.items():
            self._highest[shard] = max(offset, self._highest.get(shard, 0))
        return found

    def reached(self, ends: Callable[[], Mapping[int, int]], *, seconds: float) -> float | None:
        """Return how long it took until the group had reached the ends, or None when it did not within the time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            wanted, found = ends(), self.committed()
            if found is not None and all(found[shard] >= end for shard, end in wanted.items()):
                return time.monotonic() - began
            time.sleep(_POLL_SECONDS)
        return None

    def forget(self) -> None:
        """Begin anew: the group's offsets are deleted on purpose."""
        self.close()
        self._highest = {}

    def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            with suppress(Exception):
                self._consumer.close()
            self._consumer = None
