"""Whether what names and measures in a resource has the shapes of FHIR: what has not is refused, never passed over."""

from typing import Final

from pv_stream.ingest.fhir.resources import Resource

_CONCEPTS: Final = ("code", "medicationCodeableConcept", "valueCodeableConcept", "event")
_OBJECTS: Final = ("medicationReference", "valueQuantity", "valueRange", "valueRatio", "dataAbsentReason")
_COMPONENT: Final = "component"


def is_misshapen(resource: Resource) -> bool:
    """Tell whether a member that is looked at, of a resource or of a component, has not the shape of FHIR."""
    concepts = (resource.get(name) for name in _CONCEPTS)
    if not all(concept is None or _is_concept(concept) for concept in concepts):
        return True
    objects = (resource.get(name) for name in _OBJECTS)
    if not all(each is None or isinstance(each, dict) for each in objects):
        return True
    members = resource.get(_COMPONENT)
    if members is None:
        return False
    return not isinstance(members, list) or any(
        not isinstance(member, dict) or _COMPONENT in member or is_misshapen(member) for member in members
    )


def _is_concept(value: object) -> bool:
    """Tell whether a value is a CodeableConcept: an object whose codings are a list of objects."""
    if not isinstance(value, dict):
        return False
    stated = value.get("coding")
    return stated is None or (isinstance(stated, list) and all(isinstance(each, dict) for each in stated))
