"""Classes of differences: what explains that a replay says something else than was recorded.

Nothing is explained by a guess. A difference belongs to a rulebook or an engine version only when it is known which
each side had: from the log's activations and the shard's state, and only where those are silent from the record
itself, which may have been altered. It belongs to an erasure when the record or its input is gone. Whatever is left is
unexplained.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pv_stream.audit.verify.places import Place, fields_of
from pv_stream.codec.segments import read_key
from pv_stream.shard.rules_in_force import RULEBOOK_KEY

Activation = tuple[int, int, str]
#: Behind every position of a log.
_END: Final = 2**63


class Difference(StrEnum):
    """Name the classes of differences."""

    ERASED = "erased"
    RULEBOOK = "rulebook_version"
    ENGINE = "engine_version"
    UNEXPLAINED = "unexplained"


class Kind(StrEnum):
    """Name how two sides differ about one output."""

    DIFFERS = "differs"
    ONLY_RECORDED = "only recorded"
    ONLY_REPLAYED = "only replayed"
    DOUBLED = "recorded twice"
    OUT_OF_ORDER = "recorded out of order"
    NO_PLACE = "recorded without a place"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one difference; `fields` are the paths that differ, with what each side says."""

    stream: str
    kind: Kind
    difference: Difference
    place: Place | None
    shard: int
    key: str
    patient_id: str | None
    fields: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Versions:
    """Hold the engine version and the digest of the rulebook that were in force; None: not known."""

    engine: int | None
    rulebook: str | None


@dataclass(slots=True)
class Classifier:
    """Say to which class a difference belongs.

    `erased` are patients, `erased_places` shards and positions, whose input can no longer be read. What followed from
    an explained difference of a patient is explained with it: its ids, revisions and states go on from there.
    """

    manifest: Mapping[str, Any]
    standing: Mapping[int, Versions]
    erased: frozenset[str] = frozenset()
    erased_places: frozenset[tuple[int, int]] = frozenset()
    _explained: dict[str, Difference] = field(default_factory=dict)

    def classify(
        self, recorded: bytes | None, replayed: bytes | None, *, shard: int, position: int | None
    ) -> Difference:
        """Return the class of a difference between two values at a place."""
        before, after = fields_of(recorded), fields_of(replayed)
        patient_id = before.get("patient_id") or after.get("patient_id")
        found = self._class_of(before, after, shard, position, patient_id)
        if patient_id is None:
            return found
        if found is Difference.UNEXPLAINED:
            return self._explained.get(patient_id, found)
        self._explained.setdefault(patient_id, found)
        return found

    def of_state(self, key: str, recorded: bytes | None, replayed: bytes | None, shard: int) -> Difference:
        """Return the class of a difference between two final states."""
        patient_id, _ = read_key(key)
        if patient_id in self.erased:
            return Difference.ERASED
        if key.encode() == RULEBOOK_KEY:
            before, after = _activation(recorded), _activation(replayed)
        else:
            before, after = self._recorded(shard, _END), self._replayed(shard, _END)
        found = _between(before, after)
        return self._explained.get(patient_id, found) if found is Difference.UNEXPLAINED else found

    def _class_of(
        self,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        shard: int,
        position: int | None,
        patient_id: str | None,
    ) -> Difference:
        if patient_id in self.erased or (shard, position) in self.erased_places:
            return Difference.ERASED
        recorded, replayed = self._recorded(shard, position), self._replayed(shard, position)
        return _between(
            Versions(recorded.engine, recorded.rulebook or _rulebook(before)),
            Versions(replayed.engine, replayed.rulebook or _rulebook(after)),
        )

    def _recorded(self, shard: int, position: int | None) -> Versions:
        activations = self._activations(shard)
        if not activations:
            return self.standing.get(shard, Versions(None, None))
        return _in_force(activations, position) or Versions(None, None)

    def _replayed(self, shard: int, position: int | None) -> Versions:
        used = self.manifest["rulebooks"]
        first = used[0]["digest"] if used else None
        if self.manifest["what_if"]:
            return Versions(self._engine(), first)
        activated = _in_force(self._activations(shard), position)
        rulebook = activated.rulebook if activated is not None else first
        # A log with activations names no rulebook before the first: what it began with is not known to differ.
        known = activated is not None or not self._activations(shard)
        return Versions(self._engine(), rulebook if known else None)

    def _engine(self) -> int:
        version: int = self.manifest["engine_version"]
        return version

    def _activations(self, shard: int) -> Sequence[Activation]:
        rows: Sequence[Activation] = self.manifest["activated"].get(str(shard), ())
        return rows


def versions_of(state: bytes | None) -> Versions:
    """Return the versions that the state record of a shard's rulebook names."""
    return _activation(state)


def _between(before: Versions, after: Versions) -> Difference:
    if None not in {before.engine, after.engine} and before.engine != after.engine:
        return Difference.ENGINE
    if None not in {before.rulebook, after.rulebook} and before.rulebook != after.rulebook:
        return Difference.RULEBOOK
    return Difference.UNEXPLAINED


def _in_force(activations: Sequence[Activation], position: int | None) -> Versions | None:
    if position is None:
        return None
    number = bisect_right([row[0] for row in activations], position)
    return Versions(activations[number - 1][1], activations[number - 1][2]) if number else None


def _activation(value: bytes | None) -> Versions:
    fields = fields_of(value)
    return Versions(fields.get("engine_version"), fields.get("rulebook_digest"))


def _rulebook(value: Mapping[str, Any]) -> str | None:
    named = value.get("rulebook")
    return named.get("digest") if isinstance(named, dict) else None


def differing_fields(
    recorded: bytes | None, replayed: bytes | None, *, fields_max: int
) -> tuple[tuple[str, str, str], ...]:
    """Return the paths at which two values differ, in order, with what each says there."""
    try:
        before, after = dict(_flat("", _json(recorded))), dict(_flat("", _json(replayed)))
    except RecursionError:
        return (("nested too deeply to compare", "-", "-"),)
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return tuple((path, before.get(path, "-"), after.get(path, "-")) for path in paths[:fields_max])


def _json(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"null")
    except (ValueError, RecursionError):
        return "not JSON"


def _flat(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [row for name in sorted(value) for row in _flat(f"{path}.{name}".lstrip("."), value[name])]
    if isinstance(value, list) and value:
        return [row for number, each in enumerate(value) for row in _flat(f"{path}[{number}]", each)]
    return [(path, json.dumps(value, ensure_ascii=False))]
