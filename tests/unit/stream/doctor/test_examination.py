"""What the doctor reads: the end of a shard's state, a group that never was, and a check that is refused."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka.errors import ClusterAuthorizationFailedError, GroupAuthorizationFailedError, GroupIdNotFoundError

from pv_stream.domain.events import RulebookActivated
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.heads import TreeHead
from pv_stream.settings import Settings
from pv_stream.shard.limits import Limits
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.doctor.examination import _Look, _made, _read, _Tail
from pv_stream.stream.doctor.judgements import Outcome
from pv_stream.stream.reading import TopicRecord
from tests.builders import RULEBOOK, at, dose, eosinophils
from tests.shards import new_shard, raw

PATIENTS = new_shard().process(raw([dose("imatinib", at(0)), eosinophils(1690, at(15))])).states
CUT = new_shard(limits=Limits(segment_bytes_max=100)).process(raw([dose("imatinib", at(0))])).states[:2]
ACTIVATED = new_shard().process(raw([RulebookActivated(ENGINE_VERSION, RULEBOOK.digest)])).states
EARLIER, LATER = Checkpoint(5, 4, 1), Checkpoint(9, 4, 2)


def records(*states: tuple[bytes, bytes]) -> list[TopicRecord]:
    return [TopicRecord(2, position, key, value) for position, (key, value) in enumerate(states)]


def checkpoint(made: Checkpoint) -> tuple[bytes, bytes]:
    return CHECKPOINT_KEY, made.to_bytes()


@pytest.mark.parametrize(
    ("states", "tail"),
    [
        pytest.param((), _Tail(None, None, None), id="nothing"),
        pytest.param(
            (checkpoint(EARLIER), checkpoint(LATER)), _Tail(LATER, None, None), id="the newest checkpoint"
        ),
        pytest.param(PATIENTS[:1], _Tail(None, RULEBOOK.digest, None), id="the rulebook of a patient"),
        pytest.param(CUT, _Tail(None, RULEBOOK.digest, None), id="the rulebook of a patient in segments"),
        pytest.param(CUT[:1], _Tail(None, None, None), id="a segment"),
        pytest.param(ACTIVATED, _Tail(None, RULEBOOK.digest, ENGINE_VERSION), id="the rulebook of the shard"),
        pytest.param(((b"patient-1", b"{}"),), _Tail(None, None, None), id="a state of another version"),
    ],
)
def test_the_end_of_a_state(states: tuple[tuple[bytes, bytes], ...], tail: _Tail) -> None:
    assert _read(2, records(*states)) == tail


def test_a_checkpoint_that_cannot_be_read_is_a_check_that_could_not_be_made() -> None:
    def read() -> list[Any]:
        return [_read(2, records((CHECKPOINT_KEY, b"?")))]

    (row,) = _made("offsets", "all shards", read)
    assert (row.outcome, "cannot be read" in row.saw) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(None, Outcome.OK, id="there"),
        pytest.param(GroupAuthorizationFailedError, Outcome.UNKNOWN, id="refused"),
    ],
)
def test_a_group_is_told_only_as_far_as_it_was_seen(error: Any, outcome: Outcome) -> None:
    (row,) = group(error, members=1)
    assert row.outcome is outcome


def test_a_group_that_never_was_has_no_workers() -> None:
    (row,) = group(GroupIdNotFoundError, members=0)
    assert (row.outcome, "no worker" in row.saw) == (Outcome.FINDING, True)


def group(error: Any, *, members: int) -> list[Any]:
    """Return the rows of a group that Kafka describes so."""
    told = {
        "error": None if error is None else str(error("")),
        "group_state": "Stable",
        "members": [1] * members,
    }
    admin = SimpleNamespace(describe_groups=lambda _names: {"pv-stream": told})
    return _Look(Settings(), admin, cast("Any", None)).group()


@pytest.mark.parametrize(
    ("error", "saw"),
    [
        pytest.param(
            ClusterAuthorizationFailedError("canary"), "ClusterAuthorizationFailedError", id="Kafka"
        ),
        pytest.param(
            EnvironmentBroken("the topic x does not exist"), "the topic x does not exist", id="ours"
        ),
    ],
)
def test_a_check_that_fails_is_a_row_and_the_others_go_on(error: Exception, saw: str) -> None:
    def fail() -> list[Any]:
        raise error

    (row,) = _made("limits", "timeouts", fail)
    assert (row.outcome, row.saw) == (Outcome.UNKNOWN, saw)


@pytest.mark.parametrize(
    ("last", "outcome", "saw"),
    [
        pytest.param(
            TreeHead("log/0", 5, bytes(32), bytes(32), 9).to_bytes(), Outcome.OK, "its 5 outputs", id="a head"
        ),
        pytest.param(b"{}", Outcome.FINDING, "is no tree head", id="something else"),
    ],
)
def test_the_last_tree_head_is_found_behind_many_markers(last: bytes, outcome: Outcome, saw: str) -> None:
    """Positions that hold no record, of aborted transactions, are looked past."""
    heads = {100: TreeHead("log/0", 4, bytes(32), bytes(32), 8).to_bytes(), 101: last}
    (row,) = _Look(Settings(), cast("Any", None), cast("Any", Topics(heads))).tree_heads(())
    assert (row.outcome, saw in row.saw) == (outcome, True)


class Topics:
    """One shard: an empty state, and a topic of tree heads that ends far behind its last record."""

    def __init__(self, heads: dict[int, bytes]) -> None:
        self._heads = heads

    def shards(self, topic: str) -> range:
        del topic
        return range(1)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        return {0: (0, 2_000 if "heads" in topic else 0)}

    def between(self, topic: str, shard: int, first: int, end: int) -> Iterator[TopicRecord]:
        if "heads" in topic:
            yield from (
                TopicRecord(shard, at, None, value) for at, value in self._heads.items() if first <= at < end
            )
