"""What is built often is built quickly, and is in all else the dataclass that it was."""

import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from inspect import signature

import pytest

from pv_stream.domain.often_built import often_built


@dataclass(frozen=True, slots=True, order=True)
class _Plain:
    key: str
    count: int = 3
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.count < 0:
            msg = "fewer than none"
            raise ValueError(msg)


@often_built
@dataclass(frozen=True, slots=True, order=True)
class _Quick:
    key: str
    count: int = 3
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.count < 0:
            msg = "fewer than none"
            raise ValueError(msg)


def test_it_takes_the_same_arguments_and_has_the_same_fields() -> None:
    """By place, by name, and left out."""
    assert signature(_Quick) == signature(_Plain)
    for made in (_Quick("a"), _Quick("a", 3), _Quick(key="a", names=[]), _Quick("a", count=3)):
        assert (made.key, made.count, made.names) == ("a", 3, [])
        assert made == _Quick("a")
        assert hash(replace(made, names=()))  # type: ignore[arg-type]  # a list has no hash
        assert repr(made) == repr(_Plain("a")).replace("Plain", "Quick")


def test_what_is_left_out_is_made_anew_for_each() -> None:
    """Two values never share a list that neither was given."""
    one, other = _Quick("a"), _Quick("a")
    one.names.append("b")
    assert other.names == []


def test_it_stays_frozen() -> None:
    """A fact never changes, however it was built."""
    made = _Quick("a")
    with pytest.raises(FrozenInstanceError):
        made.count = 4  # type: ignore[misc]  # that is what is tested
    with pytest.raises(FrozenInstanceError):
        del made.count
    assert made.count == 3


def test_what_a_class_refuses_is_refused() -> None:
    """The check of the class still runs, also where a value is replaced."""
    with pytest.raises(ValueError, match="fewer than none"):
        _Quick("a", -1)
    with pytest.raises(ValueError, match="fewer than none"):
        replace(_Quick("a"), count=-1)
    with pytest.raises(TypeError, match="key"):
        _Quick()  # type: ignore[call-arg]  # that is what is tested


def test_it_can_be_sent_to_another_process_and_put_in_order() -> None:
    """Pickling and comparing see no difference."""
    assert pickle.loads(pickle.dumps(_Quick("a", 4, ["b"]))) == _Quick("a", 4, ["b"])  # noqa: S301 - our own bytes
    assert _Quick("a", 2) < _Quick("a", 3)
