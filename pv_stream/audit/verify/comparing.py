"""Comparing: two sequences of outputs side by side, input record by input record, in memory that does not grow.

Both sides stand in order of place, so one pass over each is enough. Of cases and states only the latest of each key
counts, since Kafka keeps no more of them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from pv_stream.audit.verify.classes import Classifier, Difference, Finding, Kind, differing_fields
from pv_stream.audit.verify.places import Place, Told, fields_of
from pv_stream.audit.verify.recorded import Recorded
from pv_stream.audit.verify.replayed import Replayed
from pv_stream.codec.segments import read_key
from pv_stream.shard.fold import OutputStream

#: Streams of which every record is compared; of cases only the latest of each key.
SEQUENCES: Final = (
    OutputStream.ALERTS,
    OutputStream.RECURRENCES,
    OutputStream.ACTIONS,
    OutputStream.DEAD_LETTERS,
)
STATES: Final = "states"
#: Behind every input record.
_END: Final = (2**63, 0)
_NOTHING: Final[tuple[tuple[int, int], Iterator[Told]]] = (_END, iter(()))
_FIELDS_MAX: Final = 12


@dataclass(slots=True)
class Compared:
    """Count what was compared of one stream; `beyond` is what one side has not come to yet."""

    stream: str
    recorded: int = 0
    replayed: int = 0
    equal: int = 0
    beyond: int = 0
    differences: Counter[Difference] = field(default_factory=Counter)


@dataclass(slots=True)
class Comparison:
    """Compare two sides; `limits` are the positions up to which both have come, by shard.

    `on_finding` is told every difference.
    """

    recorded: Recorded
    replayed: Replayed
    limits: dict[int, int]
    classifier: Classifier
    on_finding: Callable[[Finding], None]

    def sequence(self, stream: OutputStream) -> Compared:
        """Compare every record of a stream."""
        compared = Compared(stream)
        after = groupby(self._within(self.replayed.told(stream), compared, is_recorded=False), _record_of)
        again, replayed = next(after, _NOTHING)
        for cause, recorded in groupby(self._in_order(stream, compared), _record_of):
            while again < cause:
                self._pair(compared, [], list(replayed))
                again, replayed = next(after, _NOTHING)
            if again == cause:
                self._pair(compared, list(recorded), list(replayed))
                again, replayed = next(after, _NOTHING)
            else:
                self._pair(compared, list(recorded), [])
        while again < _END:
            self._pair(compared, [], list(replayed))
            again, replayed = next(after, _NOTHING)
        return compared

    def _pair(self, compared: Compared, recorded: list[Told], replayed: list[Told]) -> None:
        """Compare what both sides say at one input record, by key: what one patient lacks moves others' ordinals."""
        rest: list[Told] = []
        for told in recorded:
            same = next((other for other in replayed if other.key == told.key), None)
            if same is None:
                rest.append(told)
                continue
            replayed.remove(same)
            if same.value == told.value:
                compared.equal += 1
            else:
                self._note(compared, Kind.DIFFERS, told, same)
        for told in rest:
            same = next((other for other in replayed if other.place == told.place), None)
            if same is not None:
                replayed.remove(same)
            self._note(compared, Kind.ONLY_RECORDED if same is None else Kind.DIFFERS, told, same)
        for other in replayed:
            self._note(compared, Kind.ONLY_REPLAYED, None, other)

    def final_cases(self) -> Compared:
        """Compare the latest case of each key."""
        compared = Compared(OutputStream.CASES)
        told = (
            case
            for shard in range(self.recorded.shard_count)
            for case in self._recorded(OutputStream.CASES, shard)
        )
        latest = {case.key: _Latest.of(case) for case in self._within(told, compared, is_recorded=True)}
        compared.recorded = len(latest)
        after: dict[str, _Latest] = {}
        for case in self._within(self.replayed.told(OutputStream.CASES), compared, is_recorded=False):
            after[case.key] = _Latest.of(case)
        compared.replayed = len(after)
        unequal = {key for key in latest.keys() | after.keys() if latest.get(key) != after.get(key)}
        compared.equal = len(latest.keys() | after.keys()) - len(unequal)
        if unequal:
            self._note_cases(compared, unequal)
        return compared

    def final_states(self, comparable: frozenset[int]) -> Compared:
        """Compare the latest state of each key of some shards."""
        compared = Compared(STATES)
        rows = self.replayed.states()
        row = next(rows, None)
        for shard in range(self.recorded.shard_count):
            recorded, _ = self.recorded.final_states(shard) if shard in comparable else ({}, None)
            while row is not None and row[0] == shard:
                if shard in comparable:
                    self._compare_state(compared, shard, row[1], row[2], recorded)
                else:
                    compared.beyond += 1
                row = next(rows, None)
            for key, value in sorted(recorded.items()):
                if value is None and read_key(key)[1]:
                    continue  # a segment that is no more, on both sides
                compared.recorded += 1
                self._note_state(compared, shard, key, value, None)
        return compared

    def _compare_state(
        self, compared: Compared, shard: int, key: str, value: bytes, recorded: dict[str, bytes | None]
    ) -> None:
        compared.replayed += 1
        compared.recorded += key in recorded
        if recorded.get(key) == value:
            compared.equal += 1
        else:
            self._note_state(compared, shard, key, recorded.get(key), value, is_recorded=key in recorded)
        recorded.pop(key, None)

    def _note_state(  # noqa: PLR0913 - both sides of one state
        self,
        compared: Compared,
        shard: int,
        key: str,
        recorded: bytes | None,
        replayed: bytes | None,
        *,
        is_recorded: bool = True,
    ) -> None:
        kind = Kind.ONLY_RECORDED if replayed is None else Kind.DIFFERS if is_recorded else Kind.ONLY_REPLAYED
        erased = is_recorded and recorded is None
        found = Difference.ERASED if erased else self.classifier.of_state(key, recorded, replayed, shard)
        fields = differing_fields(recorded, replayed, fields_max=_FIELDS_MAX) if kind is Kind.DIFFERS else ()
        compared.differences[found] += 1
        self.on_finding(Finding(STATES, kind, found, None, shard, key, key, fields))

    def _recorded(self, stream: OutputStream, shard: int) -> Iterator[Told]:
        yield from self.recorded.told(stream, shard)

    def _in_order(self, stream: OutputStream, compared: Compared) -> Iterator[Told]:
        """Yield what was recorded as it should stand: each place once, in its shard, and growing."""
        for shard in range(self.recorded.shard_count):
            last: Place | None = None
            for told in self._within(self._recorded(stream, shard), compared, is_recorded=True):
                place = told.place
                if place is None or place.shard != shard:
                    self._note(compared, Kind.NO_PLACE, told, None, shard=shard)
                elif last is not None and place <= last:
                    kind = Kind.DOUBLED if place == last else Kind.OUT_OF_ORDER
                    self._note(compared, kind, told, None)
                else:
                    last = place
                    yield told

    def _within(self, told: Iterator[Told], compared: Compared, *, is_recorded: bool) -> Iterator[Told]:
        """Yield what stands before the limits, and count it."""
        for each in told:
            if each.place is not None and each.place.position >= self.limits.get(each.place.shard, 0):
                compared.beyond += 1
                continue
            compared.recorded += is_recorded
            compared.replayed += not is_recorded
            yield each

    def _note_cases(self, compared: Compared, unequal: set[str]) -> None:
        """Note the cases that differ, read once more for what each side says of them."""
        before: dict[str, Told] = {}
        for shard in range(self.recorded.shard_count):
            for told in self._recorded(OutputStream.CASES, shard):
                if told.key in unequal and not self._is_beyond(told):
                    before[told.key] = told
        after = {
            told.key: told
            for told in self.replayed.told(OutputStream.CASES)
            if told.key in unequal and not self._is_beyond(told)
        }
        for key in sorted(unequal):
            recorded, replayed = before.get(key), after.get(key)
            kind = Kind.DIFFERS
            if recorded is None or replayed is None:
                kind = Kind.ONLY_REPLAYED if recorded is None else Kind.ONLY_RECORDED
            self._note(compared, kind, recorded, replayed)

    def _is_beyond(self, told: Told) -> bool:
        return told.place is not None and told.place.position >= self.limits.get(told.place.shard, 0)

    def _note(
        self,
        compared: Compared,
        kind: Kind,
        recorded: Told | None,
        replayed: Told | None,
        *,
        shard: int | None = None,
    ) -> None:
        told = recorded or replayed
        assert told is not None
        place = told.place
        where = shard if shard is not None else place.shard if place is not None else 0
        before = None if recorded is None else recorded.value
        after = None if replayed is None else replayed.value
        found = self.classifier.classify(
            before, after, shard=where, position=None if place is None else place.position
        )
        if kind in {Kind.DOUBLED, Kind.OUT_OF_ORDER, Kind.NO_PLACE}:
            found = Difference.UNEXPLAINED  # no rulebook writes a record twice
        elif recorded is not None and recorded.value is None:
            found = Difference.ERASED
        fields: tuple[tuple[str, str, str], ...] = ()
        if kind is Kind.DIFFERS:
            fields = differing_fields(before, after, fields_max=_FIELDS_MAX)
            if recorded is not None and replayed is not None and recorded.key != replayed.key:
                fields = (("key", recorded.key, replayed.key), *fields)
        patient_id = fields_of(before).get("patient_id") or fields_of(after).get("patient_id")
        compared.differences[found] += 1
        self.on_finding(Finding(compared.stream, kind, found, place, where, told.key, patient_id, fields))


@dataclass(frozen=True, slots=True)
class _Latest:
    """Hold which record of a key is the latest, and the digest of what it says."""

    place: Place | None
    digest: bytes | None

    @classmethod
    def of(cls, told: Told) -> "_Latest":
        return cls(told.place, None if told.value is None else hashlib.sha256(told.value).digest())


def _record_of(told: Told) -> tuple[int, int]:
    """Return shard and position of the input record that an output came from."""
    assert told.place is not None
    return told.place.shard, told.place.position
