"""Health and metrics of a listener: ready while it can write, counted by words that nobody sent."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pv_stream.settings import Settings
from pv_stream.stream.durable_writer import DurableWriter
from pv_stream.stream.health import HealthServer
from pv_stream.stream.listener_health import Answers, ListenerHealth

DOCUMENT = Path(__file__).parents[3] / "docs" / "listeners.md"


def health(*, stopping: bool = False, gone: bool = False, why_not: str | None = None) -> ListenerHealth:
    """Return the health of a listener that took some messages in, all well unless told otherwise."""
    answers = Answers()
    for word, seconds in (("AA", 0.02), ("AA", 0.3), ("AR", 0.004)):
        answers.add(word, seconds)
    report = SimpleNamespace(
        messages=Counter(accepted=2, rejected=1),
        held=Counter(missing_unit=1),
        rejected=Counter(malformed_hl7=1),
        entries_rejected=Counter(missing_patient=3),
    )
    made = ListenerHealth(
        Settings(),
        listening=cast("Any", SimpleNamespace(connections=7, is_stopping=stopping)),
        writing=cast("Any", SimpleNamespace(events=5, why_not_writing=lambda: why_not)),
        counted=report,
        answers=answers,
    )
    made._watch._gone_since = 1.0 if gone else None
    return made


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        pytest.param(health(), None, id="all well"),
        pytest.param(health(stopping=True), "the listener is stopping", id="stopping"),
        pytest.param(health(gone=True), "Kafka does not answer", id="no Kafka"),
        pytest.param(health(why_not="Kafka takes no writes"), "Kafka takes no writes", id="no writes"),
    ],
)
def test_a_listener_is_ready_while_it_can_write(listener: ListenerHealth, reason: str | None) -> None:
    assert listener.why_not_ready() == reason
    server = HealthServer(listener)
    assert server.answer("GET", "/readyz").status == (200 if reason is None else 503)
    assert server.answer("GET", "/livez").status == 200
    assert f"pv_ingest_ready {1.0 if reason is None else 0.0}" in listener.metrics().decode()


def test_a_writer_says_why_what_waits_is_not_written() -> None:
    """Who has nothing to write is not blamed for an outage that is long over."""

    async def scenario() -> list[str | None]:
        writer: Any = DurableWriter(Settings(), name="x", log=cast("Any", SimpleNamespace()))
        writer._runner = asyncio.create_task(asyncio.Event().wait())
        said = [writer.why_not_writing()]
        writer._away_since = 1.0
        said.append(writer.why_not_writing())
        writer._in_hand = ["a message"]
        said.append(writer.why_not_writing())
        writer._runner.cancel()
        await asyncio.wait({writer._runner})
        return [*said, writer.why_not_writing()]

    assert asyncio.run(scenario()) == [
        None,
        None,
        "Kafka takes no writes",
        "the writer of the input log has ended",
    ]


def test_the_document_names_every_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| (pv_ingest_\w+) \| (\w+)[^|]*\|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    found = {}
    for family in text_string_to_metric_families(health().metrics().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if name.startswith("pv_ingest_"):
            found[name] = (family.type, frozenset(labels))
    assert found == documented


def test_answers_are_counted_with_how_long_they_took() -> None:
    lines = health().metrics().decode().splitlines()
    assert 'pv_ingest_answers_total{answer="AA"} 2.0' in lines
    assert 'pv_ingest_answers_total{answer="AR"} 1.0' in lines
    assert 'pv_ingest_answer_seconds_bucket{le="0.025"} 2.0' in lines
    assert 'pv_ingest_rejected_messages_total{code="malformed_hl7"} 1.0' in lines
    assert 'pv_ingest_holds_total{code="missing_unit"} 1.0' in lines
    assert "pv_ingest_events_total 5.0" in lines
    assert "pv_ingest_connections 7.0" in lines
