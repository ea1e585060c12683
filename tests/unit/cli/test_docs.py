"""`pv-stream docs`: written, fresh or stale, and what cannot be read."""

import shutil
from pathlib import Path

import pytest

from tests.unit.cli.calling import pv_stream

STATEMENTS = Path(__file__).parents[3] / "docs" / "traceability.toml"

UNKNOWN_CITATION = """
citations = {}
[[chapters]]
title = "A"
statements = [{ id = "a", says = "A.", cites = ["nowhere"], rules = [], tests = [] }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(STATEMENTS, tmp_path)
    return tmp_path


def test_what_was_written_is_fresh_and_what_was_edited_is_stale(folder: Path) -> None:
    assert pv_stream("docs", "--write", "--out", str(folder), cwd=folder).returncode == 0
    assert pv_stream("docs", "--check", "--out", str(folder), cwd=folder).returncode == 0

    (folder / "rules.md").write_text("edited", encoding="utf-8")
    checked = pv_stream("docs", "--check", "--out", str(folder), cwd=folder)

    assert checked.returncode == 1
    assert "rules.md is stale" in checked.stderr
    assert "traceability.md" not in checked.stderr


def test_without_an_option_the_documents_are_printed(folder: Path) -> None:
    said = pv_stream("docs", "--out", str(folder), cwd=folder)

    assert said.returncode == 0
    assert "# The rules" in said.stdout
    assert "# Traceability" in said.stdout
    assert not (folder / "rules.md").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("chapters = [", "not TOML"),
        ("citations = {}", "chapters: Field required"),
        (
            UNKNOWN_CITATION,
            "statement a: the citation 'nowhere'",
        ),
    ],
)
def test_statements_that_cannot_be_read_are_named(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "traceability.toml").write_text(text, encoding="utf-8")

    said = pv_stream("docs", "--out", str(tmp_path), cwd=tmp_path)

    assert said.returncode == 4
    assert words in said.stderr


def test_writing_and_checking_at_once_is_refused(folder: Path) -> None:
    assert pv_stream("docs", "--write", "--check", "--out", str(folder), cwd=folder).returncode == 2
