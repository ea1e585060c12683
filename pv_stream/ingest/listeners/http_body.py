"""The body of a request: what it says it is, and its bytes, never more of them than one message may have.

A stated length is only believed when it is too large. Whatever is sent, in chunks, with a false length or packed, no
more than the limit is held, and it must have come within a time.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect

from pv_stream.ingest.listeners.http_answers import Refusal

#: zlib's number for the gzip format.
_GZIP: Final = 31
_UTF8: Final = frozenset({"", "utf-8", "utf8"})


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bound one body: its bytes, packed and unpacked, and the time in which it must have come."""

    bytes_max: int
    seconds_max: float


def media_type_of(headers: Mapping[str, str]) -> str | None:
    """Return the media type in lower case; None when JSON claims another character set than its own, UTF-8."""
    media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    if media_type.endswith("json") and _parameter(parameters, "charset") not in _UTF8:
        return None
    return media_type


def _parameter(parameters: str, name: str) -> str:
    for parameter in parameters.split(";"):
        stated, _, value = parameter.partition("=")
        if stated.strip() == name:
            return value.strip().strip('"')
    return ""


async def read_body(
    pieces: AsyncIterator[bytes], headers: Mapping[str, str], limits: BodyLimits
) -> bytes | Refusal:
    """Return the body, unpacked, or why it is refused; a refusal may leave a part of it unread."""
    if "transfer-encoding" in headers and "content-length" in headers:
        return Refusal.LENGTH_AMBIGUOUS
    if int(headers.get("content-length", "0")) > limits.bytes_max:
        return Refusal.BODY_TOO_LARGE
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        return Refusal.CONTENT_ENCODING
    body = _Packed(limits.bytes_max) if encoding == "gzip" else _Plain(limits.bytes_max)
    try:
        async with asyncio.timeout(limits.seconds_max):
            async for piece in pieces:
                if refused := body.add(piece):
                    return refused
    except TimeoutError:
        return Refusal.BODY_TIMEOUT
    except ClientDisconnect:
        return Refusal.BODY_INCOMPLETE
    return body.end()


class _Plain:
    """Collect a body as it is sent."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._content = bytearray()

    def add(self, piece: bytes) -> Refusal | None:
        if len(self._content) + len(piece) > self._bytes_max:
            return Refusal.BODY_TOO_LARGE
        self._content += piece
        return None

    def end(self) -> bytes | Refusal:
        return bytes(self._content)


class _Packed:
    """Collect a body that is sent as one gzip stream; what it unpacks to is bounded before it is unpacked."""

    def __init__(self, bytes_max: int) -> None:
        self._unpacked = _Plain(bytes_max)
        self._bytes_max = bytes_max
        self._sent = 0
        self._stream = zlib.decompressobj(_GZIP)

    def add(self, piece: bytes) -> Refusal | None:
        self._sent += len(piece)
        if self._sent > self._bytes_max:
            return Refusal.BODY_TOO_LARGE
        if self._stream.eof:
            return Refusal.GZIP_MALFORMED if piece else None
        try:
            # One byte more than may be is enough to see that it is too much.
            unpacked = self._stream.decompress(piece, self._bytes_max + 1)
        except zlib.error:
            return Refusal.GZIP_MALFORMED
        if self._stream.unconsumed_tail:
            return Refusal.BODY_TOO_LARGE
        if self._stream.unused_data:
            return Refusal.GZIP_MALFORMED
        return self._unpacked.add(unpacked)

    def end(self) -> bytes | Refusal:
        return self._unpacked.end() if self._stream.eof else Refusal.GZIP_MALFORMED
