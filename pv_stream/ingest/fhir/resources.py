"""FHIR R4 documents: reading JSON exactly, the entries of a Bundle, and what references lead to.

Numbers stay exact decimals. A document of any shape is read without raising: accessors return what is there in the
expected shape, or nothing. Contained resources are entries of their own that know what holds them; a Bundle inside a
Bundle is opened; an entry that asks for a deletion carries what the document itself knows of the deleted resource.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final

from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.times import fhir_moment, stamp

Resource = dict[str, Any]

_FULL_URL: Final = re.compile(
    r"(https?://.+)/([A-Z][A-Za-z]{2,60})/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?"
)
_RELATIVE: Final = re.compile(r"([A-Z][A-Za-z]{2,60})/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?")
_URN: Final = re.compile(r"urn:(?:uuid|oid):[A-Za-z0-9.-]{1,80}")
_DIGITS_MAX: Final = 40
#: Concepts are shared by many resources: reading them stays linear.
CODINGS_MAX: Final = 100
#: Bundles inside bundles: a batch response holds one for each search. Deeper ones are refused.
_BUNDLES_DEEP_MAX: Final = 3
_BUNDLE: Final = "Bundle"
_VERSION_MAX: Final = 2**63 - 1
#: What orders refer to, and other documents of a run may hold.
REFERRED_TO: Final = frozenset({"Medication", "Substance"})


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
    """Hold one resource of a document, where it lives, and its path inside the document.

    `container` is the entry that contains it. `wrapper` is the entry of the Bundle as sent; `is_deletion` says that
    it asks for the resource to be deleted, which is empty when the document does not show it.
    """

    resource: Resource
    place: Place
    path: str
    container: "Entry | None" = None
    wrapper: Resource = field(default_factory=dict)
    is_deletion: bool = False

    @property
    def type(self) -> str:
        """Return the resource type."""
        return self.place.type


def nowhere(_place: Place) -> Entry | None:
    """Know no resource of other documents."""


@dataclass(slots=True)
class Document:
    """Hold the resources of one document; `bundle` is empty for a single resource.

    `server` is the base URL of those that state none. `refused` are the entries that are no resources, with their
    paths; `empty` counts those that hold none. `elsewhere` finds the Medications of other documents.
    """

    entries: list[Entry]
    bundle: Resource = field(default_factory=dict)
    refused: list[tuple[RejectCode, str]] = field(default_factory=list)
    empty: int = 0
    bundles: int = 0
    server: str = ""
    elsewhere: Callable[[Place], Entry | None] = nowhere
    _by_reference: dict[str, Entry] = field(default_factory=dict)
    _contained: dict[tuple[str, str], Resource] = field(default_factory=dict)
    _modified: dict[int, bool] = field(default_factory=dict)

    def index(self, url: str, entry: Entry) -> None:
        """Remember under which names an entry can be referred to; the first of a name stays."""
        place = entry.place
        if entry.container is not None:
            name = text_of(entry.resource.get("id"))
            self._contained.setdefault((entry.container.path, name), entry.resource)
            return
        for name in (url, f"{place.server}/{place.type}/{place.id}"):
            if name:
                self._by_reference.setdefault(name, entry)

    def find(self, reference: object, source: Entry) -> Resource | None:
        """Return the resource that a reference of an entry leads to: contained, or in this document."""
        text = text_of(child(reference, "reference"))
        if text.startswith("#"):
            holder = source if source.container is None else source.container
            return self._contained.get((holder.path, text[1:]))
        found = self.find_entry(reference, source)
        return None if found is None else found.resource

    def find_entry(self, reference: object, source: Entry) -> Entry | None:
        """Return the entry that a reference leads to: of this document, else a Medication of another one."""
        place = self.place_of(reference, source)
        if place is None:
            return None
        text = text_of(child(reference, "reference"))
        found = self._by_reference.get(text) or self.at(place)
        return self._fetched(place) if found is None and place.type in REFERRED_TO else found

    def _fetched(self, place: Place) -> Entry | None:
        """Return a resource of another document, with what it contains, from now on as one of this document's own."""
        entry = self.elsewhere(place)
        if entry is not None:
            self.index("", entry)
            for contained in children(entry.resource, "contained"):
                inner = Place(place.server, text_of(contained.get("resourceType")), "")
                self.index("", Entry(contained, inner, entry.path, container=entry))
        return entry

    def is_modified(self, resource: Resource) -> bool:
        """Tell of a resource of this document whether it may mean something else; thousands may refer to one."""
        if id(resource) not in self._modified:
            self._modified[id(resource)] = is_modified(resource)
        return self._modified[id(resource)]

    def at(self, place: Place) -> Entry | None:
        """Return the entry of a place."""
        return self._by_reference.get(f"{place.server}/{place.type}/{place.id}")

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


class TooDeepError(ValueError):
    """JSON that is nested too deeply to be read."""


