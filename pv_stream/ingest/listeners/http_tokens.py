"""Bearer tokens (RFC 6750): who may send. Only their digests are held."""

import hashlib
import hmac
import re
from typing import Final

from pv_stream.errors import UsageError

#: Shorter ones can be guessed.
TOKEN_LENGTH_MIN: Final = 32
_SCHEME: Final = re.compile(r"bearer +", re.IGNORECASE | re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


class Tokens:
    """Know the tokens by their SHA-256 digests."""

    def __init__(self, listed: str) -> None:
        """Take tokens, one to a line or with spaces or commas between. Raise UsageError for one that cannot serve."""
        self._digests: list[bytes] = []
        for number, token in enumerate(re.split(r"[\s,]+", listed.strip()), start=1):
            if not _TOKEN.fullmatch(token) or len(token) < TOKEN_LENGTH_MIN:
                message = (
                    f"PV_STREAM_HTTP_TOKENS: token {number} must have at least {TOKEN_LENGTH_MIN} letters, digits "
                    "or -._~+/ (make one with `openssl rand -hex 32`)"
                )
                raise UsageError(message)
            self._digests.append(_digest(token))

    def owner_of(self, authorization: str) -> bytes | None:
        """Return the digest of the token in an Authorization header, or None when it is not one of ours.

        Every digest is compared, each in constant time, so that the time says nothing about them.
        """
        scheme = _SCHEME.match(authorization)
        if scheme is None:
            return None
        sent = _digest(authorization[scheme.end() :])
        matches = [hmac.compare_digest(sent, digest) for digest in self._digests]
        return sent if any(matches) else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
