"""Notes on actions: what a person wrote about an alert, for its owner alone, beside the settings' local files.

Free text may hold anything, so it never enters a topic, a log or an output. The note carries the id of the action,
by which the two are found together.
"""

import json
import os
from pathlib import Path
from typing import Final

from pv_stream.errors import DataError, UsageError

NOTES_NAME: Final = "action-notes.jsonl"
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


def keep_note(folder: Path, *, action_id: str, alert_id: str, at: str, note: str) -> Path:
    """Append a note to the owner's file and return where it stands.

    Raises UsageError when others can read the file, DataError when it cannot be written.
    """
    path = folder / NOTES_NAME
    entry = {"action_id": action_id, "alert_id": alert_id, "at": at, "note": note}
    try:
        folder.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE_MODE), "ab") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                msg = f"{path}: others can read it. `chmod 600` it; nothing was written."
                raise UsageError(msg)
            file.write(json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        msg = f"{path}: {error.strerror}. The note was not kept and nothing was acted on."
        raise DataError(msg) from None
    return path
