"""`pv-stream docs`: written, fresh or stale."""

from pathlib import Path

from tests.unit.cli.calling import pv_stream


def test_what_was_written_is_fresh_and_what_was_edited_is_stale(tmp_path: Path) -> None:
    assert pv_stream("docs", "--write", "--out", str(tmp_path), cwd=tmp_path).returncode == 0
    assert pv_stream("docs", "--check", "--out", str(tmp_path), cwd=tmp_path).returncode == 0

    (tmp_path / "rules.md").write_text("edited", encoding="utf-8")
    checked = pv_stream("docs", "--check", "--out", str(tmp_path), cwd=tmp_path)

    assert checked.returncode == 1
    assert "rules.md is stale" in checked.stderr
    assert "traceability.md" not in checked.stderr


def test_without_an_option_the_documents_are_printed(tmp_path: Path) -> None:
    said = pv_stream("docs", "--out", str(tmp_path), cwd=tmp_path)

    assert said.returncode == 0
    assert "# The rules" in said.stdout
    assert "# Traceability" in said.stdout
    assert list(tmp_path.iterdir()) == []


def test_writing_and_checking_at_once_is_refused(tmp_path: Path) -> None:
    assert pv_stream("docs", "--write", "--check", "--out", str(tmp_path), cwd=tmp_path).returncode == 2
