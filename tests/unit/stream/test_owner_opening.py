"""Opening a shard: in which order its owner asks what, so that a successor's work never looks like a contradiction."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from pv_stream.settings import Settings
from pv_stream.stream.owner import ShardOwner, Source
from pv_stream.stream.partition_store import PartitionStore
from pv_stream.stream.sink import TransactionalSink
from tests.integration.counting_fold import CountingFold


def test_the_groups_offset_is_asked_for_after_the_fence_and_before_the_restore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for later it may be that of a successor, which is ahead of what was restored and is no fault."""
    asked: list[str] = []

    class Recording:
        """Answer as an empty log does."""

        async def partition_count(self) -> int:
            return 1

        async def bounds(self, shard: int) -> tuple[int, int]:
            asked.append(f"bounds {shard}")
            return 0, 0

        async def committed(self, shard: int) -> None:
            asked.append(f"committed {shard}")

        def press(self, shard: int, *, pressed: bool) -> None:
            """Do nothing."""

    async def fence(_sink: TransactionalSink) -> None:
        asked.append("fence")

    async def restore(_store: PartitionStore, _fold: object, *, abandoned: Callable[[], bool]) -> None:
        asked.append(f"restore {abandoned()}")

    monkeypatch.setattr(TransactionalSink, "start", fence)
    monkeypatch.setattr(PartitionStore, "restore", restore)

    async def scenario() -> None:
        owner = ShardOwner(
            settings=Settings(),
            fold_factory=CountingFold,
            source=cast("Source", Recording()),
            on_failure=lambda _error: None,
        )
        await owner.open([0], generation=1)
        await owner.close()

    asyncio.run(scenario())
    assert asked == ["fence", "committed 0", "restore False", "bounds 0"]
