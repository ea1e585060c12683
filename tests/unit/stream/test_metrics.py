"""The metrics: those that docs/operation.md names, as Prometheus wants them, and nothing of a patient."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import Event
from pv_stream.shard.fold import ShardFold
from pv_stream.stream.lag import Lag
from pv_stream.stream.metrics import WorkerMetrics
from pv_stream.stream.progress import Progress
from tests.builders import RULEBOOK, at, dose, eosinophils, held, with_patient
from tests.shards import clock, new_shard, raw

DOCUMENT = Path(__file__).parents[3] / "docs" / "operation.md"
CANARY = "canary-name-smith"
LOG: list[Event | bytes] = [
    clock(1),
    *(
        with_patient(each, CANARY)
        for each in (dose("imatinib", at(2)), eosinophils(1690, at(15)), held(HoldCode.MISSING_UNIT, at(16)))
    ),
    f"no event of {CANARY}".encode(),
]


def reported() -> tuple[Any, ShardFold]:
    """Return a worker with one shard that processed a log, as the metrics see it."""
    fold, progress = new_shard(), Progress()
    run = fold.process(raw(LOG))
    fold.commit(run)
    progress.committed(3, len(LOG), run.outputs, compute_seconds=0.2, commit_seconds=0.04)
    task = SimpleNamespace(next_position=5, waiting_records=0, fold=fold)
    worker = SimpleNamespace(
        progress=progress,
        open_shards={3: task},
        shard_count=6,
        assigned=frozenset({3, 4}),
        kafka_answers=True,
        lags=lambda: {3: Lag(2, 1.5, None)},
        why_not_ready=lambda: "shard 4 is being opened",
    )
    return cast("Any", worker), fold


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and labels of each metric in the table of the document."""
    rows = re.findall(r"^\| (pv_stream_\w+) \| (\w+)[^|]*\|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def test_the_document_names_every_metric_with_its_type_and_labels() -> None:
    worker, _ = reported()
    found = {}
    for family in text_string_to_metric_families(WorkerMetrics(worker).text().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if name.startswith("pv_stream_"):
            found[name] = (family.type, frozenset(labels))
    assert found == documented()


def test_a_worker_is_told_in_numbers() -> None:
    worker, fold = reported()
    found = samples(WorkerMetrics(worker).text().decode())
    assert found["pv_stream_ready"] == [({}, 0.0)]
    assert found["pv_stream_shards"] == [({}, 6.0)]
    assert found["pv_stream_shards_assigned"] == [({}, 2.0)]
    assert found["pv_stream_shard_lag_records"] == [({"shard": "3"}, 2.0)]
    assert found["pv_stream_shard_oldest_unprocessed_seconds"] == [({"shard": "3"}, 1.5)]
    assert found["pv_stream_shard_clock_timestamp_seconds"] == [({"shard": "3"}, at(1, 0) / 1_000_000)]
    assert found["pv_stream_shard_rulebook_info"] == [
        ({"shard": "3", "version": RULEBOOK.version, "digest": RULEBOOK.digest}, 1.0)
    ]
    standing = fold.standing.now()
    assert sum(value for _, value in found["pv_stream_open_alerts"]) == sum(standing.alerts.values()) == 2
    assert found["pv_stream_open_holds"] == [({}, 1.0)]
    assert found["pv_stream_dead_letters_total"] == [({"code": "malformed_json"}, 1.0)]
    assert found["pv_stream_commit_seconds_sum"] == [({}, 0.04)]


def test_an_end_that_is_not_known_is_no_number() -> None:
    worker, _ = reported()
    worker.lags = lambda: {3: Lag(None, 0.0, None)}
    assert "pv_stream_shard_lag_records" not in samples(WorkerMetrics(worker).text().decode())


def test_nothing_of_a_patient_is_in_the_metrics() -> None:
    worker, _ = reported()
    assert CANARY not in WorkerMetrics(worker).text().decode()
