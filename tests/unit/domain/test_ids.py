"""Identity: ids and shards come from content alone, and stay the same for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.ids import IDENTIFIER, derive_id, derive_new_id, shard_of


def test_an_id_that_was_published_never_changes() -> None:
    """These are golden: if this test fails, published alerts would lose their ids."""
    assert derive_id("ep", "patient-1", "lab:1") == "ep_7155a5fb658495706df6e350decd8ef1"
    assert [shard_of(f"patient-{n}", 12) for n in range(6)] == [5, 8, 0, 7, 8, 0]


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_other_parts_give_another_id(one: list[str], other: list[str]) -> None:
    separator = "\x1f"
    same = separator.join(one) == separator.join(other)
    if not any("\ud800" <= c <= "\udfff" for part in [*one, *other] for c in part):
        assert (derive_id("x", *one) == derive_id("x", *other)) is same


def test_the_parts_do_not_run_into_each_other() -> None:
    assert derive_id("x", "ab", "c") != derive_id("x", "a", "bc")
    assert derive_id("x", "a") != derive_id("y", "a")


def test_an_id_that_is_used_gets_a_number() -> None:
    first = derive_new_id("al", ("p", "drug"), [])
    second = derive_new_id("al", ("p", "drug"), [first])
    third = derive_new_id("al", ("p", "drug"), [first, second])
    assert first == derive_id("al", "p", "drug")
    assert len({first, second, third}) == 3


@given(st.text(max_size=20), st.integers(1, 64))
def test_a_shard_is_one_of_the_shards(patient: str, shards: int) -> None:
    assert 0 <= shard_of(patient, shards) < shards
    assert shard_of(patient, 1) == 0


@pytest.mark.parametrize("text", ["a", "0", "hmac:ab.c_d-e", "x" * 80])
def test_a_pseudonym_is_an_identifier(text: str) -> None:
    assert IDENTIFIER.fullmatch(text)


@pytest.mark.parametrize("text", ["", "John Doe", "-a", "@clock", "x" * 81, "é", "a\n"])
def test_a_name_is_none(text: str) -> None:
    assert not IDENTIFIER.fullmatch(text)
