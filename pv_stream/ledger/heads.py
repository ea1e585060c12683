"""Tree heads: a ledger at one size, signed, as a record of its topic and as a note that can lie in another place.

The text that is signed is a checkpoint as C2SP's tlog-checkpoint says it (origin, size, root), with two lines more: the
link and the input position that the ledger has come to. The signature is Ed25519 (RFC 8032), which needs no randomness:
the same ledger gives the same head.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCHEMA_VERSION: Final = 1
#: How signed notes write which algorithm a key is for.
_ED25519: Final = b"\x01"
_SIGNATURE_MARK: Final = "— "
_BODY_LINES: Final = 5


class NotATreeHead(ValueError):
    """Say that a text or record is no tree head."""


@dataclass(frozen=True, slots=True)
class TreeHeadRecord:
    """Carry a tree head in its topic: hashes as hexadecimal digits, the signature in base64; none: not signed."""

    schema_version: int
    origin: str
    size: int
    root: str
    link: str
    next_position: int
    key_id: str | None
    signature: str | None


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Hold what is said of a shard's ledger at one size.

    `origin` names the log and the shard; `next_position` is the input position behind the last record that was
    processed; `signature` is None when the worker had no key.
    """

    origin: str
    size: int
    root: bytes
    link: bytes
    next_position: int
    key_id: str | None = None
    signature: bytes | None = None

    @property
    def text(self) -> bytes:
        """Return what is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nlink {self.link.hex()}\nposition {self.next_position}\n".encode()

    @property
    def note(self) -> str:
        """Return the head as a signed note."""
        signed = ""
        if self.signature is not None and self.key_id is not None:
            signature = base64.b64encode(bytes.fromhex(self.key_id) + self.signature).decode()
            signed = f"{_SIGNATURE_MARK}{self.origin} {signature}\n"
        return f"{self.text.decode()}\n{signed}"

    def to_bytes(self) -> bytes:
        """Return the value of its record."""
        record = TreeHeadRecord(
            schema_version=SCHEMA_VERSION,
            origin=self.origin,
            size=self.size,
            root=self.root.hex(),
            link=self.link.hex(),
            next_position=self.next_position,
            key_id=self.key_id,
            signature=None if self.signature is None else base64.b64encode(self.signature).decode(),
        )
        return json.dumps(asdict(record), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> "TreeHead":
        """Read the value of a record. Raises NotATreeHead."""
        try:
            fields = json.loads(value or b"")
            if fields["schema_version"] != SCHEMA_VERSION:
                raise NotATreeHead
            signature = fields.get("signature")
            return cls(
                str(fields["origin"]),
                _count(fields["size"]),
                bytes.fromhex(fields["root"]),
                bytes.fromhex(fields["link"]),
                _count(fields["next_position"]),
                fields.get("key_id"),
                None if signature is None else base64.b64decode(signature, validate=True),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotATreeHead from error

    @classmethod
    def from_note(cls, note: str) -> "TreeHead":
        """Read a signed note, of which the first signature counts. Raises NotATreeHead."""
        body, _, signatures = note.partition("\n\n")
        lines = body.split("\n")
        try:
            if len(lines) != _BODY_LINES:
                raise NotATreeHead
            origin, size, root, link, position = lines
            head = cls(
                origin,
                _digits(size),
                base64.b64decode(root, validate=True),
                bytes.fromhex(link.removeprefix("link ")),
                _digits(position.removeprefix("position ")),
                *_signature_of(origin, signatures),
            )
            # Nothing may stand there that the text would not say again: only that is signed.
            if head.text.decode() != f"{body}\n":
                raise NotATreeHead
        except (ValueError, binascii.Error) as error:
            raise NotATreeHead from error
        return head


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NotATreeHead
    return value


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise NotATreeHead
    return int(text)


def _signature_of(origin: str, signatures: str) -> tuple[str | None, bytes | None]:
    for line in signatures.splitlines():
        if line.startswith(f"{_SIGNATURE_MARK}{origin} "):
            content = base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
            return content[:4].hex(), content[4:]
    return None, None


def key_id_of(public_key: "Ed25519PublicKey", origin: str) -> str:
    """Return how signed notes call a key for an origin: 4 bytes as hexadecimal digits."""
    content = origin.encode() + b"\n" + _ED25519 + public_key.public_bytes_raw()
    return hashlib.sha256(content).hexdigest()[:8]


def signed(head: TreeHead, key: "Ed25519PrivateKey | None") -> TreeHead:
    """Return a head with the signature of a key, or as it is without one."""
    if key is None:
        return head
    return replace(head, key_id=key_id_of(key.public_key(), head.origin), signature=key.sign(head.text))


def is_signed_by(head: TreeHead, keys: "Iterable[Ed25519PublicKey]") -> bool:
    """Tell whether one of some public keys made the signature of a head."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only who has keys needs it

    if head.signature is None:
        return False
    for key in keys:
        if key_id_of(key, head.origin) == head.key_id:
            try:
                key.verify(head.signature, head.text)
            except InvalidSignature:
                continue
            return True
    return False
