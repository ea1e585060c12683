"""Each checker finds what it is for, and is silent about what is right."""

import pytest

from tests.chaos.checkers import (
    NEEDED,
    PROVES_NOTHING,
    Checkpointed,
    Finding,
    Seen,
    check_causes,
    check_checkpoints,
    check_input,
    check_ledger,
    check_offsets,
    check_outputs,
    check_reach,
    check_states,
    check_transactions,
    check_transfers,
    lost_and_duplicated,
)
from tests.chaos.evidence import TREE_HEADS, is_segment, last_states
from tests.unit.audit.tamper.written import ALERTS, LETTERS, Written, some_written


def names(findings: list[Finding]) -> list[str]:
    return [finding.check for finding in findings]


def told(position: int, ordinal: int = 0, *, shard: int = 0, partition: int = 0) -> Seen:
    return Seen(partition, 0, b"k", b"v", {"ce_id": b"%d-%d-%d" % (shard, position, ordinal)})


@pytest.mark.parametrize(
    ("live", "found"),
    [
        ([b"a", b"b"], []),
        ([b"a"], ["lost"]),
        ([b"a", b"b", b"b"], ["duplicated"]),
        ([b"a", b"c"], ["lost", "duplicated"]),
        ([b"b", b"a"], ["order"]),
        ([], ["lost"]),
    ],
)
def test_an_output_that_is_lost_doubled_changed_or_moved_is_found(
    live: list[bytes], found: list[str]
) -> None:
    assert names(check_outputs("alerts", live, [b"a", b"b"])) == found


def test_lost_and_duplicated_are_counted_apart() -> None:
    assert lost_and_duplicated([b"a", b"a", b"c"], [b"a", b"b"]) == (1, 2)


def test_outputs_follow_the_order_of_their_causes() -> None:
    assert check_causes("alerts", [told(1), told(1, 1), told(5), told(0, shard=1, partition=1)]) == []
    assert names(check_causes("alerts", [told(1), told(1)])) == ["cause"]
    assert names(check_causes("alerts", [told(5), told(1)])) == ["cause"]
    assert names(check_causes("alerts", [told(1, shard=2)])) == ["misplaced"]


def test_the_log_holds_what_was_written_and_nothing_that_was_aborted() -> None:
    log = [Seen(0, 0, b"k", b"event"), Seen(0, 1, b"k", b"event"), Seen(1, 0, None, b"clock")]
    assert check_input([(0, b"event")], [b"ghost"], log) == []
    assert names(check_input([(1, b"event")], [], log)) == ["input lost"]
    assert names(check_input([], [b"event"], log)) == ["aborted input"]


def test_states_are_compared_by_shard_and_key() -> None:
    right = {(0, b"p"): b"1", (1, b"q"): b"2"}
    assert check_states(dict(right), right) == []
    assert names(check_states({(0, b"p"): b"1"}, right)) == ["state lost"]
    assert names(check_states({**right, (1, b"p"): b"1"}, right)) == ["state of nobody"]
    assert names(check_states({**right, (1, b"q"): b"3"}, right)) == ["wrong state"]


def ledger_findings(written: Written) -> list[str]:
    """Judge a log that the runtime's own code has chained."""
    seen: dict[str, list[Seen]] = {}
    for (topic, shard), records in written.records.items():
        seen.setdefault(topic, []).extend(
            Seen(shard, each.position, each.key, each.value, {n: c or b"" for n, c in each.headers})
            for each in records
        )
    heads = seen.pop(TREE_HEADS)
    return [finding.detail for finding in check_ledger(seen, heads)]


def test_a_ledger_without_a_gap_under_its_heads_is_right() -> None:
    assert ledger_findings(some_written()) == []
    assert ledger_findings(Written()) == []


def test_a_ledger_that_is_not_what_was_written_is_found() -> None:
    changed, dropped, doubled, uncovered, headless, forked = (some_written() for _ in range(6))
    changed.change(ALERTS, 0, 2, value=b"{}")
    assert ledger_findings(changed) == ["shard 0: the link of output 4 does not fit"]
    del dropped.records[LETTERS, 0][0]
    assert ledger_findings(dropped) == ["shard 0: no output is number 2"]
    doubled.records[ALERTS, 0].append(doubled.records[ALERTS, 0][0])
    assert ledger_findings(doubled) == ["shard 0: two outputs are number 0"]
    uncovered.transaction(0, (ALERTS, "al_8"), head=False)
    assert ledger_findings(uncovered) == ["shard 0: no tree head covers all 11 outputs"]
    headless.records[TREE_HEADS, 0].append(headless.records[TREE_HEADS, 0][0])
    assert ledger_findings(headless) == ["shard 0: a tree head says 3, after 10"]
    last = forked.records[TREE_HEADS, 0][-1]
    root = forked.head_of(0).root.hex().encode()
    forked.change(TREE_HEADS, 0, -1, value=(last.value or b"").replace(root, b"00" * 32))
    assert ledger_findings(forked) == ["shard 0: the root of the last tree head does not fit"]


