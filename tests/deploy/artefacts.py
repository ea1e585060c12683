"""What pv_stream is deployed with, as the tests read it."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCS: Final = tuple(ROOT / "docs" / f"{name}.md" for name in ("deploy", "operation", "runbook", "security"))
#: Everything that people read: whatever command it names must exist.
GUIDES: Final = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(DEPLOY.rglob("README.md")),
)
ALERTS: Final = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD: Final = DEPLOY / "grafana" / "pv-stream.json"
COMPOSE: Final = DEPLOY / "compose" / "compose.yaml"
CONTAINERFILE: Final = DEPLOY / "container" / "Containerfile"


def rules() -> list[dict[str, Any]]:
    """Return every alert rule."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return every panel of the dashboard that shows something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of each rule and each line of a panel."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@cache
def manifests() -> list[dict[str, Any]]:
    """Return every Kubernetes object."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text()) if each is not None]


def of_kind(kind: str, name: str | None = None) -> dict[str, Any]:
    """Return the one Kubernetes object of a kind, or of a kind and a name."""
    (found,) = (
        each
        for each in manifests()
        if each["kind"] == kind and name in {None, each.get("metadata", {}).get("name")}
    )
    return found


def pods() -> dict[str, dict[str, Any]]:
    """Return the specification of each pod by the name of what makes it."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests()
        if "template" in each.get("spec", {})
    }


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a pod's container, with what is only known in the cluster left as it is described."""
    (container,) = pod["containers"]
    told: dict[str, Any] = dict(of_kind("ConfigMap")["data"])
    for entry in container["env"]:
        if entry["name"].startswith("PV_STREAM_"):
            told[entry["name"]] = entry.get("value", entry.get("valueFrom"))
    return told


def arguments(pod: dict[str, Any]) -> list[str]:
    """Return the words of the command that a pod's container runs, with the variables of the pod left as they stand.

    The operator's pod only waits; it has none.
    """
    (container,) = pod["containers"]
    words: list[str] = container.get("args", [])
    return words


def texts() -> dict[str, str]:
    """Return every file of deploy/ and every document about it, by its path."""
    files = [*(path for path in DEPLOY.rglob("*") if path.is_file() and "check" not in path.parts), *DOCS]
    return {str(path.relative_to(ROOT)): path.read_text() for path in files}


def code_blocks(text: str) -> str:
    """Return what stands in a document as code."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fenced, *inline])
