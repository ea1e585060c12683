"""The doctor's judgements: each finding at its bound, what mends it, and an ok row where nothing is wrong."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.ledger.heads import TreeHead, signed
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import Checkpoint, InputLog
from pv_stream.stream.doctor import judgements
from pv_stream.stream.doctor.judgements import LedgerLook, Outcome, Replicas, Row, ShardLook
from pv_stream.stream.topics import Action, Difference, Topic, compare, topic_configs

SETTINGS = Settings(ready_lag_seconds_max=60)
THREE = Settings(replication_factor=3, min_insync_replicas=2)
OK = [Outcome.OK]
FINDING = [Outcome.FINDING]
LIMITS = {
    "transaction.max.timeout.ms": "900000",
    "group.max.session.timeout.ms": "1800000",
    "group.min.session.timeout.ms": "6000",
}


def outcomes(rows: Sequence[Row]) -> list[Outcome]:
    """Return how each row ended; whatever is not ok must say what to do."""
    assert all(row.fix for row in rows if row.outcome is Outcome.FINDING)
    return [row.outcome for row in rows]


@pytest.mark.parametrize(
    ("count", "settings", "internal", "expected"),
    [
        pytest.param(1, SETTINGS, {"__transaction_state": 1}, OK, id="one broker, one copy"),
        pytest.param(3, THREE, {"__transaction_state": 3}, OK, id="three brokers, three copies"),
        pytest.param(2, THREE, {}, FINDING, id="fewer brokers than copies"),
        pytest.param(2, SETTINGS, {}, FINDING, id="fewer copies than brokers"),
        pytest.param(3, Settings(replication_factor=2), {}, FINDING, id="two copies on three brokers"),
        pytest.param(5, THREE, {}, OK, id="three copies are enough"),
        pytest.param(3, THREE, {"__consumer_offsets": 2}, FINDING, id="an internal topic with fewer copies"),
    ],
)
def test_brokers(count: int, settings: Settings, internal: dict[str, int], expected: list[Outcome]) -> None:
    assert outcomes(judgements.brokers(count, settings, internal_replicas=internal)) == expected


@pytest.mark.parametrize("action", list(Action))
def test_every_difference_of_a_topic_is_a_finding_but_ok(action: Action) -> None:
    rows = judgements.topics([Difference("pv.state.v1", "retention.ms", "7", "-1", action)])
    assert outcomes(rows) == (OK if action is Action.OK else FINDING)


def test_retention_and_partition_count_say_what_they_are_and_what_to_do() -> None:
    configs = {**topic_configs(Topic.ALERTS, SETTINGS), "retention.ms": "604800000"}
    retention, count = judgements.topics(
        [
            *compare(Topic.ALERTS, SETTINGS, partitions=4, replication=1, configs=configs),
            *compare(
                Topic.STATE,
                SETTINGS,
                partitions=5,
                replication=1,
                configs=topic_configs(Topic.STATE, SETTINGS),
            ),
        ]
    )
    assert (retention.saw, retention.fix) == (
        "retention.ms is 604800000, wanted -1",
        "pv-stream topics apply",
    )
    assert "PV_STREAM_PARTITIONS=5" in count.fix


@pytest.mark.parametrize(
    ("in_sync", "has_leader", "expected"),
    [
        pytest.param(3, True, OK, id="all"),
        pytest.param(2, True, FINDING, id="one copy is behind"),
        pytest.param(1, True, FINDING, id="too few to write"),
        pytest.param(0, False, FINDING, id="nobody leads"),
    ],
)
def test_replicas(in_sync: int, has_leader: bool, expected: list[Outcome]) -> None:  # noqa: FBT001 - a column
    looked = [Replicas("pv.state.v1", 0, 3, in_sync, has_leader)]
    assert outcomes(judgements.replicas(looked, THREE)) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, OK, id="as brokers come"),
        pytest.param({"transaction.max.timeout.ms": "30000"}, OK, id="just allowed"),
        pytest.param({"transaction.max.timeout.ms": "29999"}, FINDING, id="transactions too short"),
        pytest.param({"group.max.session.timeout.ms": "9999"}, FINDING, id="sessions too short"),
        pytest.param({"group.min.session.timeout.ms": "10001"}, FINDING, id="sessions too long"),
        pytest.param({"group.min.session.timeout.ms": ""}, [Outcome.UNKNOWN], id="not told"),
    ],
)
def test_limits_of_the_brokers(changed: dict[str, str], expected: list[Outcome]) -> None:
    settings = Settings(transaction_timeout_seconds=30, session_timeout_seconds=10)
    assert outcomes(judgements.broker_limits({"broker 1": LIMITS | changed}, settings)) == expected


def test_a_broker_that_differs_from_the_others_is_named() -> None:
    other = LIMITS | {"transaction.max.timeout.ms": "1000"}
    (row,) = judgements.broker_limits({"broker 1": LIMITS, "broker 2": other}, SETTINGS)
    assert (row.subject, row.outcome) == ("broker 2", Outcome.FINDING)


def test_transactions_that_hang_are_named() -> None:
    assert outcomes(judgements.transactions({})) == OK
    (row,) = judgements.transactions({"pv-stream-0": 720.0})
    assert (row.subject, row.outcome) == ("pv-stream-0", Outcome.FINDING)
    assert "720 s" in row.saw


@pytest.mark.parametrize(
    ("newest_ms", "broker_ms", "worker_ms", "expected"),
    [
        pytest.param(1_000, 1_000, 1_000, OK, id="same"),
        pytest.param(61_000, 1_000, 61_000, OK, id="at the bound"),
        pytest.param(61_001, 1_000, 1_000, FINDING, id="written in the future"),
        pytest.param(1_000, 1_000, 61_001, FINDING, id="worker ahead of the broker"),
        pytest.param(1_000, 61_001, 1_000, FINDING, id="worker behind the broker"),
    ],
)
def test_clocks(newest_ms: int, broker_ms: int, worker_ms: int, expected: list[Outcome]) -> None:
    rows = judgements.clocks(
        {"pv.clinical.events.v1": newest_ms},
        now_ms=1_000,
        started_ms={"pv-stream-0": (broker_ms, worker_ms)},
    )
    assert outcomes(rows) == expected


@pytest.mark.parametrize(
    ("in_force", "engines", "expected"),
    [
        pytest.param({}, {}, OK, id="nothing was processed"),
        pytest.param({0: "a", 1: "a"}, {0: ENGINE_VERSION}, OK, id="one, carried"),
        pytest.param({0: "x"}, {}, FINDING, id="not carried"),
        pytest.param({0: "a", 1: "b"}, {}, FINDING, id="two of them"),
        pytest.param({0: "a"}, {0: ENGINE_VERSION + 1}, FINDING, id="another engine"),
    ],
)
def test_rulebooks(in_force: dict[int, str], engines: dict[int, int], expected: list[Outcome]) -> None:
    assert outcomes(judgements.rulebooks(in_force, engines, {"a": "2026.11", "b": "2026.12"})) == expected


def test_a_group_without_workers_is_a_finding() -> None:
    assert outcomes(judgements.group("Stable", 2, SETTINGS)) == OK
    assert outcomes(judgements.group("Empty", 0, SETTINGS)) == FINDING


def looked(
    *,
    position: int | None,
    committed: int | None,
    start: int = 0,
    partitions: int = 4,
    oldest_written_ms: int | None = None,
) -> ShardLook:
    checkpoint = None if position is None else Checkpoint(position, partitions, 1)
    return ShardLook(2, InputLog(start, 100, 4), checkpoint, committed, oldest_written_ms)


@pytest.mark.parametrize(
    ("look", "outcome", "saw", "fix"),
    [
        pytest.param(looked(position=100, committed=100), Outcome.OK, "up to 100 of 100", "", id="done"),
        pytest.param(looked(position=90, committed=80), Outcome.OK, "80 (harmless)", "", id="offset behind"),
        pytest.param(looked(position=90, committed=None), Outcome.OK, "None (harmless)", "", id="no offset"),
        pytest.param(
            looked(position=90, committed=91),
            Outcome.FINDING,
            "position 91, ahead of the checkpoint at 90",
            "--to-offset 90 --topic pv.clinical.events.v1:2 --execute",
            id="offset ahead",
        ),
        pytest.param(
            looked(position=None, committed=5), Outcome.FINDING, "at 0", "--to-offset 0", id="no checkpoint"
        ),
        pytest.param(
            looked(position=5, committed=5, start=6),
            Outcome.FINDING,
            "begins at 6",
            "one backup",
            id="records gone",
        ),
        pytest.param(
            looked(position=101, committed=5), Outcome.FINDING, "ends at 100", "one backup", id="truncated"
        ),
        pytest.param(
            looked(position=9, committed=9, partitions=5),
            Outcome.FINDING,
            "made with 5 partitions",
            "one backup",
            id="another partition count",
        ),
        pytest.param(
            looked(position=9, committed=9, oldest_written_ms=40_000),
            Outcome.OK,
            "9 of 100",
            "",
            id="waits 60 s",
        ),
        pytest.param(
            looked(position=9, committed=9, oldest_written_ms=39_000),
            Outcome.FINDING,
            "waits for 61 s, at position 9 of 100",
            "/readyz",
            id="waits 61 s",
        ),
    ],
)
def test_offsets(look: ShardLook, outcome: Outcome, saw: str, fix: str) -> None:
    row = judgements.offsets(look, SETTINGS, now_ms=100_000)
    assert row.outcome is outcome
    assert saw in row.saw
    assert fix in row.fix


def test_a_check_that_was_refused_says_what_to_grant() -> None:
    row = judgements.could_not("limits", "timeouts", "ClusterAuthorizationFailedError")
    assert (row.outcome, "acls" in row.fix) == (Outcome.UNKNOWN, True)


KEY, OTHER_KEY = (
    Ed25519PrivateKey.from_private_bytes(b"k" * 32),
    Ed25519PrivateKey.from_private_bytes(b"o" * 32),
)
UNSIGNED = TreeHead("pv.clinical.events.v1/2", 7, bytes(32), bytes(32), 40)
SIGNED = signed(UNSIGNED, KEY)
FORGED = replace(SIGNED, root=b"r" * 32)


@pytest.mark.parametrize(
    ("look", "saw", "fix"),
    [
        pytest.param(LedgerLook(2, 0, 0, None), "nothing was told yet", "", id="nothing was told"),
        pytest.param(LedgerLook(2, 3, 0, None), "none under a head yet", "", id="a head after more records"),
        pytest.param(
            LedgerLook(2, 9, 7, SIGNED), f"7 outputs is signed by key {SIGNED.key_id}", "", id="signed"
        ),
        pytest.param(LedgerLook(2, 6, 6, SIGNED), "is signed", "", id="the worker went on"),
        pytest.param(
            LedgerLook(2, 7, 7, UNSIGNED), "is not signed", "PV_STREAM_LEDGER_KEY_FILE", id="not signed"
        ),
        pytest.param(
            LedgerLook(2, 8, 8, SIGNED), "the last knows 7", "audit verify", id="the last head is gone"
        ),
        pytest.param(LedgerLook(2, 8, 8, None), "the last knows 0", "audit verify", id="every head is gone"),
        pytest.param(
            LedgerLook(2, 8, 8, None, is_readable=False), "is no tree head", "audit verify", id="no head"
        ),
    ],
)
def test_tree_heads(look: LedgerLook, saw: str, fix: str) -> None:
    row = judgements.tree_heads(look, must_be_signed=True)
    assert row.outcome is (Outcome.FINDING if fix else Outcome.OK)
    assert saw in row.saw
    assert fix in row.fix


def test_who_never_signed_is_told_how_and_nothing_is_wrong() -> None:
    row = judgements.tree_heads(LedgerLook(2, 7, 7, UNSIGNED))
    assert row.outcome is Outcome.OK
    assert "is not signed" in row.saw
    assert "PV_STREAM_LEDGER_KEY_FILE" in row.fix


@pytest.mark.parametrize(
    ("head", "keys", "expected"),
    [
        pytest.param(SIGNED, [OTHER_KEY, KEY], OK, id="one of the keys"),
        pytest.param(SIGNED, [OTHER_KEY], FINDING, id="another key"),
        pytest.param(FORGED, [KEY], FINDING, id="a wrong signature"),
        pytest.param(UNSIGNED, [KEY], FINDING, id="not signed"),
    ],
)
def test_tree_heads_with_public_keys(
    head: TreeHead, keys: list[Ed25519PrivateKey], expected: list[Outcome]
) -> None:
    public_keys = [key.public_key() for key in keys]
    row = judgements.tree_heads(LedgerLook(2, 7, 7, head), public_keys, must_be_signed=True)
    assert outcomes([row]) == expected
