"""FHIR R4 documents: reading JSON exactly, the entries of a Bundle, and what references lead to.

Numbers stay exact decimals. A document of any shape is read without raising: accessors return what is there in the
expected shape, or nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pv_stream.ingest.outcomes import RejectCode

Resource = dict[str, Any]

_FULL_URL: Final = re.compile(
    r"(https?://.+)/([A-Z][A-Za-z]{2,60})/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?"
)
_RELATIVE: Final = re.compile(r"([A-Z][A-Za-z]{2,60})/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?")
_URN: Final = re.compile(r"urn:(?:uuid|oid):[A-Za-z0-9.-]{1,80}")
_DIGITS_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class NoMeasurement:
    """Hold a number as written that is too long or too large for any measurement: whatever it is of is held."""

    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where a resource lives: the base URL of its server (empty: not stated), its type and its id."""

    server: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one resource of a document, where it lives, and its path inside the document."""

    resource: Resource
    place: Place
    path: str

    @property
    def type(self) -> str:
        """Return the resource type."""
        return self.place.type


@dataclass(slots=True)
class Document:
    """Hold the resources of one document; `bundle` is empty for a single resource."""

    entries: list[Entry]
    bundle: Resource = field(default_factory=dict)
    _by_reference: dict[str, Entry] = field(default_factory=dict)

    def index(self, url: str, entry: Entry) -> None:
        """Remember under which names an entry can be referred to; the first of a name stays."""
        place = entry.place
        for name in (url, f"{place.server}/{place.type}/{place.id}"):
            if name:
                self._by_reference.setdefault(name, entry)

    def find(self, reference: object, source: Entry) -> Resource | None:
        """Return the resource that a reference of an entry leads to: contained, or in this document."""
        text = text_of(child(reference, "reference"))
        if text.startswith("#"):
            return next((r for r in children(source.resource, "contained") if r.get("id") == text[1:]), None)
        place = self.place_of(reference, source)
        if place is None:
            return None
        found = self._by_reference.get(text) or self._by_reference.get(
            f"{place.server}/{place.type}/{place.id}"
        )
        return None if found is None else found.resource

    def place_of(self, reference: object, source: Entry) -> Place | None:
        """Return where a reference leads: relative ones live on the server of the entry that holds them."""
        text = text_of(child(reference, "reference"))
        if absolute := _FULL_URL.fullmatch(text):
            return Place(absolute[1], absolute[2], absolute[3])
        if relative := _RELATIVE.fullmatch(text):
            return Place(source.place.server, relative[1], relative[2])
        if _URN.fullmatch(text):
            target = self._by_reference.get(text)
            return Place("urn", "" if target is None else target.type, text)
        return None


def parse_json(content: bytes) -> Any:
    """Parse JSON with exact numbers; raises ValueError for anything that is not JSON."""
    try:
        return json.loads(
            content.decode("utf-8-sig"), parse_float=_decimal, parse_int=_integer, parse_constant=_constant
        )
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None


def read_document(content: bytes) -> Document | RejectCode:
    """Read one document, or say why it cannot be read."""
    if not content.strip():
        return RejectCode.EMPTY
    try:
        root = parse_json(content)
    except ValueError:
        return RejectCode.MALFORMED_JSON
    kind = root.get("resourceType") if isinstance(root, dict) else None
    if not isinstance(kind, str):
        return RejectCode.INVALID_RESOURCE
    if kind != "Bundle":
        document = Document([])
        _add(document, root, "", kind)
        return document
    document = Document([], root)
    for number, entry in enumerate(children(root, "entry")):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            _add(document, resource, text_of(entry.get("fullUrl")), f"Bundle.entry[{number}]")
    return document


def _add(document: Document, resource: Resource, url: str, path: str) -> None:
    kind = text_of(resource.get("resourceType"))
    identity = text_of(resource.get("id"))
    if full := _FULL_URL.fullmatch(url):
        place = Place(full[1], kind, identity or full[3])
    elif _URN.fullmatch(url):
        place = Place("urn", kind, url)
    else:
        place = Place("", kind, identity)
    entry = Entry(resource, place, path)
    document.entries.append(entry)
    document.index(url, entry)
    for number, contained in enumerate(children(resource, "contained")):
        contained_kind = text_of(contained.get("resourceType"))
        if kind == "DiagnosticReport" and contained_kind == "Observation":
            inner = Place(place.server, contained_kind, f"{place.id}#{text_of(contained.get('id'))}")
            document.entries.append(Entry(contained, inner, f"{path}.contained[{number}]"))


def child(value: object, name: str) -> Any:
    """Return a member of an object, or None when there is no such object."""
    return value.get(name) if isinstance(value, dict) else None


def children(value: object, name: str) -> Iterator[Resource]:
    """Yield the objects of a list member."""
    members = child(value, name)
    yield from (member for member in members if isinstance(member, dict)) if isinstance(members, list) else ()


def text_of(value: object) -> str:
    """Return a text without outer spaces, or an empty one for anything else."""
    return value.strip() if isinstance(value, str) else ""


def codings(concept: object) -> Iterator[tuple[str, str, str]]:
    """Yield (system, code, display) of a CodeableConcept."""
    for coding in children(concept, "coding"):
        yield text_of(coding.get("system")), text_of(coding.get("code")), text_of(coding.get("display"))


def _decimal(text: str) -> Decimal | NoMeasurement:
    if len(text) > _DIGITS_MAX:
        return NoMeasurement(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        return NoMeasurement(text)
    return NoMeasurement(text) if value and abs(value.adjusted()) > _DIGITS_MAX else value


def _integer(text: str) -> int | NoMeasurement:
    return NoMeasurement(text) if len(text) > _DIGITS_MAX else int(text)


def _constant(_: str) -> float:
    message = "not a number of JSON"
    raise ValueError(message)
