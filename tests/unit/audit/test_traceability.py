"""Statements that cannot be read are named, with what is wrong about them."""

from pathlib import Path

import pytest

from pv_stream.audit.traceability import read_traceability, shipped_traceability, traceability_document
from pv_stream.errors import DataError
from tests.builders import RULEBOOK

UNKNOWN_CITATION = """
citations = {}
[[chapters]]
title = "A"
statements = [{ id = "a", says = "A.", cites = ["nowhere"], rules = [], tests = [] }]
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("chapters = [", "not TOML"),
        ("citations = {}", "chapters: Field required"),
        (UNKNOWN_CITATION, "statement a: the citation 'nowhere'"),
    ],
)
def test_statements_that_cannot_be_read_are_named(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "traceability.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(DataError, match=words):
        traceability_document(read_traceability(path), RULEBOOK)


def test_where_no_table_says_it_the_module_that_does_is_named() -> None:
    document = traceability_document(shipped_traceability(), RULEBOOK)

    assert "module `engine.join`" in document
    assert "`course:controlled_under_treatment`<br>module `rules.masking`" in document
