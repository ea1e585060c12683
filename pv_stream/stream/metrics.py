"""The metrics of a worker, in the text format of Prometheus. What each means is told in docs/operation.md.

Collected when somebody asks, from what the worker knows anyway. A label holds a number of a shard, a word of a fixed
vocabulary, or the version of a program or a rulebook: never anything about a patient.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from pv_stream import __version__
from pv_stream.domain.assessment import Tier
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.standing import StandingCount
from pv_stream.stream.lag import Lag
from pv_stream.stream.progress import AlertWords, Distribution, Progress
from pv_stream.stream.shard_task import ShardTask

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_MICROSECONDS: Final = 1_000_000


@runtime_checkable
class ReadsRules(Protocol):
    """A fold that reads its shard under a rulebook and knows what stands in it."""

    @property
    def rulebook(self) -> Rulebook:
        """Return the rulebook in force."""

    @property
    def standing(self) -> StandingCount:
        """Return the count of what stands and waits for people."""


class Reported(Protocol):
    """What metrics are made of."""

    @property
    def progress(self) -> Progress:
        """Return what was done since the start."""

    @property
    def open_shards(self) -> Mapping[int, ShardTask]:
        """Return each open shard."""

    @property
    def shard_count(self) -> int:
        """Return how many shards the log has."""

    @property
    def assigned(self) -> frozenset[int] | None:
        """Return the shards that the group gave to this worker."""

    def lags(self) -> Mapping[int, Lag]:
        """Return how far each open shard is behind."""

    @property
    def kafka_answers(self) -> bool:
        """Tell whether Kafka answered when it was last asked."""

    def why_not_ready(self) -> str | None:
        """Return why the worker is not ready, or None when it is."""


class WorkerMetrics(Collector):
    """Make the metrics of one worker."""

    def __init__(self, reported: Reported) -> None:
        """Collect from a worker."""
        self._reported = reported
        self._registry = CollectorRegistry()
        self._registry.register(self)
        if sys.platform == "linux":  # it reads /proc
            ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics as they are now."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is collected is not asked for at registration, when there is no worker yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return every metric."""
        yield from _of_worker(self._reported)
        yield from _of_shards(self._reported.open_shards, self._reported.lags())
        yield from _of_people(self._reported.open_shards)
        yield from _of_work(self._reported.progress)
        yield from _of_outputs(self._reported.progress)
        yield from _distributions(self._reported.progress)


def _of_worker(reported: Reported) -> Iterable[Metric]:
    build = GaugeMetricFamily("pv_stream_build_info", "What runs.", labels=("version", "engine_version"))
    build.add_metric((__version__, str(ENGINE_VERSION)), 1)
    yield build
    yield _gauge("ready", "1 when /readyz says yes.", reported.why_not_ready() is None)
    yield _gauge("kafka_up", "1 when Kafka answered when it was last asked.", reported.kafka_answers)
    yield _gauge("shards", "Shards of the log: partitions of the input topic.", reported.shard_count)
    yield _gauge(
        "shards_assigned", "Shards that the group gave to this worker.", len(reported.assigned or ())
    )
    yield _gauge("shards_open", "Shards that are open: restored and processed.", len(reported.open_shards))


def _of_shards(shards: Mapping[int, ShardTask], lags: Mapping[int, Lag]) -> Iterable[Metric]:
    lag = _by_shard("lag_records", "Positions of the input that are not processed yet.")
    oldest = _by_shard("oldest_unprocessed_seconds", "Age of the oldest event that is not processed.")
    position = _by_shard("position", "Position that the next transaction begins at.")
    waiting = _by_shard("waiting_records", "Records that were fetched and are not in a transaction yet.")
    patients = _by_shard("patients", "Patients in memory.")
    clock = _by_shard("clock_timestamp_seconds", "The shard's clock.")
    rules = _by_shard("rulebook_info", "The rulebook in force.", "version", "digest")
    for shard, task in sorted(shards.items()):
        label = (str(shard),)
        if shard in lags:
            oldest.add_metric(label, lags[shard].oldest_seconds)
            if (records := lags[shard].records) is not None:
                lag.add_metric(label, records)
        position.add_metric(label, task.next_position)
        waiting.add_metric(label, task.waiting_records)
        patients.add_metric(label, task.fold.patients)
        if (clock_us := task.fold.clock) is not None:
            clock.add_metric(label, clock_us / _MICROSECONDS)
        if isinstance(task.fold, ReadsRules):
            rules.add_metric((*label, task.fold.rulebook.version, task.fold.rulebook.digest), 1)
    return lag, oldest, position, waiting, patients, clock, rules


