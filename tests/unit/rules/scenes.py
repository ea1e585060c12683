"""Scenes: an episode's items straight from events, for tests of single items."""

from collections.abc import Mapping

from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Instant
from pv_stream.rules.items import Scene, document
from pv_stream.rules.regiscar import Documented, Item
from tests.builders import RULEBOOK, at, timeline_of

PARAMETERS = RULEBOOK.parameters


def documented(
    item: Item, *events: FactArrived, onset: Instant | None = None, resolved_at: Instant | None = None
) -> Documented:
    """Return what events document of one item; onset is day 0 unless said."""
    scene = Scene(timeline_of(*events), at(0) if onset is None else onset, 0, resolved_at)
    return document(scene, PARAMETERS)[item.name]


def levels(item: Item, *events: FactArrived) -> tuple[tuple[str, ...], str | None]:
    """Return the levels still possible of an item, and the current one."""
    found = documented(item, *events)
    return found.possible, found.current


def document_all(*events: FactArrived) -> Mapping[str, Documented]:
    """Return what events document of every item."""
    return document(Scene(timeline_of(*events), at(0), 0, None), PARAMETERS)
