import json
from importlib import resources
from pathlib import Path

from tests.unit.audit.logs import imatinib_lines, write_lines
from tests.unit.cli.calling import pv_stream

SHIPPED = "2026.11"


def _without_imatinib(tmp_path: Path) -> Path:
    """Return a rulebook that does not watch imatinib."""
    text = (
        resources.files("pv_stream.rules")
        .joinpath("rulebooks", f"{SHIPPED}.toml")
        .read_text(encoding="utf-8")
    )
    others = [part for part in text.split("[[drugs]]\n") if not part.startswith('name = "imatinib"')]
    file = tmp_path / "trial.toml"
    changed = "[[drugs]]\n".join(others).replace(f'version = "{SHIPPED}"', 'version = "trial"')
    file.write_text(changed, encoding="utf-8")
    return file


def test_who_would_have_been_told_otherwise_is_a_finding_with_its_reason(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    trial = _without_imatinib(tmp_path)

    said = pv_stream("diff", str(log), SHIPPED, str(trial), "--html", "diff.html", cwd=tmp_path)

    assert said.returncode == 1, said.stderr
    assert said.stdout.startswith("WHAT IF")
    assert "drugs.imatinib" in said.stdout
    assert "drugs.imatinib" in (tmp_path / "diff.html").read_text(encoding="utf-8")


def test_the_same_rulebook_twice_is_no_finding(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())

    said = pv_stream("diff", str(log), SHIPPED, SHIPPED, cwd=tmp_path)

    assert said.returncode == 0
    assert "Nobody would have been told otherwise" in said.stdout


def test_every_difference_is_there_for_a_program(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())

    said = pv_stream("diff", str(log), SHIPPED, str(_without_imatinib(tmp_path)), "--json", cwd=tmp_path)

    document = json.loads(said.stdout)
    assert document["what_if"] is True
    assert document["changes"] == ["drugs.imatinib"]
    assert {each["because"][0] for each in document["differences"]} == {"drugs.imatinib"}
