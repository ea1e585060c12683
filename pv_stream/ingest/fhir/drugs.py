"""How FHIR names a drug: a concept, or a Medication that is contained or in the same document, with its parts.

A Medication that another file holds says nothing here: only what the reference itself displays is looked up, by
exact name, and the drug is otherwise unknown.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.fhir.resources import Document, Entry, Resource, child, children, codings, text_of

#: A product is shared by many orders, and may be a circle: reading it stays bounded. No real one has so many parts.
_MEDICATIONS_MAX: Final = 20
_PARTS_MAX: Final = 50
#: And so many names altogether: thousands of orders may share one product.
_NAMES_MAX: Final = 200


def drug_codings(resource: Resource, entry: Entry, document: Document) -> Iterator[Coding]:
    """Yield how the drug of a resource is named: by the concept itself, else by the Medication and its parts."""
    concept = resource.get("medicationCodeableConcept")
    if isinstance(concept, dict):
        yield from concept_codings(concept)
    else:
        yield from islice(
            _referenced(resource.get("medicationReference"), entry, document, set()), _NAMES_MAX
        )


def concept_codings(concept: object) -> Iterator[Coding]:
    """Yield the codings of a CodeableConcept, and its text."""
    for system, code, display in codings(concept):
        yield Coding(system, code, display)
    if text := text_of(child(concept, "text")):
        yield Coding("", "", text)


def _referenced(reference: object, entry: Entry, document: Document, seen: set[int]) -> Iterator[Coding]:
    """Yield how a Medication or Substance is named, and its ingredients but those said not to be active."""
    target = document.find(reference, entry)
    if target is None:
        if display := text_of(child(reference, "display")):
            yield Coding("", "", display)
        return
    if id(target) in seen or len(seen) == _MEDICATIONS_MAX:
        return
    seen.add(id(target))
    found = document.find_entry(reference, entry)
    holder = entry if found is None else found
    yield from concept_codings(target.get("code"))
    for ingredient in islice(children(target, "ingredient"), _PARTS_MAX):
        if ingredient.get("isActive") is False:
            continue
        yield from concept_codings(ingredient.get("itemCodeableConcept"))
        if isinstance(ingredient.get("itemReference"), dict):
            yield from _referenced(ingredient["itemReference"], holder, document, seen)
