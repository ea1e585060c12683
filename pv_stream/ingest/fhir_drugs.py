"""How FHIR names a drug: a concept, or a Medication that is contained or in the same document, with its parts.

A Medication that another file holds says nothing here: only what the reference itself displays is looked up, by
exact name, and the drug is otherwise unknown.
"""

from collections.abc import Iterator
from typing import Final

from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.fhir import Document, Entry, Resource, child, children, codings, text_of

#: A product of products: a kit that holds packs that hold ingredients. Deeper ones are circles.
_PARTS_DEEP_MAX: Final = 4


def drug_codings(resource: Resource, entry: Entry, document: Document) -> Iterator[Coding]:
    """Yield how the drug of a resource is named: by the concept itself, else by the Medication and its parts."""
    concept = resource.get("medicationCodeableConcept")
    if isinstance(concept, dict):
        yield from concept_codings(concept)
    else:
        yield from _referenced(resource.get("medicationReference"), entry, document, _PARTS_DEEP_MAX)


def concept_codings(concept: object) -> Iterator[Coding]:
    """Yield the codings of a CodeableConcept, and its text."""
    for system, code, display in codings(concept):
        yield Coding(system, code, display)
    if text := text_of(child(concept, "text")):
        yield Coding("", "", text)


def _referenced(reference: object, entry: Entry, document: Document, depth: int) -> Iterator[Coding]:
    """Yield how a Medication or Substance is named, and its ingredients but those said not to be active."""
    target = document.find(reference, entry)
    if target is None:
        if display := text_of(child(reference, "display")):
            yield Coding("", "", display)
        return
    found = document.find_entry(reference, entry)
    holder = entry if found is None else found
    yield from concept_codings(target.get("code"))
    for ingredient in children(target, "ingredient"):
        if ingredient.get("isActive") is False:
            continue
        yield from concept_codings(ingredient.get("itemCodeableConcept"))
        if depth > 0 and isinstance(ingredient.get("itemReference"), dict):
            yield from _referenced(ingredient["itemReference"], holder, document, depth - 1)
