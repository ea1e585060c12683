"""The Medications of a run: what its FHIR files say of each, for the orders on other lines and in other files.

A bulk export is one resource to a line, so an order and the Medication that it names are two documents. The inputs are
looked through once before any is read, and of each Medication (and Substance) only what names it and how strong it is
stays. What is kept does not depend on the order of files and lines: the highest version of a resource counts, and one
that says two things in one version says nothing. What would need more room than `bytes_max` is refused before anything
is read, since a drug that is known or unknown by the luck of its place would be a guess.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from pv_stream.errors import DataError
from pv_stream.ingest.fhir.resources import (
    CODINGS_MAX,
    REFERRED_TO,
    Entry,
    Place,
    Resource,
    child,
    children,
    is_modified,
    read_document,
    source_version,
    text_of,
)
from pv_stream.ingest.outcomes import RejectCode

MEDICATIONS_BYTES_MAX: Final = 64 * 1024 * 1024
#: A longer one is as one that is not there: reading it for each of many orders would take long. No real one comes near.
_ONE_BYTES_MAX: Final = 32 * 1024
#: What an entry takes beside its text.
_ENTRY_BYTES: Final = 512
_PARTS_MAX: Final = 201
_DECIMAL: Final = "decimal"
_MARKS: Final = tuple(f'"{kind}"'.encode() for kind in sorted(REFERRED_TO))


@dataclass(slots=True)
class _Kept:
    """Hold the text of the highest version of one resource; none where that version says two things, or too much."""

    version: int
    text: str | None
    bytes_charged: int


@dataclass(slots=True)
class Formulary:
    """Keep how Medications are named, by where they live.

    `bytes_charged` is the largest version of each: so it, too, is the same in every order.
    """

    bytes_max: int = MEDICATIONS_BYTES_MAX
    bytes_charged: int = 0
    _kept: dict[Place, _Kept] = field(default_factory=dict)

    def add_documents(
        self, contents: Iterable[bytes], record_bytes_max: int | None = None, server: str = ""
    ) -> None:
        """Keep the Medications of FHIR documents; what cannot be read is left to its reader to refuse.

        A document on its own holds all that it refers to, so nothing is kept of one. Raises DataError when all
        together need more than `bytes_max`.
        """
        documents = (content for content in contents)
        first = next(documents, None)
        for second in documents:
            if first is not None:
                self._add(first, record_bytes_max, server)
                first = None
            self._add(second, record_bytes_max, server)

    def _add(self, content: bytes, record_bytes_max: int | None, server: str) -> None:
        if not any(mark in content for mark in _MARKS):
            return
        document = read_document(content, record_bytes_max, server)
        if isinstance(document, RejectCode):
            return
        for entry in document.entries:
            has_place = entry.place.id and entry.place.server != "urn" and entry.container is None
            if entry.type in REFERRED_TO and has_place and not entry.is_deletion:
                self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        text = _text(entry)
        size = len(text) if text is not None else 0
        version = source_version(entry.resource)
        known = self._kept.get(entry.place)
        if known is None:
            self._charge(size + _ENTRY_BYTES)
            self._kept[entry.place] = _Kept(version, text, size)
            return
        self._charge(max(0, size - known.bytes_charged))
        known.bytes_charged = max(size, known.bytes_charged)
        if version > known.version:
            known.version, known.text = version, text
        elif version == known.version and text != known.text:
            known.text = None

    def _charge(self, size: int) -> None:
        self.bytes_charged += size
        if self.bytes_charged > self.bytes_max:
            message = (
                f"the Medications of the FHIR files need more room than fhir_medications_bytes_max "
                f"({self.bytes_max:,} bytes), so some orders would have a drug and others none: nothing was read. "
                "Set PV_STREAM_FHIR_MEDICATIONS_BYTES_MAX higher."
            )
            raise DataError(message)

    def medication_at(self, place: Place) -> Entry | None:
        """Return the Medication or Substance that lives at a place, when the inputs hold one that says one thing."""
        kept = self._kept.get(place)
        if kept is None or kept.text is None:
            return None
        resource = json.loads(kept.text, object_hook=_number)
        # No path of a document looks like this one, so what it contains is found under it alone.
        return Entry(resource, place, f"{place.server}/{place.type}/{place.id}")


def _text(entry: Entry) -> str | None:
    """Return what is kept of a resource, or None where its meaning may be another, or where it is too long."""
    if is_modified(entry.resource):
        return None
    whole = _slim(entry.resource)
    whole["contained"] = [
        _slim(contained)
        for contained in islice(children(entry.resource, "contained"), _PARTS_MAX)
        if text_of(contained.get("resourceType")) in REFERRED_TO
    ]
    text = json.dumps(whole, default=_decimal, separators=(",", ":"))
    return text if len(text) <= _ONE_BYTES_MAX else None


def _slim(resource: Resource) -> dict[str, Any]:
    return {
        "resourceType": text_of(resource.get("resourceType")),
        "id": text_of(resource.get("id")),
        "code": _concept(resource.get("code")),
        "ingredient": [_part(part) for part in islice(children(resource, "ingredient"), _PARTS_MAX)],
    }


def _part(part: Resource) -> dict[str, Any]:
    reference = part.get("itemReference")
    strength = part.get("strength")
    said = {
        "isActive": part.get("isActive") is not False,
        "itemCodeableConcept": _concept(part.get("itemCodeableConcept")),
        "itemReference": {name: text_of(child(reference, name)) for name in ("reference", "display")}
        if isinstance(reference, dict)
        else None,
        "strength": {name: _quantity(child(strength, name)) for name in ("numerator", "denominator")},
    }
    return {name: value for name, value in said.items() if value is not None}


def _concept(concept: object) -> dict[str, Any] | None:
    if not isinstance(concept, dict):
        return None
    stated = islice(children(concept, "coding"), CODINGS_MAX + 1)
    names = ("system", "code", "display")
    return {
        "coding": [{name: text_of(coding.get(name)) for name in names} for coding in stated],
        "text": text_of(concept.get("text")),
    }


def _quantity(quantity: object) -> dict[str, Any] | None:
    """Return a quantity, without its value where that is no number or only a bound."""
    if not isinstance(quantity, dict):
        return None
    value = quantity.get("value")
    is_number = isinstance(value, Decimal | int) and not isinstance(value, bool)
    texts = {name: text_of(quantity.get(name)) for name in ("unit", "code")}
    return ({"value": value} if is_number and not quantity.get("comparator") else {}) | texts


def _decimal(value: Decimal) -> dict[str, str]:
    return {_DECIMAL: str(value)}


def _number(members: dict[str, Any]) -> Any:
    """Return a number that was written as text, exactly; nothing that is kept has a member of this name."""
    return Decimal(members[_DECIMAL]) if _DECIMAL in members else members
