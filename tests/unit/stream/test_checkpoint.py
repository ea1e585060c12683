"""Checkpoints: written, read back, and compared with what the broker says."""

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.chain import Ledger, extended
from pv_stream.ledger.merkle import leaf_hash
from pv_stream.stream.checkpoint import Checkpoint, InputLog, start_position

LOG = InputLog(start=0, end=100, partition_count=4)
LEDGER = extended(Ledger(), [leaf_hash(b"1"), leaf_hash(b"2"), leaf_hash(b"3")]).ledger
AT_50 = Checkpoint(next_position=50, partition_count=4, generation=3, ledger=LEDGER)


def test_a_checkpoint_is_read_back_as_written() -> None:
    assert Checkpoint.from_bytes(AT_50.to_bytes(), shard=0) == AT_50


def test_its_bytes_are_canonical() -> None:
    empty = b'{"covered":0,"link":"%b","peaks":[],"size":0}' % (b"00" * 32)
    assert Checkpoint(50, 4, 3).to_bytes() == (
        b'{"generation":3,"ledger":%b,"next_position":50,"partition_count":4,"schema_version":2}' % empty
    )


def test_one_from_before_there_was_a_ledger_begins_one() -> None:
    value = b'{"generation":3,"next_position":50,"partition_count":4,"schema_version":1}'
    assert Checkpoint.from_bytes(value, shard=0) == Checkpoint(50, 4, 3, Ledger())


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"{}", b'{"schema_version":1}', b"\xff", AT_50.to_bytes().replace(b'"size":3', b'"size":4')],
)
def test_one_that_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(EnvironmentBroken, match="shard 2: its checkpoint"):
        Checkpoint.from_bytes(value, shard=2)


def test_one_of_a_later_schema_is_refused() -> None:
    value = AT_50.to_bytes().replace(b'"schema_version":2', b'"schema_version":3')
    with pytest.raises(EnvironmentBroken, match="schema version 3"):
        Checkpoint.from_bytes(value, shard=2)


@pytest.mark.parametrize("committed", [None, 0, 49, 50])
def test_a_group_offset_up_to_the_checkpoint_changes_nothing(committed: int | None) -> None:
    assert start_position(shard=0, checkpoint=AT_50, committed=committed, log=LOG) == 50


def test_a_new_shard_begins_at_0() -> None:
    assert start_position(shard=0, checkpoint=None, committed=None, log=LOG) == 0


@pytest.mark.parametrize("end", [50, 100])
def test_a_log_that_reaches_the_checkpoint_is_enough(end: int) -> None:
    log = InputLog(start=50, end=end, partition_count=4)
    assert start_position(shard=0, checkpoint=AT_50, committed=50, log=log) == 50


@pytest.mark.parametrize(
    ("checkpoint", "committed", "log", "reason"),
    [
        pytest.param(
            AT_50,
            51,
            LOG,
            "committed position 51, ahead of the checkpoint at 50: .* `pv-stream doctor` .* one backup",
            id="group-ahead",
        ),
        pytest.param(None, 1, LOG, "committed position 1, ahead of the checkpoint at 0", id="state-lost"),
        pytest.param(
            AT_50, 50, InputLog(51, 100, 4), "begins at 51, after the checkpoint at 50", id="log-trimmed"
        ),
        pytest.param(
            None, None, InputLog(1, 100, 4), "begins at 1, after the checkpoint at 0", id="no-state"
        ),
        pytest.param(
            AT_50, 50, InputLog(0, 49, 4), "ends at 49, before the checkpoint at 50", id="log-truncated"
        ),
        pytest.param(AT_50, 50, InputLog(0, 100, 5), "made with 4 partitions", id="partitions-changed"),
    ],
)
def test_a_contradiction_is_refused(
    checkpoint: Checkpoint | None, committed: int | None, log: InputLog, reason: str
) -> None:
    with pytest.raises(EnvironmentBroken, match=reason):
        start_position(shard=0, checkpoint=checkpoint, committed=committed, log=log)