def parse_json(content: bytes) -> Any:
    """Parse JSON with exact numbers.

    Raises ValueError for anything that is not JSON, or names a member twice, which says two things; TooDeepError for
    what is nested too deeply.
    """
    try:
        return json.loads(
            content.decode("utf-8-sig"),
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        message = "nested too deeply"
        raise TooDeepError(message) from None


def _object(members: list[tuple[str, Any]]) -> Resource:
    found = dict(members)
    if len(found) != len(members):
        message = "a member is named twice"
        raise ValueError(message)
    return found


def read_document(
    content: bytes, resource_bytes_max: int | None = None, server: str = ""
) -> Document | RejectCode:
    """Read one document, or say why it cannot be read.

    `server` is the base URL of the resources that state none. A Bundle may be longer than `resource_bytes_max`; none of
    its entries may, nor a resource on its own.
    """
    if not content.strip():
        return RejectCode.EMPTY
    try:
        root = parse_json(content)
    except TooDeepError:
        return RejectCode.TOO_COMPLEX
    except ValueError:
        return RejectCode.MALFORMED_JSON
    kind = text_of(child(root, "resourceType"))
    if not kind:
        return RejectCode.INVALID_RESOURCE
    is_long = resource_bytes_max is not None and len(content) > resource_bytes_max
    limit = resource_bytes_max if is_long else None
    if kind == _BUNDLE:
        document = Document([], root, server=server)
        _add_bundle(document, root, _BUNDLE, 1, limit)
        return document
    if limit is not None:
        return RejectCode.TOO_LARGE
    document = Document([], server=server)
    _add(document, root, {}, kind)
    return document


def _add_bundle(document: Document, bundle: Resource, path: str, depth: int, limit: int | None) -> None:
    document.bundles += 1
    deletions: list[tuple[Resource, str]] = []
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        document.refused.append((RejectCode.INVALID_RESOURCE, f"{path}.entry"))
    for number, wrapper in enumerate(entries if isinstance(entries, list) else ()):
        at = f"{path}.entry[{number}]"
        resource = child(wrapper, "resource")
        if not isinstance(wrapper, dict) or not (resource is None or isinstance(resource, dict)):
            document.refused.append((RejectCode.INVALID_RESOURCE, at))
        elif limit is not None and _is_longer(wrapper, limit):
            document.refused.append((RejectCode.TOO_LARGE, at))
        elif text_of(child(wrapper.get("request"), "method")) == "DELETE":
            deletions.append((wrapper, at))
        elif resource is None:
            document.empty += 1
        elif resource.get("resourceType") == _BUNDLE:
            if depth == _BUNDLES_DEEP_MAX:
                document.refused.append((RejectCode.INVALID_RESOURCE, at))
            else:
                _add_bundle(document, resource, at, depth + 1, limit)
        else:
            _add(document, resource, wrapper, at)
    _add_deletions(document, deletions)


def _add_deletions(document: Document, deletions: list[tuple[Resource, str]]) -> None:
    """Add the deletions last, when all that the document knows is known; the second of a resource says nothing."""
    servers = {entry.place.server for entry in document.entries if entry.place.server not in {"", "urn"}}
    server = servers.pop() if len(servers) == 1 else document.server
    deleted: set[Place] = set()
    for wrapper, path in deletions:
        entry = _deletion(document, wrapper, path, server)
        if entry.place in deleted:
            document.empty += 1
            continue
        document.entries.append(entry)
        if entry.place.id:
            deleted.add(entry.place)


def _add(document: Document, resource: Resource, wrapper: Resource, path: str) -> None:
    url = text_of(wrapper.get("fullUrl"))
    kind, identity = text_of(resource.get("resourceType")), text_of(resource.get("id"))
    place = _place(url, kind, identity, document.server)
    entry = Entry(resource, place, path, wrapper=wrapper)
    document.entries.append(entry)
    document.index(url, entry)
    for number, contained in enumerate(children(resource, "contained")):
        kind = text_of(contained.get("resourceType"))
        inner = Place(place.server, kind, f"{place.id}#{text_of(contained.get('id'))}")
        held = Entry(contained, inner, f"{path}.contained[{number}]", container=entry)
        document.entries.append(held)
        document.index("", held)


def _place(url: str, kind: str, identity: str, server: str) -> Place:
    if full := _FULL_URL.fullmatch(url):
        return Place(full[1], kind, identity or full[3])
    return Place("urn", kind, url) if _URN.fullmatch(url) else Place(server, kind, identity)


def _deletion(document: Document, wrapper: Resource, path: str, server: str) -> Entry:
    """Return the entry of a deletion with the resource that it deletes, when this document shows that.

    What request.url names relatively lives on `server`, the only one of the document.
    """
    url = text_of(child(wrapper.get("request"), "url"))
    named = (_FULL_URL.fullmatch(text_of(wrapper.get("fullUrl"))), _FULL_URL.fullmatch(url))
    full = next((match for match in named if match), None)
    relative = _RELATIVE.fullmatch(url)
    if full is not None:
        place = Place(full[1], full[2], full[3])
    elif relative is not None:
        place = Place(server, relative[1], relative[2])
    else:  # a deletion by a search says nobody's name
        place = Place("", url.partition("?")[0], "")
    shown = wrapper.get("resource")
    known = document.at(place) if place.id else None
    resource = shown if isinstance(shown, dict) else {} if known is None else known.resource
    return Entry(resource, place, path, wrapper=wrapper, is_deletion=True)


def _is_longer(value: object, bytes_max: int) -> bool:
    """Tell whether an entry is longer than a limit in its shortest form."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return True
    return len(text.encode(errors="replace")) > bytes_max


def source_version(resource: Resource) -> int:
    """Return the version of a resource: the microseconds of meta.lastUpdated, else an integer versionId, else 0."""
    meta = child(resource, "meta")
    updated = stamp(fhir_moment(child(meta, "lastUpdated"), None))
    if updated is not None:
        return max(updated, 0)
    text = text_of(child(meta, "versionId"))
    is_number = text.isascii() and text.isdigit() and len(text) < len(str(_VERSION_MAX))
    return int(text) if is_number else 0


def is_modified(resource: Resource) -> bool:
    """Tell whether anything in a resource may mean something else than it says: we know no modifier, so it is refused.

    FHIR R4, 2.5.1.3: an application that does not understand a modifier extension must not process its element.
    """
    waiting: list[object] = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("modifierExtension") or value.get("implicitRules"):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


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
    """Yield (system, code, display) of a CodeableConcept; nobody names one in more systems than are read."""
    for coding in islice(children(concept, "coding"), CODINGS_MAX):
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
