"""How FHIR names a drug: a concept, or a Medication that is contained, in the same document or in another of the run.

Of one that is not found only what the reference itself displays is looked up, by exact name; the drug is otherwise
unknown.
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.fhir.resources import (
    CODINGS_MAX,
    Document,
    Entry,
    Resource,
    child,
    children,
    codings,
    text_of,
)

#: A product is shared by many orders, and may be a circle: reading it stays bounded. No real one has so many parts.
_MEDICATIONS_MAX: Final = 20
_PARTS_MAX: Final = 200
#: And so many names altogether: thousands of orders may share one product.
_NAMES_MAX: Final = 200


@dataclass(slots=True)
class DrugNames:
    """Hold how a drug is named; `is_whole` is False when it has more parts or names than are read.

    `not_found` counts the references that lead to no Medication or Substance, or to one that means something else;
    `concepts` the concepts, each of which names one thing.
    """

    codings: list[Coding] = field(default_factory=list)
    is_whole: bool = True
    not_found: int = 0
    concepts: int = 0

    def add_concept(self, concept: object) -> None:
        """Add the codings of a CodeableConcept, and its text."""
        stated = child(concept, "coding")
        self.is_whole = self.is_whole and not (isinstance(stated, list) and len(stated) > CODINGS_MAX)
        self.concepts += 1
        for system, code, display in codings(concept):
            self._add(Coding(system, code, display, self.concepts))
        if text := text_of(child(concept, "text")):
            self._add(Coding("", "", text, self.concepts))

    def add_referenced(self, reference: object, entry: Entry, document: Document, seen: set[int]) -> None:
        """Add how a Medication or Substance is named, and its ingredients but those said not to be active."""
        target = document.find(reference, entry)
        if target is None or document.is_modified(target):
            self.not_found += 1
            if display := text_of(child(reference, "display")):
                self._add(Coding("", "", display))
            return
        if id(target) in seen or not self.is_whole:
            return
        if len(seen) == _MEDICATIONS_MAX:
            self.is_whole = False
            return
        seen.add(id(target))
        found = document.find_entry(reference, entry)
        holder = entry if found is None else found
        self.add_concept(target.get("code"))
        for number, ingredient in enumerate(islice(children(target, "ingredient"), _PARTS_MAX + 1)):
            if number == _PARTS_MAX:
                self.is_whole = False
            if ingredient.get("isActive") is False or not self.is_whole:
                continue
            self.add_concept(ingredient.get("itemCodeableConcept"))
            if isinstance(ingredient.get("itemReference"), dict):
                self.add_referenced(ingredient["itemReference"], holder, document, seen)

    def _add(self, coding: Coding) -> None:
        if len(self.codings) < _NAMES_MAX:
            self.codings.append(coding)
        else:
            self.is_whole = False


def drug_names(resource: Resource, entry: Entry, document: Document) -> DrugNames:
    """Return how the drug of a resource is named: by the concept itself, else by the Medication and its parts."""
    names = DrugNames()
    concept = resource.get("medicationCodeableConcept")
    if isinstance(concept, dict):
        names.add_concept(concept)
    else:
        reference = resource.get("medicationReference")
        if isinstance(reference, dict):
            names.add_referenced(reference, entry, document, set())
    return names
