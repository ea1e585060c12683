"""Requests that come again: the same body, or the same Idempotency-Key, gets the same answer and is written once.

Only answers to what was written are remembered, and only the latest: a request that comes again after a restart or a
long time is written again, and the engine sees that it is a duplicate.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from pv_stream.ingest.listeners.http_answers import Answer, Refusal, refusal

ENTRIES_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 1024 * 1024
_OK: Final = 200
_KEY_LENGTH_MAX: Final = 255


class Repeats:
    """Remember the answers to the latest requests, and the requests that are being answered."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        """Bound what is remembered: entries, and bytes of answers."""
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._requests_by_key: OrderedDict[bytes, bytes] = OrderedDict()
        self._in_work: dict[bytes, asyncio.Future[Answer]] = {}

    async def answer(self, request: bytes, key: bytes | None, do: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer to a request, named by a digest: `do` gives it unless it was given before.

        A key that came with another request is refused. Of two that come at once the second waits for the first.
        """
        if key is not None and not self._belongs(key, request):
            return refusal(Refusal.KEY_REUSED)
        if (known := self._answers.get(request)) is not None:
            self._answers.move_to_end(request)
            return known
        if (awaited := self._in_work.get(request)) is not None:
            return await asyncio.shield(awaited)
        return await self._work(request, do)

    async def _work(self, request: bytes, do: Callable[[], Awaitable[Answer]]) -> Answer:
        future = self._in_work[request] = asyncio.get_running_loop().create_future()
        answer = refusal(
            Refusal.UNAVAILABLE
        )  # what waits behind a request that was cancelled sends its own again
        try:
            answer = await do()
        finally:
            del self._in_work[request]
            future.set_result(answer)
        if answer.status == _OK:
            self._keep(request, answer)
        return answer

    def _belongs(self, key: bytes, request: bytes) -> bool:
        known = self._requests_by_key.setdefault(key, request)
        self._requests_by_key.move_to_end(key)
        if len(self._requests_by_key) > self._entries_max:
            self._requests_by_key.popitem(last=False)
        return known == request

    def _keep(self, request: bytes, answer: Answer) -> None:
        self._answers[request] = answer
        self._bytes += len(answer.content)
        while len(self._answers) > self._entries_max or self._bytes > self._bytes_max:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest.content)


def request_digest(*parts: bytes) -> bytes:
    """Return the digest that names a request: of its parts, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def key_digest(owner: bytes, key: str) -> bytes | Refusal:
    """Return the digest of an Idempotency-Key of one owner: each has keys of its own."""
    if not 1 <= len(key) <= _KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        return Refusal.KEY_MALFORMED
    return request_digest(owner, key.encode())
