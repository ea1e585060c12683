"""What stands in a shard: counted as it changes, the same after a restore, and nothing that is settled or moved on."""

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, HoldCode
from pv_stream.domain.events import Event
from pv_stream.shard.fold import ShardFold
from pv_stream.shard.standing import Standing
from tests.acting import acted
from tests.builders import PATIENT, at, dose, eosinophils, held, retracted
from tests.merging import merge
from tests.shards import alerts, fold, hand_over, new_shard, raw

REACTION = (dose("imatinib", at(0)), eosinophils(1690, at(15)))
HELD = held(HoldCode.MISSING_UNIT, at(16))


def stood(*log: Event, shard: ShardFold | None = None) -> Standing:
    """Return what stands at the end of a log."""
    owner = new_shard() if shard is None else shard
    fold(raw(log), owner)
    return owner.standing.now()


def restored(*log: Event) -> Standing:
    """Return what stands for an owner who restores the shard at the end of a log."""
    first, second = new_shard(), new_shard()
    run = first.process(raw(log))
    hand_over(run.states, second)
    return second.standing.now()


def test_nothing_stands_in_a_shard_where_nothing_was_told() -> None:
    assert stood(eosinophils(300, at(0))) == Standing({}, 0, None)


def test_an_open_alert_stands_and_a_held_value_waits() -> None:
    log = (*REACTION, HELD)
    standing = stood(*log)
    assert sum(standing.alerts.values()) == 2  # the suspicion, and the value under a watched drug
    assert all(not acknowledged for _, acknowledged in standing.alerts)
    assert (standing.holds, standing.oldest_hold) == (1, HELD.received_at)
    assert restored(*log) == standing


def test_a_run_that_is_not_committed_changes_nothing() -> None:
    shard = new_shard()
    shard.process(raw(REACTION))
    assert shard.standing.now() == Standing({}, 0, None)


def test_what_is_taken_back_does_not_stand() -> None:
    standing = stood(*REACTION, HELD, retracted(REACTION[1]), retracted(HELD))
    assert standing == Standing({}, 0, None)


def test_an_acknowledged_alert_stands_as_such() -> None:
    shard = new_shard()
    (raised,) = alerts(fold(raw(REACTION), shard))
    standing = stood(acted(raised, ActionKind.ACKNOWLEDGE), shard=shard)
    assert standing.alerts == {(Tier[raised["tier"].upper()], True): 1}


def test_what_was_merged_into_another_patient_stands_there_only() -> None:
    shard = new_shard(originate=True)
    before = stood(*REACTION, HELD, shard=shard)
    after = stood(*merge(PATIENT, "patient-2", at(17)), shard=shard)
    assert (after.alerts, after.holds) == (before.alerts, before.holds)
