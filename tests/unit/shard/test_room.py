"""Room: the caps of a patient's state, each at its limit, the same live and in a replay."""

import json

import pytest

from pv_stream.codec.state import WrittenFacts, fact_bytes, head_bytes, state_bytes
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import Event
from pv_stream.shard.fold import OutputStream, ShardFold
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits
from tests.builders import PATIENT, RULEBOOK, at, eosinophils, measured, order
from tests.merging import Topic, merge, of
from tests.shards import fold, new_shard, of_stream, raw

REACTION = [order("imatinib", at(0)), eosinophils(1_690, at(15))]
FILLER = [measured(Analyte.AST, 20, at(0, 1, minute)) for minute in range(40)]
#: One key under which eight different values of one rank stand.
CONFLICT = [measured(Analyte.AST, 20 + number, at(0, 2), key="conflict") for number in range(8)]


def limits(*, total: int = 10**6, record: int = 10**6, told: int = 10**6) -> Limits:
    return Limits(
        state_bytes_max=total,
        state_record_bytes_max=record,
        told_bytes_max=told,
        state_bytes_reserved=0,
        segment_bytes_max=600,
    )


def codes(log: list[Event], given: Limits) -> list[str]:
    """Return why records were refused; live and replay must agree."""
    live = new_shard(limits=given)
    bare = ShardFold(shard=0, shard_count=1, rulebook=RULEBOOK, limits=given, encode_states=False)
    found: list[str] = []
    for record in raw(log):
        outputs = fold([record], live)
        assert fold([record], bare) == outputs
        found += [letter["code"] for letter in of_stream(outputs, OutputStream.DEAD_LETTERS)]
    assert list(live.final_states()) == list(bare.final_states())
    return found


FULL = ["patient_state_full"]


@pytest.mark.parametrize(("less", "refused"), [(0, []), (1, FULL)])
def test_all_records_of_a_patient_together_may_be_as_large_as_their_cap(
    less: int, refused: list[str]
) -> None:
    shard = new_shard()
    fold(raw(FILLER), shard)
    size = state_bytes(shard.state_of(PATIENT))
    assert codes([*FILLER], limits(total=size - less, record=500, told=500)) == refused


@pytest.mark.parametrize(("less", "refused"), [(0, []), (1, FULL)])
def test_what_was_told_may_be_as_large_as_its_cap(less: int, refused: list[str]) -> None:
    shard = new_shard()
    fold(raw([*FILLER, *REACTION]), shard)
    size = head_bytes(shard.state_of(PATIENT))
    assert size > 1_000
    assert codes([*FILLER, *REACTION], limits(told=size - less)) == refused


@pytest.mark.parametrize(("less", "refused"), [(0, []), (1, FULL)])
def test_a_fact_may_be_as_large_as_a_record(less: int, refused: list[str]) -> None:
    shard = new_shard()
    fold(raw(CONFLICT), shard)
    ((key, fact),) = shard.state_of(PATIENT).facts.items()
    size = fact_bytes(key, fact, WrittenFacts())
    assert size > 1_000
    assert codes([*FILLER, *CONFLICT], limits(record=size - less)) == refused


def test_a_fact_that_is_merged_into_a_patient_may_be_no_larger() -> None:
    topic = Topic(1)
    topic.shards[0] = new_shard(limits=limits())
    topic.send(*of("a", *CONFLICT), *of("b", *FILLER))
    topic.shards[0]._room._limits = limits(record=1_000)
    topic.send(*merge("a", "b", at(20)))
    topic.settle()
    assert [told["patient_id"] for told in topic.told if told.get("code") == "patient_state_full"] == ["b"]
    assert len(topic.state_of("a").facts) == 1


def test_the_caps_leave_room_for_the_names_of_all_segments() -> None:
    """128 times a segment's size is the total: some 1,900 segments at most, of 37 bytes each in the head."""
    caps = DEFAULT_LIMITS
    assert caps.state_bytes_max // caps.segment_bytes_max == 128
    named = json.dumps(["2026-01-01+1024", "0" * 16], separators=(",", ":")) + ","
    assert caps.told_bytes_max + caps.state_bytes_reserved + 1_900 * len(named) < caps.state_record_bytes_max
