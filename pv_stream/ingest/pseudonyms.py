"""Pseudonyms: no identifier of a patient, order, specimen or resource enters the log as it was sent.

A pseudonym is a keyed HMAC-SHA256 over what is named and its parts, so the same identifier gives the same pseudonym
in every message and nobody without the key can go back. The key comes from PV_STREAM_PSEUDONYM_KEY or the file that
PV_STREAM_PSEUDONYM_KEY_FILE names; without either, an owner-only key file is made once beside the other local files.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.errors import UsageError
from pv_stream.settings import Settings

#: The key of the demo. It is in the source, so it protects nothing: for synthetic data only.
DEMO_KEY: Final = "demo"
KEY_FILE_NAME: Final = "pseudonym.key"
KEY_CHARACTERS_MIN: Final = 16

_HEX_DIGITS: Final = 32
_KEY_ID_DIGITS: Final = 8
_BLOCK_BYTES: Final = 64  # of SHA-256
_PADS: Final = (0x36, 0x5C)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Make pseudonyms with one key. The key never shows in a representation."""

    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Return the name of the key, which tells keys apart and gives nothing away."""
        if self.is_demo:
            return DEMO_KEY
        return hashlib.sha256(b"pv_stream key id\x1f" + self.key).hexdigest()[:_KEY_ID_DIGITS]

    @property
    def is_demo(self) -> bool:
        """Tell whether this is the published key of the demo."""
        return self.key == DEMO_KEY.encode()

    def patient(self, authority: str, identifier: str) -> PatientId:
        """Return the pseudonym of a patient's identifier within its assigning authority."""
        return PatientId(self._name("pat", authority, identifier))

    def fact(self, kind: str, *parts: str) -> FactKey:
        """Return the key of a fact, from the business identity of what was stated."""
        return FactKey(self._name(kind, *parts))

    def actor(self, identifier: str) -> str:
        """Return the pseudonym of a person who acts on alerts."""
        return self._name("actor", identifier)

    def specimen(self, *parts: str) -> str:
        """Return the pseudonym of a specimen."""
        return self._name("spec", *parts)

    def facts(self, kind: str, *shared: str) -> Callable[..., FactKey]:
        """Return what names the facts that share their first parts: it takes the others, and gives what `fact` does."""
        inner, outer = _keyed(self.key)
        begun = inner.copy()
        begun.update(kind.encode() + _joined(shared))

        def named(*parts: str) -> FactKey:
            return FactKey(_finished(kind, begun, outer, _joined(parts)))

        return named

    def _name(self, kind: str, *parts: str) -> str:
        inner, outer = _keyed(self.key)
        return _finished(kind, inner, outer, kind.encode() + _joined(parts))


def _joined(parts: Iterable[str]) -> bytes:
    """Return the bytes of the parts, each after its length: ("a", "bc") and ("ab", "c") must not meet."""
    joined = b""
    for part in parts:
        content = part.strip().encode("utf-8", "surrogatepass")
        joined += len(content).to_bytes(8, "big") + content
    return joined


def _finished(kind: str, begun: "hashlib._Hash", outer: "hashlib._Hash", rest: bytes) -> str:
    """Return the pseudonym of what the inner hash has taken and the rest; both hashes stay as they are."""
    inner, finished = begun.copy(), outer.copy()
    inner.update(rest)
    finished.update(inner.digest())
    return f"{kind}_{finished.hexdigest()[:_HEX_DIGITS]}"


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Return the two hashes of HMAC-SHA256 (RFC 2104) that have taken the key: each pseudonym goes on from a copy."""
    block = hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key
    padded = block.ljust(_BLOCK_BYTES, b"\0")
    return tuple(hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in _PADS)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """Hold the pseudonyms to use and, when a key file was made just now, where."""

    pseudonyms: Pseudonyms
    made_at: Path | None = None


def choose_key(settings: Settings, *, may_make: bool = True) -> KeyChoice:
    """Return pseudonyms with the configured key, else with the key file beside the local files, made if absent.

    Raises UsageError when the key is too short to protect anything, its file cannot be used, or there is no key and
    none may be made: a log that others write too has one already.
    """
    if settings.pseudonym_key is not None:
        return KeyChoice(
            Pseudonyms(_checked(settings.pseudonym_key.get_secret_value(), "PV_STREAM_PSEUDONYM_KEY"))
        )
    path = settings.state_dir / KEY_FILE_NAME
    if not may_make and not path.exists():
        message = (
            "no pseudonym key: name the key of this log in PV_STREAM_PSEUDONYM_KEY or PV_STREAM_PSEUDONYM_KEY_FILE "
            "(a new one would give its patients other pseudonyms)"
        )
        raise UsageError(message)
    try:
        made = _make_key_file(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a key file"
        message = f"pseudonym key {path}: {reason}. Make it readable, or set PV_STREAM_PSEUDONYM_KEY_FILE."
        raise UsageError(message) from None
    return KeyChoice(Pseudonyms(_checked(key, str(path))), path if made else None)


def _checked(key: str, where: str) -> bytes:
    if key != DEMO_KEY and len(key) < KEY_CHARACTERS_MIN:
        message = f"{where}: a pseudonym key has at least {KEY_CHARACTERS_MIN} characters (demo is the key of the demo)"
        raise UsageError(message)
    return key.encode()


def _make_key_file(path: Path) -> bool:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return True
