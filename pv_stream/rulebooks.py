"""Reading rulebook files: the shell's part of `rules.rulebook`.

Rulebooks ship inside the package as TOML, one file for each version; a user may name a file of their own.
"""

import hashlib
import tomllib
from importlib import resources
from pathlib import Path

from pv_stream.errors import RulebookError
from pv_stream.rules.rulebook import Rulebook, parse_rulebook

DEFAULT_VERSION = "2026.11"


def load_default() -> Rulebook:
    """Load the shipped rulebook that is used when none is named."""
    name = f"{DEFAULT_VERSION}.toml"
    return _parse(
        resources.files("pv_stream.rules").joinpath("rulebooks", name).read_bytes(),
        name,
    )


def load_file(path: Path) -> Rulebook:
    """Load a rulebook from a file.

    Raises RulebookError when it cannot be read or says something that a rulebook cannot say.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"rulebook {path}: {error.strerror}. Name a readable TOML file."
        raise RulebookError(msg) from None
    return _parse(content, str(path))


def _parse(content: bytes, name: str) -> Rulebook:
    try:
        tables = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"rulebook {name}: {error}"
        raise RulebookError(msg) from None
    return parse_rulebook(tables, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
