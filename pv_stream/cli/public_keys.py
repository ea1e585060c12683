"""Public keys of the workers, as commands are given them: `--public-key FILE`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.errors import DataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PublicKeysOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--public-key", metavar="FILE", help="Key of the workers (PEM), from `audit keygen`; may be repeated."
    ),
]


def read_public_keys(files: Sequence[Path] | None) -> "list[Ed25519PublicKey]":
    """Return the keys. Raises DataError for a file that cannot be read, UsageError for one that holds none."""
    from pv_stream.ledger.keys import read_public_key  # noqa: PLC0415 - `--help` must not pay for it

    keys: list[Ed25519PublicKey] = []
    for file in files or ():
        try:
            keys.append(read_public_key(file.read_bytes(), name=str(file)))
        except OSError as error:
            message = f"{file}: {error.strerror}"
            raise DataError(message) from None
    return keys
