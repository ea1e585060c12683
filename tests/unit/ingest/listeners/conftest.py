"""A listener over HTTP for the tests that leave it as it is, and a stage for the one over MLLP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pv_stream.ingest.intake import Intake
from tests.unit.ingest.listeners.http_serving import (
    Served,
    serving,
)
from tests.unit.ingest.listeners.mllp_serving import CANARIES, LIMITS, Play, Scene, Stage
from tests.virtual_time import run


@pytest.fixture(scope="module")
def listener(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One listener without tokens for the tests that leave it as it is."""
    with serving(intake, tmp_path_factory.mktemp("http")) as served:
        yield served


@pytest.fixture
def served(listener: Served) -> Iterator[Served]:
    """The listener, with nothing written yet."""
    listener.memory.clear()
    yield listener
    listener.memory.failure = None
    listener.memory.may_write.set()


@pytest.fixture
def stage(intake: Intake, tmp_path: Path) -> Stage:
    """Play a scene in virtual time, and look for what must never leave."""

    def play(act: Play, **limits: Any) -> None:
        async def scene() -> None:
            given_scene = Scene(intake, tmp_path, replace(LIMITS, **limits))
            await act(given_scene)
            told = "\n".join(given_scene.said).encode() + given_scene.listener.line().encode()
            assert not [canary for canary in CANARIES if canary in told]

        run(scene())

    return play
