"""A table beside a log: a CSV file with one row for each patient, for what no log holds."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pv_stream.errors import DataError

T = TypeVar("T")


def read_patient_table(
    path: Path, columns: Sequence[str], read: Callable[[Mapping[str, str]], T]
) -> dict[str, T]:
    """Return what `read` makes of each row, by its `patient_id`; `columns` must be there, others may.

    Raises DataError naming the line that cannot be read: also where `read` raises ValueError, with its text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                msg = f"{path} line 1: the columns {', '.join(missing)} are missing, separated by commas"
                raise DataError(msg)
            found: dict[str, T] = {}
            for row in rows:
                try:
                    found[_new_patient(row["patient_id"], found)] = read(row)
                except ValueError as error:
                    msg = f"{path} line {rows.line_num}: {error}"
                    raise DataError(msg) from None
            return found
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise DataError(msg) from None
    except (UnicodeDecodeError, csv.Error):
        msg = f"{path}: not a CSV file in UTF-8"
        raise DataError(msg) from None


def _new_patient(patient_id: str, found: Mapping[str, object]) -> str:
    if not patient_id:
        msg = "no patient_id"
        raise ValueError(msg)
    if patient_id in found:
        msg = f"{patient_id} stands twice"
        raise ValueError(msg)
    return patient_id
