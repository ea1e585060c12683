"""JSON Schemas of everything that stands in a topic, generated from the models.

`pv-stream schemas --write` writes them to schemas/, and a test keeps the two the same.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pv_stream.codec.event_models import CLINICAL_EVENT
from pv_stream.domain.outputs import Alert, AlertAction, Case, DeadLetter, Recurrence
from pv_stream.domain.refusals import Refusal
from pv_stream.ledger.heads import TreeHeadRecord

_ALERT: Final = TypeAdapter(Alert)
_RECURRENCE: Final = TypeAdapter(Recurrence)
_CASE: Final = TypeAdapter(Case)
_ALERT_ACTION: Final = TypeAdapter(AlertAction)
_DEAD_LETTER: Final = TypeAdapter(DeadLetter)
_REFUSAL: Final = TypeAdapter(Refusal)
_TREE_HEAD: Final = TypeAdapter(TreeHeadRecord)

_DOCUMENTS: Final[Mapping[str, tuple[str, TypeAdapter[Any]]]] = {
    "clinical-event.v1.json": ("A record of pv.clinical.events.v1", CLINICAL_EVENT),
    "alert.v1.json": ("A record of pv.dress.alerts.v1", _ALERT),
    "recurrence.v1.json": ("A record of pv.dress.recurrences.v1", _RECURRENCE),
    "case.v1.json": ("A record of pv.dress.cases.v1", _CASE),
    "alert-action.v1.json": ("A record of pv.dress.alert-actions.v1", _ALERT_ACTION),
    "dead-letter.v1.json": ("A record of pv.dlq.v1", _DEAD_LETTER),
    "refusal.v1.json": ("A record of pv.rejects.v1", _REFUSAL),
    "tree-head.v1.json": ("A record of pv.tree-heads.v1", _TREE_HEAD),
}


class _Schema(GenerateJsonSchema):
    """Write exact decimals as the JSON numbers that they are in the topics."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Return the schema of an exact decimal."""
        del schema
        return {"type": "number"}


def schema_documents() -> dict[str, bytes]:
    """Return the JSON Schema documents by file name."""
    return {name: _document(title, adapter) for name, (title, adapter) in _DOCUMENTS.items()}


def _document(title: str, adapter: TypeAdapter[Any]) -> bytes:
    schema = adapter.json_schema(schema_generator=_Schema, mode="validation")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": title,
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