def test_the_last_state_counts_and_none_takes_it_away() -> None:
    written = [
        Seen(0, 0, b"p", b"1"),
        Seen(0, 1, b"p", b"2"),
        Seen(0, 2, b"q", b"1"),
        Seen(0, 3, b"q", None),
        Seen(0, 4, b"checkpoint", b"{}"),
    ]
    assert last_states(written) == {(0, b"p"): b"2"}


@pytest.mark.parametrize(
    ("positions", "committed", "end", "found"),
    [
        ([3, 7], 7, 7, []),
        ([3, 3, 8], 8, 7, []),
        ([7, 3, 7], 7, 7, ["checkpoint went back"]),
        ([3, 7], 3, 7, ["offset is not the checkpoint"]),
        ([3], 3, 7, ["not processed"]),
        ([], 0, 1, ["not processed"]),
    ],
)
def test_checkpoints_grow_and_end_where_the_group_and_the_log_do(
    positions: list[int], committed: int, end: int, found: list[str]
) -> None:
    history = [Checkpointed(0, position, 4) for position in positions]
    findings = check_checkpoints(history, committed={0: committed}, log_ends={0: end}, shards=4)
    assert names(findings) == found


def test_a_checkpoint_of_another_partition_count_is_found() -> None:
    findings = check_checkpoints([Checkpointed(0, 7, 3)], committed={0: 7}, log_ends={0: 7}, shards=4)
    assert names(findings) == ["checkpoint"]


def test_an_open_transaction_is_found() -> None:
    marks = {("state", 0): 10, ("state", 1): 5}
    assert check_transactions(marks, dict(marks)) == []
    assert names(check_transactions(marks, {**marks, ("state", 1): 4})) == ["dangling transaction"]


def test_an_offset_that_went_back_is_found() -> None:
    assert check_offsets({0: [], 1: [4, 4, 9]}, {0: [], 1: [4, 7, 9]}) == []
    assert names(check_offsets({0: [9, 4, 9]}, {0: [4, 9]})) == ["offset went back"]


@pytest.mark.parametrize(
    ("offsets", "checkpoints", "found"),
    [
        ([4], [4, 9], ["shard 0: the last offset [4], the last checkpoint [9]"]),
        (
            [4, 9],
            [4],
            ["shard 0: [9] never were one", "shard 0: the last offset [9], the last checkpoint [4]"],
        ),
        ([8, 9], [4, 9], ["shard 0: [8] never were one"]),
        ([], [4], ["shard 0: the last offset [], the last checkpoint [4]"]),
    ],
)
def test_an_offset_that_is_no_checkpoint_is_found(
    offsets: list[int], checkpoints: list[int], found: list[str]
) -> None:
    findings = check_offsets({0: offsets}, {0: checkpoints})
    assert {each.check for each in findings} == {"offset is not the checkpoint"}
    assert [each.detail for each in findings] == found


def test_a_run_without_anything_to_lose_is_found() -> None:
    counts = dict.fromkeys(NEEDED, 1)
    assert check_reach(counts, ["rechallenge", "new_culprit"]) == []
    for name in NEEDED:
        for missing in ({**counts, name: 0}, {key: count for key, count in counts.items() if key != name}):
            (found,) = check_reach(missing, ["rechallenge", "new_culprit"])
            assert (found.check, found.detail) == (PROVES_NOTHING, f"no {name} in this run")
    assert names(check_reach(counts, ["rechallenge", "rechallenge"])) == [PROVES_NOTHING]


def test_a_segment_is_known_by_its_key() -> None:
    assert is_segment(b"patient-1@2026-01-01+8")
    assert not any(map(is_segment, (b"patient-1", b"@clock", b"@rulebook", b"checkpoint")))


def test_transfers_that_differ_from_what_follows_are_found() -> None:
    assert (
        check_transfers({"transfers": {"mode": "log", "records": 4, "not_in_log": 0, "only_in_log": 0}}) == []
    )
    told_wrong = {"transfers": {"mode": "log", "records": 4, "not_in_log": 1, "only_in_log": 2}}
    assert names(check_transfers(told_wrong)) == ["transfers", "transfers"]
