"""This worker as a member of its group: does the group take it?

Faust only learns what the group's coordinator refuses when it fetches, and a worker that was never let in fetches
nothing: it would ask again without a word. So it is looked at here.
"""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from pv_stream.errors import PvStreamError
from pv_stream.settings import Settings
from pv_stream.stream.app import WorkerApp
from pv_stream.stream.connection import group_failed

LOOK_SECONDS: Final = 0.5


async def keep_looking(app: WorkerApp, settings: Settings) -> None:
    """Look again and again. Raise ConnectionFailed when a right is missing, EnvironmentBroken on another refusal."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        error = app.group_error()
        if error is not None:
            raise why_refused(error, settings) from error


def why_refused(error: KafkaError, settings: Settings) -> PvStreamError:
    """Return the one line for an error of the group's coordinator."""
    return group_failed(settings.bootstrap_servers, settings.group_id, type(error).__name__)
