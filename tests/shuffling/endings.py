"""Endings: the final case of each patient record once all records were folded, and how two of them differ.

The final case is what the facts of a record mean under the rulebook in force, with what clinicians decided, and into
which record it was merged. What was told on the way depends on the order, and is not compared. A record that the
engine failed on is never a matter of order.

Assessing on the way is what takes the time, and changes no fact: only what was told, and what a verdict is about. So
a shuffling may leave it to the end, unless a clinician decides in it.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from unittest.mock import patch

from pv_stream.audit.scenario import say_when
from pv_stream.audit.scenario_events import name_of_patient
from pv_stream.domain.assessment import Assessment, Culprit, Score
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine.assess import assess
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, RawRecord, ShardFold
from tests.shuffling.orders import Run, Sent, Story, as_told, shuffled

_FAILURES: Final = frozenset(
    {DeadLetterCode.ENGINE_FAILED, DeadLetterCode.PATIENT_STATE_FULL, DeadLetterCode.MISROUTED}
)
_INSTANTS: Final = frozenset(
    {"onset", "last_evidence", "resolved_at", "closes_at", "follow_up_at", "started_at"}
)
#: The parts of an assessment, what one of each is called, and its instant.
_PARTS: Final = (
    ("episodes", "episode", "onset"),
    ("restarts", "restart", "started_at"),
    ("reviews", "held value", "effective"),
)


@dataclass(frozen=True, slots=True)
class FinalCase:
    """Hold what stands of one patient record in the end."""

    merged_into: PatientId | None
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Ending:
    """Hold the state of each patient record in the end, under which rulebook, and which records failed on the way."""

    rulebook: Rulebook
    states: Mapping[PatientId, PatientState]
    failures: Counter[str]

    def case_of(self, patient_id: PatientId) -> FinalCase:
        """Return the final case of a patient record."""
        state = self.states[patient_id]
        verdicts = state.published.verdicts
        return FinalCase(state.lineage.into, assess(state.facts, self.rulebook, verdicts))


class Teller:
    """Fold the records of one story, in any order, and compare the endings with the one of its own order."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._expected = self._ending_of(as_told(story), random.Random(0))
        self._cases = {patient: self._expected.case_of(patient) for patient in story.patients}
        #: A verdict needs the alert that it is about.
        self.must_be_whole: Final = any(sent.is_verdict for sent in story.told)

    def differences(self, rng: random.Random, *, is_whole: bool) -> list[str]:
        """Shuffle the story and return what ends otherwise than in its own order, a line each.

        A whole shuffling is assessed after every record, any other at its end alone.
        """
        with nullcontext() if is_whole or self.must_be_whole else _assessed_at_the_end():
            came = self._ending_of(shuffled(self._story, rng), rng)
        expected = self._expected
        offset = self._story.scenario.utc_offset_minutes
        lines = [
            f"a record could not be used ({code}, {count} times more than in its own order)"
            for code, count in sorted((came.failures - expected.failures).items())
        ]
        if came.rulebook is not expected.rulebook:
            lines.append(
                f"rulebook {came.rulebook.version} is in force, expected {expected.rulebook.version}"
            )
        for patient, case in self._cases.items():
            if not _is_the_same(came, expected, patient):
                lines += say_differences(name_of_patient(patient), came.case_of(patient), case, offset)
        return lines

    def _ending_of(self, runs: Sequence[Run], rng: random.Random) -> Ending:
        """Fold runs of records, some of them on a shard restored from what was written before."""
        fold = _Fold(self._story, rng)
        owners = [number for number, run in enumerate(runs) if run.is_new_owner]
        for number, run in enumerate(runs):
            if number == 0 or run.is_new_owner:
                fold.change_owner(is_last=not owners or number >= owners[-1])
            fold.take(run.sent)
        shard = fold.shard
        states = {patient: shard.state_of(patient) for patient in self._story.patients}
        return Ending(shard.rulebook, states, fold.failures)


def _assessed_at_the_end() -> AbstractContextManager[object]:
    return patch("pv_stream.engine.advance.must_assess", return_value=False)


