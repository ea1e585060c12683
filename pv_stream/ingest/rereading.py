"""Reading refused messages again, from the bytes that were kept, with the readers of today.

A message is read whole: what it gave before comes again, which the log counts as duplicates. An entry counts as read
once the message is no longer refused in that place for that reason; refused for another reason, it gets an entry of
its own in the store, so that nothing disappears.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from pv_stream.domain.events import Event
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Hold, Outcome, Reject
from pv_stream.ingest.rejects import Kept, Position, RejectStore
from pv_stream.ingest.sources import Format


class Reread(StrEnum):
    """Say how an entry of the reject store reads today."""

    READ = "read"
    REFUSED = "refused"
    REFUSED_OTHERWISE = "refused_otherwise"
    NOT_WHOLE = "not_whole"
    NOT_THERE = "not_there"


#: What leaves an entry as it is.
STILL_OPEN = frozenset({Reread.REFUSED, Reread.NOT_WHOLE, Reread.NOT_THERE})


@dataclass(slots=True)
class Rereading:
    """Collect how entries read today, and the events of the messages of those that do."""

    entries: list[tuple[Kept, Reread]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    codes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def settled(self) -> list[Kept]:
        """Return the entries that need no more reading."""
        return [kept for kept, how in self.entries if how not in STILL_OPEN]


def read_again(  # noqa: PLR0913 - what is read, and all that a reader is given
    entries: Iterable[Kept],
    store: RejectStore,
    *,
    intake: Intake,
    record_bytes_max: int,
    chosen: Format = Format.AUTO,
    keeps: bool = False,
) -> Rereading:
    """Read the messages of entries again, each once; with `keeps` what is refused or held now is kept in the store."""
    by_message: dict[str, list[Kept]] = {}
    for kept in entries:
        by_message.setdefault(kept.message_digest, []).append(kept)
    found = Rereading()
    for group in by_message.values():
        if store.content(group[0]) is None:
            found.entries += [(kept, Reread.NOT_THERE) for kept in group]
        elif not group[0].is_whole:
            found.entries += [(kept, Reread.NOT_WHOLE) for kept in group]
        else:
            outcomes: list[Outcome] = []
            feed = Feed(intake, store if keeps else _Forgetful(store.folder), record_bytes_max, chosen)
            feed.on_message = partial(_collect, outcomes)
            events = list(feed.read([store.path_of(group[0].message_digest)]))
            _judge(group, outcomes, events, found)
    return found


def _collect(outcomes: list[Outcome], _form: Format | None, _position: Position, outcome: Outcome) -> None:
    outcomes.append(outcome)


def _judge(group: list[Kept], outcomes: list[Outcome], events: list[Event], found: Rereading) -> None:
    refused = {(reject.code.value, reject.path) for outcome in outcomes for reject in outcome.rejects}
    judged = []
    for kept in group:
        if (kept.code, kept.path) in refused:
            judged.append((kept, Reread.REFUSED))
        elif any(path in {"", kept.path} for _, path in refused):
            judged.append((kept, Reread.REFUSED_OTHERWISE))
        else:
            judged.append((kept, Reread.READ))
        found.codes[kept.entry_id] = tuple(sorted({code for code, _ in refused}))
    found.entries += judged
    if any(how is Reread.READ for _, how in judged):
        found.events += events


class _Forgetful(RejectStore):
    """Stand for a store where nothing is to be kept, since it is kept already or was only looked at."""

    def keep(self, position: Position, digest: str, refused: Iterable[Reject | Hold]) -> None:
        """Keep nothing."""