def _of_people(shards: Mapping[int, ShardTask]) -> Iterable[Metric]:
    standing = [task.fold.standing.now() for task in shards.values() if isinstance(task.fold, ReadsRules)]
    alerts = GaugeMetricFamily(
        "pv_stream_open_alerts",
        "Alerts that stand, and whether somebody took note of the tier that stands.",
        labels=("tier", "acknowledged"),
    )
    for tier in Tier:
        for word, noted in (("no", False), ("yes", True)):
            count = sum(each.alerts.get((tier, noted), 0) for each in standing)
            alerts.add_metric((tier.name.lower(), word), count)
    yield alerts
    yield _gauge("open_holds", "Held values that nobody has settled.", sum(each.holds for each in standing))
    oldest = [each.oldest_hold for each in standing if each.oldest_hold is not None]
    since = GaugeMetricFamily(
        "pv_stream_oldest_hold_timestamp_seconds", "When the longest waiting of them was received."
    )
    if oldest:
        since.add_metric((), min(oldest) / _MICROSECONDS)
    yield since


def _of_work(progress: Progress) -> Iterable[Metric]:
    records = _counter("records", "Input records in committed transactions.", "shard")
    for shard, count in sorted(progress.records.items()):
        records.add_metric((str(shard),), count)
    yield records
    for name, text, count in (
        ("clock_records", "Clock records written.", progress.clock_records),
        ("rebalances", "Generations in which this worker opened its shards.", progress.rebalances),
        ("dropped_runs", "Fetches of an old generation: their records come again.", progress.dropped_runs),
        ("group_offsets_behind", "Shards whose group offset was behind.", progress.offsets_behind),
    ):
        counter = _counter(name, text)
        counter.add_metric((), count)
        yield counter


def _of_outputs(progress: Progress) -> Iterable[Metric]:
    outputs = _counter("outputs", "Output records in committed transactions.", "stream")
    for stream, count in sorted(progress.outputs.items()):
        outputs.add_metric((stream.value,), count)
    yield outputs
    alerts = _counter("alerts", "Alert records among them.", *AlertWords._fields)
    for words, count in sorted(progress.alerts.items()):
        alerts.add_metric(words, count)
    yield alerts
    letters = _counter("dead_letters", "Dead letters among them.", "code")
    for code, count in sorted(progress.dead_letters.items()):
        letters.add_metric((code,), count)
    yield letters
    newest = GaugeMetricFamily(
        "pv_stream_dead_letter_newest_timestamp_seconds", "When this worker wrote its latest dead letter."
    )
    if progress.dead_letter_newest_s is not None:
        newest.add_metric((), progress.dead_letter_newest_s)
    yield newest


def _distributions(progress: Progress) -> Iterable[Metric]:
    yield _histogram("run_records", "Input records of a transaction.", progress.run_records)
    yield _histogram("compute_seconds", "Computing of a transaction.", progress.compute_seconds)
    yield _histogram("commit_seconds", "Writing and committing of a transaction.", progress.commit_seconds)
    yield _histogram("restore_seconds", "Restoring the memory of a shard.", progress.restore_seconds)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pv_stream_{name}", text, value=float(value))


def _by_shard(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pv_stream_shard_{name}", text, labels=("shard", *labels))


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"pv_stream_{name}", text, labels=labels)


def _histogram(name: str, text: str, values: Distribution) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"pv_stream_{name}", text, buckets=values.buckets(), sum_value=values.sum)
