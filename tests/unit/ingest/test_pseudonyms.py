"""Pseudonyms: the same for the same identifier under one key, unrelated otherwise, and never the identifier."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pv_stream.domain.ids import IDENTIFIER
from pv_stream.errors import UsageError
from pv_stream.ingest.pseudonyms import DEMO_KEY, Pseudonyms, choose_key
from pv_stream.settings import Settings

ONE, OTHER = Pseudonyms(b"the first key of the tests"), Pseudonyms(b"the second key of the tests")


def test_a_pseudonym_depends_on_key_authority_and_identifier_and_nothing_else() -> None:
    assert ONE.patient("NORTH", "123") == ONE.patient("NORTH", " 123 ")
    assert len({ONE.patient("NORTH", "123"), OTHER.patient("NORTH", "123"), ONE.patient("SOUTH", "123")}) == 3


def test_parts_do_not_run_into_each_other() -> None:
    assert ONE.patient("a", "bc") != ONE.patient("ab", "c")
    assert ONE.fact("lab", "a", "") != ONE.fact("lab", "", "a")


@given(st.text(), st.text())
def test_every_pseudonym_is_an_identifier_of_the_log(authority: str, identifier: str) -> None:
    assert IDENTIFIER.fullmatch(ONE.patient(authority, identifier))
    assert IDENTIFIER.fullmatch(ONE.specimen(authority, identifier))


def test_the_key_shows_nowhere() -> None:
    assert "first key" not in repr(ONE)
    assert ONE.key_id != OTHER.key_id
    assert "first" not in ONE.key_id


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    first, second = choose_key(settings), choose_key(settings)
    assert first.made_at is not None
    assert second.made_at is None
    assert first.pseudonyms == second.pseudonyms
    assert stat.S_IMODE(first.made_at.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.made_at.parent.stat().st_mode) == 0o700


def test_a_configured_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    choice = choose_key(Settings(state_dir=tmp_path, pseudonym_key=SecretStr("k" * 16)))
    assert choice.pseudonyms.key == b"k" * 16
    assert list(tmp_path.iterdir()) == []


def test_the_demo_key_is_known_by_name() -> None:
    choice = choose_key(Settings(pseudonym_key=SecretStr(DEMO_KEY)))
    assert choice.pseudonyms.is_demo
    assert choice.pseudonyms.key_id == "demo"


@pytest.mark.parametrize("key", ["", "short", "k" * 15])
def test_a_key_that_protects_nothing_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_key(Settings(pseudonym_key=SecretStr(key)))
    assert not key or key not in str(caught.value).split(":")[0]


def test_a_key_file_that_cannot_be_read_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").mkdir()
    with pytest.raises(UsageError, match=r"pseudonym\.key"):
        choose_key(Settings(state_dir=tmp_path))
