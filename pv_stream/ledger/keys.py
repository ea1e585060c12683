"""Keys of the ledger: Ed25519, as PEM text, that `openssl` and every other tool reads."""

from typing import TYPE_CHECKING, Final

from pv_stream.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_NO_LIBRARY: Final = "a ledger's key needs the extra 'audit': pip install 'pv-stream[audit]'"


def new_key() -> tuple[bytes, bytes]:
    """Return a new private key and its public key, each as PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see below
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def read_private_key(text: str) -> "Ed25519PrivateKey":
    """Return the private key of a PEM text. Raises UsageError, which quotes nothing of it."""
    # Only who signs or checks pays for the library, and must have it.
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ModuleNotFoundError:
        raise UsageError(_NO_LIBRARY) from None

    message = (
        "the ledger's key is not an Ed25519 private key without a password (PEM): "
        "`pv-stream audit keygen` makes one"
    )
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        raise UsageError(message) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(message)
    return key


def read_public_key(text: bytes, *, name: str) -> "Ed25519PublicKey":
    """Return the public key of a PEM text. Raises UsageError naming where it came from."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    except ModuleNotFoundError:
        raise UsageError(_NO_LIBRARY) from None

    message = (
        f"{name} is not an Ed25519 public key (PEM): name the .pub file that `pv-stream audit keygen` wrote"
    )
    try:
        key = load_pem_public_key(text)
    except ValueError:
        raise UsageError(message) from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(message)
    return key
