"""Law 4 and the tier latch, held by a ledger that knows only the published contract."""

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.events import Event, FactArrived
from pv_stream.domain.times import Instant
from tests.acting import with_actions
from tests.ledger import Ledger
from tests.properties.strategies import DrawnNarrator, logs, shuffled_stories, unhurried
from tests.shards import clock_at, told


@st.composite
def acted_logs(draw: st.DrawFn) -> list[Event]:
    """Logs with what people do about their alerts."""
    return with_actions(DrawnNarrator(draw), draw(logs()))


def _settled(log: list[Event]) -> None:
    ledger = Ledger()
    ledger.enter_all(told(log))
    ledger.settle()


@unhurried
@given(shuffled_stories())
def test_ids_revisions_and_tiers_keep_the_contract_in_any_order_of_arrival(events: list[FactArrived]) -> None:
    _settled(list(events))


@unhurried
@given(logs())
def test_ids_revisions_and_tiers_keep_the_contract_with_clock_records(log: list[Event]) -> None:
    _settled(log)


@unhurried
@given(acted_logs())
def test_ids_revisions_and_tiers_keep_the_contract_when_people_act(log: list[Event]) -> None:
    _settled(log)


@unhurried
@given(shuffled_stories(), st.data())
def test_they_keep_it_when_the_clock_runs_ahead_of_what_arrives(
    events: list[FactArrived], data: st.DataObject
) -> None:
    log: list[Event] = list(events)
    if events:
        latest = max(sent.received_at for sent in events)
        log.insert(data.draw(st.integers(0, len(log))), clock_at(Instant(latest)))
    _settled(log)
