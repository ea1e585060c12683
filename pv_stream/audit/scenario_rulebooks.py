"""Rulebooks of a scenario: the checked one with a few entries changed, for cases in which the rules change.

A whole second rulebook would bury what a case is about, and go stale; so a scenario names only what differs:

    rulebooks:
      stricter: {drugs.imatinib.threshold_per_ul: 1000, parameters.disease_free_days: 21}
      without_imatinib: {drugs.imatinib: unwatched}
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pv_stream.rules.rulebook import Count, Number, Rulebook, WatchedDrug

UNWATCHED: Final = "unwatched"
#: Who answers for a number that a scenario makes up.
_SOURCE: Final = "UNCONFIRMED"


def digest_of_variant(name: str, changes: Mapping[str, str]) -> str:
    """Return the digest by which a log activates a rulebook of a scenario."""
    said = "\n".join((name, *(f"{entry} = {changes[entry]}" for entry in sorted(changes))))
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


def variant_of(rulebook: Rulebook, name: str, changes: Mapping[str, str]) -> Rulebook:
    """Return a rulebook with some entries changed.

    Raises ValueError naming an entry that cannot be changed so.
    """
    for entry in sorted(changes):
        rulebook = _changed(rulebook, entry, changes[entry])
    return replace(rulebook, version=name, digest=digest_of_variant(name, changes))


def _changed(rulebook: Rulebook, entry: str, value: str) -> Rulebook:
    match entry.split("."):
        case ["parameters", name] if name in _names_of(rulebook.parameters):
            number: dict[str, Any] = {name: _number(entry, value, getattr(rulebook.parameters, name))}
            return replace(rulebook, parameters=replace(rulebook.parameters, **number))
        case ["defaults", "threshold_per_ul"]:
            threshold = _number(entry, value, rulebook.defaults.threshold_per_ul)
            assert isinstance(threshold, Count)
            return replace(rulebook, defaults=replace(rulebook.defaults, threshold_per_ul=threshold))
        case ["drugs", drug] if drug in rulebook.watched and value == UNWATCHED:
            return _without(rulebook, drug)
        case ["drugs", drug, name] if drug in rulebook.watched and _may_differ(name):
            return _with_drug(rulebook, drug, name, _number(entry, value, Count(0, _SOURCE)))
        case _:
            msg = (
                f"{entry} cannot be changed to {value}: write parameters.NAME, defaults.threshold_per_ul, "
                f"drugs.DRUG.threshold_per_ul (or another number of a drug), or drugs.DRUG: {UNWATCHED}"
            )
            raise ValueError(msg)


def _names_of(parameters: object) -> set[str]:
    return {f.name for f in fields(parameters)}  # type: ignore[arg-type]


def _may_differ(name: str) -> bool:
    """Tell whether a field of a drug is a number that goes before the default."""
    return any(f.name == name and f.type == Count | None for f in fields(WatchedDrug))


def _with_drug(rulebook: Rulebook, drug: str, name: str, number: Number | Count) -> Rulebook:
    changed: dict[str, Any] = {name: number}
    drugs = (replace(d, **changed) if d.name == drug else d for d in rulebook.drugs)
    return replace(rulebook, drugs=tuple(drugs))


def _without(rulebook: Rulebook, drug: str) -> Rulebook:
    """Return a rulebook that does not watch a drug; nothing else may lead to it."""
    return replace(
        rulebook,
        drugs=tuple(d for d in rulebook.drugs if d.name != drug),
        combinations=tuple(c for c in rulebook.combinations if drug not in c.ingredients),
        classes=tuple(
            replace(group, members=tuple(member for member in group.members if member != drug))
            for group in rulebook.classes
        ),
    )


def _number(entry: str, value: str, old: Number | Count) -> Number | Count:
    try:
        if isinstance(old, Count):
            return replace(old, value=int(value))
        return replace(old, value=Decimal(value))
    except (ValueError, InvalidOperation):
        msg = f"{entry}: {value} is not a number that fits here"
        raise ValueError(msg) from None
