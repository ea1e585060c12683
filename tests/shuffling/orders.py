"""Orders: how else the records of a case might have come, so that nothing of what they say is changed.

Any record may come at any place, repeated and late, as long as its place is not what it says. Some say something by
their place, and keep it:

- A verdict (refute, confirm) judges what was known when it was given. What came before it stays before it, in any
  order, and what came after it stays after it. A repetition stands right behind it: a verdict that was refused may fit
  later. Acknowledging and overriding an alert change no assessment, so that they may come at any time.
- Merges and their separation keep their order among themselves: to merge, separate and merge again is not to merge
  twice and separate. The same holds where a record is merged into two others, or in a circle: the first counts. Other
  merges may come in any order, and each of their two records too. Facts may come before, between and after them all.
- Activations of rulebooks keep their order among themselves, since the last is in force. Facts may come on any side
  of one, unless its rulebook believes another of them or keeps another number of values a day: that is decided when
  a record arrives.

A later message is no repetition where its lateness alone makes a value believed. Of two decisions about a held value
the one received later counts: those keep their times.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.audit.scenario import Case, Scenario
from pv_stream.audit.scenario_acts import Act
from pv_stream.audit.scenario_events import PATIENT, TimedRecord, records_of
from pv_stream.audit.scenario_rulebooks import variant_of
from pv_stream.codec.events import Rejection, decode_event, encode_event
from pv_stream.domain.codes import ActionKind, HoldCode
from pv_stream.domain.events import (
    Absorbed,
    Event,
    FactArrived,
    IdentityEvent,
    RulebookActivated,
    Separated,
)
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE, Instant
from pv_stream.rules.plausibility import why_held
from pv_stream.rules.rulebook import Rulebook
from tests.builders import resent

REPEATED_MAX: Final = 4
CUTS_MAX: Final = 4
_VERDICTS: Final = frozenset({ActionKind.REFUTE, ActionKind.CONFIRM})


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """Hold one record of a case: its bytes and what they say, decoded once; those of an act are made at its turn."""

    key: bytes | None
    value: bytes
    event: Event | None
    act: Act | None = None

    @property
    def is_verdict(self) -> bool:
        """Tell whether a clinician decides about a case here."""
        return self.act is not None and self.act.action in _VERDICTS

    @property
    def is_note(self) -> bool:
        """Tell whether an alert is acknowledged or overridden here."""
        return self.act is not None and not self.is_verdict


@dataclass(frozen=True, slots=True)
class Block:
    """Hold records that stay between those before and those after, in any order; `last` ends them, where one does."""

    sent: tuple[Sent, ...]
    last: Sent | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Hold the records of a case in the order in which they were told, and what to read them by."""

    scenario: Scenario
    case: Case
    rulebook: Rulebook
    carried: Mapping[str, Rulebook]
    told: tuple[Sent, ...]
    blocks: tuple[Block, ...]
    patients: tuple[PatientId, ...]
    are_merges_ordered: bool
    are_activations_fixed: bool

    @property
    def rulebooks(self) -> tuple[Rulebook, ...]:
        """Return every rulebook that may be in force."""
        return (self.rulebook, *self.carried.values())


@dataclass(frozen=True, slots=True)
class Run:
    """Hold records that are folded together; `is_new_owner` says that another restores the shard before them."""

    sent: tuple[Sent, ...]
    is_new_owner: bool = False


def story_of(scenario: Scenario, case: Case, rulebook: Rulebook) -> Story:
    """Return the records of a case with all that does not change when they are shuffled."""
    told = tuple(_sent(record) for record in records_of(scenario, case))
    books = [variant_of(rulebook, name, changes) for name, changes in scenario.rulebooks.items()]
    are_activations_fixed = _changes_belief(told, rulebook, books)
    return Story(
        scenario=scenario,
        case=case,
        rulebook=rulebook,
        carried={book.digest: book for book in books},
        told=told,
        blocks=tuple(_blocks(told, are_activations_fixed=are_activations_fixed)),
        patients=tuple(sorted({PATIENT, *(PatientId(sent.key.decode()) for sent in told if sent.key)})),
        are_merges_ordered=_are_merges_ordered(sent.event for sent in told),
        are_activations_fixed=are_activations_fixed,
    )


def as_told(story: Story) -> list[Run]:
    """Return a story's records in their own order, as one run."""
    return [Run(story.told)]


def _sent(record: TimedRecord) -> Sent:
    if record.act is not None:
        return Sent(record.key, b"", None, record.act)
    event = decode_event(record.value)
    return Sent(record.key, record.value, None if isinstance(event, Rejection) else event)


def _blocks(told: Iterable[Sent], *, are_activations_fixed: bool) -> Iterator[Block]:
    block: list[Sent] = []
    for sent in told:
        if sent.is_verdict or (are_activations_fixed and isinstance(sent.event, RulebookActivated)):
            yield Block(tuple(block), sent)
            block = []
        elif not sent.is_note:
            block.append(sent)
    yield Block(tuple(block))


def _changes_belief(told: Iterable[Sent], rulebook: Rulebook, books: Sequence[Rulebook]) -> bool:
    """Tell whether it matters under which of the rulebooks a record arrives."""
    most = rulebook.parameters.values_per_code_day_max.value
    return any(book.parameters.values_per_code_day_max.value != most for book in books) or any(
        _why_held(sent.event, book) != _why_held(sent.event, rulebook)
        for sent in told
        if isinstance(sent.event, FactArrived)
        for book in books
    )


