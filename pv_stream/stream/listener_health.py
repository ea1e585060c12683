"""Health and metrics of a listener (`ingest-mllp`, `ingest-http`): the paths of a worker's, other numbers.

A listener is ready while what it takes in can be written. It is asked what it answered, how its messages ended and how
long an answer took; of a message only words of fixed vocabularies are kept: an acknowledgement code, a status, a code
of docs/ingest.md. What each metric means is told in docs/listeners.md.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pv_stream import __version__
from pv_stream.settings import Settings
from pv_stream.stream.broker_watch import BrokerWatch
from pv_stream.stream.progress import Distribution

_ANSWER_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)


class Counted(Protocol):
    """How the messages ended that were read: by outcome, and by code for what was held and refused."""

    @property
    def messages(self) -> Mapping[str, int]:
        """Return how many messages were accepted, held and rejected."""

    @property
    def held(self) -> Mapping[str, int]:
        """Return how many values are held, by code."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """Return how many messages were refused whole, by code."""

    @property
    def entries_rejected(self) -> Mapping[str, int]:
        """Return how many parts of the other messages were refused, by code."""


class Listening(Protocol):
    """Whoever takes messages in."""

    @property
    def connections(self) -> int:
        """Return how many connections are open."""

    @property
    def is_stopping(self) -> bool:
        """Tell whether no more is taken in."""


class Writing(Protocol):
    """Whoever writes the events."""

    events: int

    def why_not_writing(self) -> str | None:
        """Return why nothing is written, or None."""


class Answers:
    """Count what senders were told, and how long they waited for it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.told: Counter[str] = Counter()
        self.seconds = Distribution(_ANSWER_SECONDS)

    def add(self, answer: str, seconds: float) -> None:
        """Count an answer by its word, an acknowledgement code or a status."""
        self.told[answer] += 1
        self.seconds.add(seconds)


class ListenerHealth(Collector):
    """Say whether a listener is ready, and make its metrics."""

    def __init__(
        self,
        settings: Settings,
        *,
        listening: Listening,
        writing: Writing,
        counted: Counted,
        answers: Answers,
    ) -> None:
        """Look at a listener."""
        self._watch = BrokerWatch(settings, lambda _line: None)  # the writer says it
        self._listening = listening
        self._writing = writing
        self._counted = counted
        self._answers = answers
        self._registry = CollectorRegistry()
        self._registry.register(self)
        if sys.platform == "linux":  # it reads /proc
            ProcessCollector(registry=self._registry)

    def why_not_live(self) -> str | None:
        """Return None: a listener that cannot go on ends by itself, and one whose loop stands does not answer."""

    def why_not_ready(self) -> str | None:
        """Return why no message can be taken in, or None when it can."""
        if self._listening.is_stopping:
            return "the listener is stopping"
        if self._watch.gone:
            return "Kafka does not answer"
        return self._writing.why_not_writing()

    def metrics(self) -> bytes:
        """Return all metrics as they are now."""
        return generate_latest(self._registry)

    async def keep_looking(self) -> None:
        """Ask Kafka again and again whether it answers."""
        await self._watch.keep_looking()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is collected is not asked for at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return every metric."""
        build = GaugeMetricFamily("pv_ingest_build_info", "What runs.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build
        for name, text, value in (
            ("ready", "1 when /readyz says yes.", self.why_not_ready() is None),
            ("kafka_up", "1 when Kafka answered when it was last asked.", not self._watch.gone),
            ("connections", "Connections that are open.", self._listening.connections),
        ):
            yield GaugeMetricFamily(f"pv_ingest_{name}", text, value=float(value))
        counted = self._counted
        for name, text, label, counts in (
            ("answers", "What senders were told.", "answer", self._answers.told),
            ("messages", "Messages that were read.", "outcome", counted.messages),
            ("rejected_messages", "Messages that were refused whole.", "code", counted.rejected),
            ("rejected_entries", "Parts refused of other messages.", "code", counted.entries_rejected),
            ("holds", "Values that were read but not believed.", "code", counted.held),
        ):
            yield _counter(name, text, label, counts)
        events = CounterMetricFamily("pv_ingest_events", "Events that are durably written.")
        events.add_metric((), self._writing.events)
        yield events
        seconds = self._answers.seconds
        yield HistogramMetricFamily(
            "pv_ingest_answer_seconds",
            "From a whole message to its answer.",
            buckets=seconds.buckets(),
            sum_value=seconds.sum,
        )


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    counter = CounterMetricFamily(f"pv_ingest_{name}", text, labels=(label,))
    for word, count in sorted(counts.items()):
        counter.add_metric((word,), count)
    return counter
