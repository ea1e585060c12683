"""A flag that needs words has them, in `explain` and in a report."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pv_stream.audit.dossier import Selection, dossier_of
from pv_stream.audit.dossier_page import page_of
from pv_stream.audit.flag_words import remarks_on, words_of
from pv_stream.cli.main import app
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import FindingCode
from tests.builders import at, dose, eosinophils, present, temperature
from tests.unit.audit.logs import plan_of, write_lines

SAYS = "some were not kept; every blood count, organ test, fever, finding and drug was"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a patient with a temperature each half hour of the day before a rash."""
    told = [dose("imatinib", at(0)), eosinophils(1600, at(20, 0))]
    told += [temperature("36.8", at(20, 0, minute)) for minute in range(0, 24 * 60, 30)]
    told.append(present(FindingCode.RASH, at(21)))
    return write_lines(tmp_path_factory.mktemp("thinned") / "log.jsonl", map(encode_event, told))


def test_flags_are_read_without_underscores_and_thinned_with_what_it_means() -> None:
    assert words_of(["weak_key", "second_hit"]) == "weak key, second hit"
    assert SAYS in words_of(["thinned"])
    assert remarks_on(["weak_key"]) == ""


def test_explain_says_what_thinned_means(log: Path) -> None:
    printed = CliRunner().invoke(app, ["explain", "al_", "--log", str(log)], terminal_width=200)
    assert SAYS in " ".join(printed.output.split())


def test_a_report_says_it_where_it_was_told_and_not_before(log: Path) -> None:
    page = page_of(dossier_of(plan_of(log), Selection()))
    *earlier, last = (line for line in page.split("<tr>") if "revision " in line)
    assert earlier
    assert not any("some were not kept" in line for line in earlier)
    assert SAYS in last
