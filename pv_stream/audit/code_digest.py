"""The digest of the code that replays: what one version of it half did, another must not finish."""

import hashlib
from pathlib import Path

import pv_stream


def code_digest() -> str:
    """Return the digest of every file of the package that decides what a replay says."""
    folder = Path(pv_stream.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for kind in ("*.py", "*.toml") for path in folder.rglob(kind)):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\x00")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()}"
