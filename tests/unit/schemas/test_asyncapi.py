"""The AsyncAPI document names the topics that exist and the schemas that are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pv_stream.stream.topics import Topic

SCHEMAS = Path(__file__).parents[3] / "schemas"
INTERNAL = {Topic.STATE}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return document


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)


def test_its_channels_are_the_public_topics() -> None:
    """A consumer finds every topic that outputs go to, and no other."""
    addresses = {channel["address"] for channel in _document()["channels"].values()}
    assert addresses == {topic.value for topic in Topic} - INTERNAL


def test_every_reference_leads_somewhere() -> None:
    """Local references resolve inside the document, the others to files beside it."""
    document = _document()
    references = list(_references(document))
    assert references
    for reference in references:
        if reference.startswith("#/"):
            node = document
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (SCHEMAS / reference).is_file(), reference


def test_every_generated_schema_is_a_payload() -> None:
    """No schema stands in the folder that the document does not use."""
    used = {
        reference.removeprefix("./") for reference in _references(_document()) if reference.startswith("./")
    }
    assert used == {path.name for path in SCHEMAS.glob("*.json")}
