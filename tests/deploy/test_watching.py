"""Alert rules, dashboard and runbook name what there is, and nothing else."""

import re
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
import yaml
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.ingest.outcomes import MessageOutcome
from pv_stream.ingest.report import Report
from pv_stream.settings import Settings
from pv_stream.stream.listener_health import Answers, ListenerHealth
from pv_stream.stream.metrics import WorkerMetrics
from pv_stream.stream.progress import Progress
from tests.deploy.artefacts import ALERTS, ROOT, expressions, manifests, panels, rules

RUNBOOK: Final = (ROOT / "docs" / "runbook.md").read_text()
PARTS: Final = ("**Symptom.**", "**For patients.**", "**Look at.**", "**Do.**")
#: What Prometheus and its client add to ours.
ADDED: Final = {
    "up": {"job", "instance"},
    "process_start_time_seconds": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
}
WORDS_OF_PROMQL: Final = frozenset(
    {
        "absent",
        "sum",
        "min",
        "max",
        "count",
        "by",
        "or",
        "vector",
        "time",
        "rate",
        "increase",
        "changes",
        "histogram_quantile",
    }
)


def exported() -> dict[str, set[str]]:
    """Return the labels of each metric that a worker or a listener exports, by the name that Prometheus sees."""
    idle: Any = SimpleNamespace(
        progress=Progress(),
        open_shards={},
        shard_count=4,
        assigned=None,
        kafka_answers=True,
        lags=dict,
        why_not_ready=lambda: None,
    )
    found: dict[str, set[str]] = {}
    listener = ListenerHealth(
        Settings(),
        listening=cast("Any", SimpleNamespace(connections=0, is_stopping=False)),
        writing=cast("Any", SimpleNamespace(events=0, why_not_writing=lambda: None)),
        counted=Report(),
        answers=Answers(),
    )
    for family in (*WorkerMetrics(idle).collect(), *listener.collect()):
        labels = set(getattr(family, "_labelnames", ())) | {"instance", "job"}
        match family:
            case CounterMetricFamily():
                found[f"{family.name}_total"] = labels
            case HistogramMetricFamily():
                found[f"{family.name}_bucket"] = labels | {"le"}
            case _:
                found[family.name] = labels
    return found | ADDED


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_exist(name: str, expression: str) -> None:
    known = exported()
    without_words = re.sub(r'"[^"]*"', '""', expression)
    by = {
        label.strip() for found in re.findall(r"by \(([^)]*)\)", without_words) for label in found.split(",")
    }
    selected = set(re.findall(r"(\w+)=", without_words))
    bare = re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^]]*\]", "", without_words)
    asked = set(re.findall(r"[a-z_]{2,}", bare)) - WORDS_OF_PROMQL
    assert asked, f"{name} asks for nothing"
    assert asked <= known.keys()
    assert by | selected <= set.union(*(known[metric] for metric in asked))
    assert expression.count("(") == expression.count(")")


def test_words_of_labels_are_those_of_the_code() -> None:
    """A tier that is misspelt would never match, and nobody would be called."""
    tiers = {word for _, text in expressions() for word in re.findall(r'tier="(\w+)"', text)}
    noted = {word for _, text in expressions() for word in re.findall(r'acknowledged="(\w+)"', text)}
    assert tiers <= {tier.name.lower() for tier in Tier}
    assert noted <= {"yes", "no"}
    outcomes = {word for _, text in expressions() for word in re.findall(r'outcome="(\w+)"', text)}
    assert outcomes <= {outcome.value for outcome in MessageOutcome}
    codes = set(re.findall(r"code is `(\w+)` or\s+`(\w+)`", RUNBOOK)[0])
    assert codes <= {code.value for code in DeadLetterCode}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_who_is_called_and_has_a_runbook_entry(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert path == "docs/runbook.md"
    assert anchor in {heading.lower() for heading in re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)}
    assert rule["alert"].lower().startswith(anchor)


def test_each_runbook_entry_is_of_an_alert_and_says_all_four_things() -> None:
    named = {rule["alert"] for rule in rules()}
    _, *entries = re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)
    for entry in entries:
        heading = entry.splitlines()[0]
        assert heading in named
        assert [part for part in PARTS if part in entry] == list(PARTS), heading


def test_bounds_agree_with_the_defaults() -> None:
    """What a rule says of the settings is what they are."""
    text = {rule["alert"]: rule["expr"] for rule in rules()}
    settings = Settings()
    assert text["PvStreamEventsWait"].endswith(f"> {settings.ready_lag_seconds_max:g}")
    assert float(text["PvStreamClockStands"].rpartition("> ")[2]) > 2 * settings.clock_interval_seconds
    assert float(text["PvStreamCommitsSlow"].rpartition("> ")[2]) < settings.transaction_timeout_seconds


def test_an_unwatched_shard_is_seen_of_logs_with_any_number_of_shards_and_when_none_is_open() -> None:
    """The number is what the workers say, and what is counted is 0 where there is nothing to count."""
    (expression,) = (rule["expr"] for rule in rules() if rule["alert"] == "PvStreamShardUnwatched")
    wanted, _, watched = expression.partition(" > ")
    assert wanted == "max(pv_stream_shards)"
    assert watched.endswith(" or vector(0))")
    assert re.findall(r"\d+", expression) == ["0"]


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        assert panel["description"]
        taken |= cells


@pytest.mark.parametrize("file", ["prometheus.yml", "kubernetes.yml"])
def test_scrape_jobs_have_the_names_that_the_rules_ask_for(file: str) -> None:
    asked = {word for _, text in expressions() for word in re.findall(r'job="([\w-]+)"', text)}
    jobs = {
        job["job_name"]: job for job in yaml.safe_load((ALERTS.parent / file).read_text())["scrape_configs"]
    }
    assert set(jobs) == asked
    components = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: each["metadata"][
            "name"
        ]
        for each in manifests()
        if each["kind"] == "StatefulSet"
    }
    if file == "kubernetes.yml":
        kept = {name: job["relabel_configs"][0]["regex"] for name, job in jobs.items()}
        chosen = {
            name: {each for each in components if re.fullmatch(regex, f"pv-stream;{each}")}
            for name, regex in kept.items()
        }
        assert chosen == {"pv-stream": {"worker"}, "pv-stream-listener": {"ingest-mllp", "ingest-http"}}