class _Fold:
    """One shard of a story's records, and who owns it."""

    def __init__(self, story: Story, rng: random.Random) -> None:
        self._story, self._rng = story, rng
        self._written: dict[bytes, bytes] = {}
        self._has_acts = any(sent.act is not None for sent in story.told)
        self._alerts: list[Mapping[str, Any]] = []
        self._position = 0
        self.failures: Counter[str] = Counter()
        self.shard = self._new(encode_states=False)

    def _new(self, *, encode_states: bool) -> ShardFold:
        return ShardFold(
            shard=0,
            shard_count=1,
            rulebook=self._story.rulebook,
            carried=self._story.carried,
            originate=True,
            encode_states=encode_states,
        )

    def change_owner(self, *, is_last: bool) -> None:
        """Restore the shard from what was written, in any order of keys; the last owner need not write."""
        self.shard = self._new(encode_states=not is_last)
        keys = sorted(self._written)
        self._rng.shuffle(keys)
        for key in keys:
            self.shard.restore(key, self._written[key])

    def take(self, sent: Sequence[Sent]) -> None:
        """Fold records as one run; an act ends it, since it is about what was told by then."""
        waiting: list[RawRecord] = []
        for each in sent:
            value = each.value
            if each.act is not None:
                self._fold(waiting)
                waiting = []
                value = each.act.write(self._alerts)
            waiting.append(RawRecord(self._position, each.key, value))
            self._position += 1
        self._fold(waiting)

    def _fold(self, records: Sequence[RawRecord]) -> None:
        run = self.shard.process(records)
        self.shard.commit(run)
        assert not run.left, "a limit cut the run"
        self._written.update({key: value for key, value in run.states if value is not None})
        for key in (key for key, value in run.states if value is None):
            self._written.pop(key, None)
        for out in run.outputs:
            if out.stream is OutputStream.DEAD_LETTERS:
                code = json.loads(out.value)["code"]
                self.failures.update([code] if code in _FAILURES else [])
            elif out.stream is OutputStream.ALERTS and self._has_acts:
                self._alerts.append(json.loads(out.value))


def _is_the_same(came: Ending, expected: Ending, patient: PatientId) -> bool:
    """Tell whether a patient record has the same facts and verdicts: then there is nothing to assess."""
    state, other = came.states[patient], expected.states[patient]
    return (
        came.rulebook is expected.rulebook
        and state.lineage.into == other.lineage.into
        and state.published.verdicts == other.published.verdicts
        and state.facts == other.facts
    )


# Saying -----------------------------------------------------------------------------------------------------------


def say_differences(record: str, came: FinalCase, expected: FinalCase, offset: int) -> Iterator[str]:
    """Write how two final cases of a patient record differ, as one person says it to another."""
    if came.merged_into != expected.merged_into:
        into = [_merged(case.merged_into) for case in (came, expected)]
        yield f"{record}: the record is {into[0]}, expected {into[1]}"
    for name, word, when in _PARTS:
        theirs, ours = getattr(came.assessment, name), getattr(expected.assessment, name)
        if len(theirs) != len(ours):
            yield f"{record}: {_counted(theirs, word, when, offset)}, expected {_counted(ours, word, when, offset)}"
            continue
        for that, this in zip(theirs, ours, strict=True):
            title = f"{record}: {word} of {say_when(getattr(this, when), offset)}"
            yield from (f"{title}: {line}" for line in _fields_that_differ(that, this, offset))


def _merged(into: PatientId | None) -> str:
    return "its own" if into is None else f"merged into {name_of_patient(into)}"


def _counted(each: Sequence[Any], word: str, when: str, offset: int) -> str:
    times = ", ".join(say_when(getattr(one, when), offset) for one in each)
    return f"{word}s: {times or 'none'}"


def _fields_that_differ(came: object, expected: object, offset: int) -> Iterator[str]:
    for field in fields(expected):  # type: ignore[arg-type]
        that, this = getattr(came, field.name), getattr(expected, field.name)
        if that != this:
            said = [_say(field.name, value, offset) for value in (that, this)]
            yield f"{field.name.replace('_', ' ')} is {said[0]}, expected {said[1]}"


def _say(name: str, value: object, offset: int) -> str:
    if name in _INSTANTS and isinstance(value, int):
        return say_when(Instant(value), offset)
    if isinstance(value, tuple):
        return f"[{', '.join(_say(name, each, offset) for each in value)}]"
    said = next((say for kind, say in _WORDS if isinstance(value, kind)), str)
    return said(value)


def _score(score: Score) -> str:
    total = score.total
    items = ", ".join(f"{item.item} {' or '.join(item.levels)}" for item in score.items)
    return f"{total.current} ({total.worst} to {total.best}; {items})"


def _culprit(culprit: Culprit) -> str:
    return f"{culprit.drug} (rank {culprit.rank}, latency {culprit.latency}, exposure {culprit.exposure})"


#: How a value is said, by its kind; any other as Python writes it.
_WORDS: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (type(None), lambda _: "none"),
    (bool, lambda value: "yes" if value else "no"),
    (Enum, lambda value: value.name.lower()),
    (Decimal, lambda value: f"{value:f}"),
    (Score, _score),
    (Culprit, _culprit),
)
