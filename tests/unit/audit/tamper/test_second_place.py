"""What lies in a second place is never taken back, and whatever the log does not bear out is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from pv_stream.audit.tamper.checking import Known
from pv_stream.audit.tamper.second_place import add, contradictions, read_notes
from pv_stream.errors import DataError
from tests.unit.audit.tamper.written import some_written

HEAD = some_written().head_of(0)


def test_a_head_is_added_once_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert add(folder, 0, HEAD)
    assert not add(folder, 0, HEAD)
    (folder / "notes of a person.txt").write_text("any")
    assert read_notes(folder) == {0: [Known(HEAD, str(folder / "00000-000000000010.note"))]}


def test_what_is_borne_out_is_no_contradiction() -> None:
    assert contradictions(0, [HEAD], [Known(HEAD, "n")]) == []


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ([], "n knows 10 records and the log 0: it was cut off"),
        ([replace(HEAD, size=9)], "n knows 10 records and the log 9: it was cut off"),
        ([replace(HEAD, size=11)], "n is of 10 records, and the log has no tree head of that size"),
        ([replace(HEAD, root=b"f" * 32)], "n says something else than the log does of the same 10 records"),
    ],
)
def test_a_contradiction_is_named(there: list[object], says: str) -> None:
    (found,) = contradictions(0, there, [Known(HEAD, "n")])  # type: ignore[arg-type]
    assert found.says == says


def test_a_note_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "00000-000000000010.note").write_text("x")
    with pytest.raises(DataError, match=r"00000-000000000010\.note is not a tree head"):
        read_notes(tmp_path)
    with pytest.raises(DataError, match="Name the folder"):
        read_notes(tmp_path / "missing")
