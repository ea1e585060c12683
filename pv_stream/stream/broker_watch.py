"""Does the broker still answer? One line when it goes and one when it is back.

The Kafka clients wait an outage out without a word; who looks at the terminal must be told that nothing moves.
"""

import asyncio
import time
from collections.abc import Callable

from pv_stream.errors import ConnectionFailed, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.connection import require_broker
from pv_stream.stream.login import NotLetIn

#: How often the broker is asked, and how long one answer may take.
ASK_SECONDS = 10.0
ANSWER_SECONDS_MAX = 2.0


class BrokerWatch:
    """Remember whether the broker answered, and say each change once."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        *,
        ask: Callable[..., None] = require_broker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch brokers that answer at this moment."""
        self._settings = settings
        self._servers = settings.bootstrap_servers
        self._say = say
        self._ask = ask
        self._clock = clock
        self._asked = clock()
        self._gone_since: float | None = None
        self._not_asked = False

    @property
    def gone(self) -> bool:
        """Tell whether the broker did not answer when it was last asked."""
        return self._gone_since is not None

    @property
    def not_asked(self) -> bool:
        """Tell whether it could not be asked the last time, since the files of TLS could not be read."""
        return self._not_asked

    def look(self) -> None:
        """Ask the broker, and say it when the answer is another than before.

        Files of TLS that cannot be read, as while they are being renewed, say nothing about the broker: what was known
        of it stands, and so do the connections.
        """
        self._asked = self._clock()
        try:
            self._ask(self._settings, timeout_seconds=ANSWER_SECONDS_MAX)
        except UsageError as error:
            if not self._not_asked:
                self._not_asked = True
                self._say(
                    f"{error}; until then no new connection to Kafka can be made, and those that stand go on"
                )
            return
        except ConnectionFailed as error:
            self._not_asked = False
            if self._gone_since is None:
                self._gone_since = self._asked
                self._say(
                    f"{error}; until then nothing is read or written"
                    if isinstance(error, NotLetIn)
                    else f"Kafka at {self._servers} does not answer any more: nothing is read or written until it is "
                    "back; start it again (a local one: `pv-stream kafka up`) or check the network"
                )
            return
        self._not_asked = False
        if self._gone_since is not None:
            seconds = self._clock() - self._gone_since
            self._gone_since = None
            self._say(f"Kafka at {self._servers} answers again, after {seconds:.0f} s")

    def look_when_due(self) -> None:
        """Look when the last look was long enough ago: for a loop that turns more often."""
        if self._clock() - self._asked >= ASK_SECONDS:
            self.look()

    async def keep_looking(self) -> None:
        """Look again and again, outside the event loop: an answer may take its time."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            await asyncio.to_thread(self.look)