def _why_held(event: FactArrived, rulebook: Rulebook) -> HoldCode | None:
    statement = event.version.statement
    return why_held(statement.content, statement.effective, event.received_at, rulebook)


def _are_merges_ordered(events: Iterable[Event | None]) -> bool:
    """Tell whether the order of merges says something: one is taken back, or two exclude each other."""
    into: dict[PatientId, PatientId] = {}
    for event in events:
        if isinstance(event, Separated):
            return True
        if (
            isinstance(event, Absorbed)
            and into.setdefault(event.patient_id, event.survivor) != event.survivor
        ):
            return True
    return any(_leads_back(prior, into) for prior in into)


def _leads_back(prior: PatientId, into: Mapping[PatientId, PatientId]) -> bool:
    place: PatientId | None = prior
    for _ in into:
        place = None if place is None else into.get(place)
        if place == prior:
            return True
    return False


# Drawing ----------------------------------------------------------------------------------------------------------


def shuffled(story: Story, rng: random.Random) -> list[Run]:
    """Draw another order of a story's records, with repetitions, perhaps later stamps, and cuts."""
    order = _order(story, rng)
    if rng.random() < 0.5:
        order = _stamped_anew(order, story)
    return _cut(order, rng)


def _order(story: Story, rng: random.Random) -> list[Sent]:
    items = [list(block.sent) for block in story.blocks]
    notes = [sent for sent in story.told if sent.is_note]
    behind: list[Sent] = []
    placed = [(n, sent) for n, block in enumerate(story.blocks) for sent in (*block.sent, block.last) if sent]
    placed += [(0, note) for note in notes]
    for _ in range(rng.randint(0, REPEATED_MAX) if placed else 0):
        number, sent = rng.choice(placed)
        if sent.is_note:
            notes.append(sent)
        elif sent.is_verdict or _chain_of(sent, story) is not None:
            behind.append(sent)
        else:
            latest = number if story.are_activations_fixed else len(items) - 1
            items[rng.randint(number, latest)].append(_again(sent, story, rng))
    order: list[Sent] = []
    for block, sent_in_it in zip(story.blocks, items, strict=True):
        order += _in_chains(sent_in_it, behind, story, rng)
        if block.last is not None:
            order += _with_repetitions([block.last], behind)
    for note in notes:
        order.insert(rng.randint(0, len(order)), note)
    return order


def _chain_of(sent: Sent, story: Story) -> str | None:
    """Return among which records one keeps its order, None when it keeps none."""
    if isinstance(sent.event, RulebookActivated):
        return "activations"
    if isinstance(sent.event, IdentityEvent) and story.are_merges_ordered:
        return "merges"
    return None


def _in_chains(items: Sequence[Sent], behind: Sequence[Sent], story: Story, rng: random.Random) -> list[Sent]:
    """Draw an order; the places that a chain gets in it are filled in the chain's own order."""
    chains: dict[str | None, list[Sent]] = {None: []}
    for sent in items:
        chains.setdefault(_chain_of(sent, story), []).append(sent)
    chains = {name: _with_repetitions(chain, behind) for name, chain in chains.items()}
    rng.shuffle(chains[None])
    names = [name for name, chain in chains.items() for _ in chain]
    rng.shuffle(names)
    turns = {name: iter(chain) for name, chain in chains.items()}
    return [next(turns[name]) for name in names]


def _with_repetitions(chain: Iterable[Sent], behind: Sequence[Sent]) -> list[Sent]:
    return [again for sent in chain for again in (sent, *(each for each in behind if each is sent))]


def _again(sent: Sent, story: Story, rng: random.Random) -> Sent:
    """Return the same record, or the same statement in a later message where that is as credible."""
    if not isinstance(sent.event, FactArrived) or rng.random() < 0.5:
        return sent
    later = Instant(sent.event.received_at + rng.randint(1, 100) * MICROSECONDS_PER_DAY)
    return _as_credible(sent, resent(sent.event, received_at=later), story)


def _stamped_anew(order: Sequence[Sent], story: Story) -> list[Sent]:
    """Return the records as those of a feed that was down: stamped later, and in their new order."""
    facts = [sent.event for sent in order if isinstance(sent.event, FactArrived)]
    last = max((event.received_at for event in facts), default=Instant(0))
    return [
        _received(sent, Instant(last + number * MICROSECONDS_PER_MINUTE), story)
        for number, sent in enumerate(order)
    ]


def _received(sent: Sent, instant: Instant, story: Story) -> Sent:
    if not isinstance(sent.event, FactArrived):
        return sent
    version = sent.event.version
    provenance = replace(version.provenance, received_at=instant)
    return _as_credible(sent, replace(sent.event, version=replace(version, provenance=provenance)), story)


def _as_credible(sent: Sent, later: FactArrived, story: Story) -> Sent:
    """Return the later message, unless its lateness makes it believed, or decides between two decisions."""
    assert isinstance(sent.event, FactArrived)
    if sent.event.version.provenance.review is not None:
        return sent
    if any(_why_held(sent.event, book) != _why_held(later, book) for book in story.rulebooks):
        return sent
    return replace(sent, event=later, value=encode_event(later))


def _cut(order: Sequence[Sent], rng: random.Random) -> list[Run]:
    places = sorted(rng.randint(0, len(order)) for _ in range(rng.randint(0, CUTS_MAX)))
    return [
        Run(tuple(order[first:last]), is_new_owner=rng.random() < 0.5)
        for first, last in zip([0, *places], [*places, len(order)], strict=True)
    ]
