"""What each row of the table of tiers asks, found by trying every situation: documentation that cannot be out of date.

A condition is a conjunction of literals; a row holds when any of its conditions does. Only the shortest are kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import combinations, product
from typing import Any, Final

from pv_stream.rules.rulebook import Parameters
from pv_stream.rules.tiers import Row, Situation

#: A name of a field of `Situation`, and the truth that is asked of it, or the least score.
Literal = tuple[str, bool | int]
Condition = tuple[Literal, ...]

_SCORE: Final = "score"
#: Below every score of the table.
_NO_SCORE: Final = -9


def conditions_of(row: Row, parameters: Parameters) -> Sequence[Condition]:
    """Return the shortest conditions under which a row holds, in the order of the fields of a situation.

    Raises TypeError for a situation with a field that is neither a truth nor the score.
    """
    values = _values(parameters)
    holds = {
        truths: row.holds(_situation(values, truths), parameters) for truths in product(*values.values())
    }
    names = tuple(name for name in values if _matters(name, values, holds))
    found: list[Condition] = []
    for length in range(len(names) + 1):
        for chosen in combinations(names, length):
            for condition in product(*([(name, value) for value in _asked(name, values)] for name in chosen)):
                if not _is_covered(condition, found) and _suffices(condition, values, holds):
                    found.append(condition)
    return found


_Values = dict[str, tuple[bool | int, ...]]
_Truths = dict[tuple[bool | int, ...], bool]


def _values(parameters: Parameters) -> _Values:
    """Return the values that matter of each field: both truths, and the scores at which anything may change."""
    scores = (parameters.warning_score_min.value, parameters.critical_score_min.value)
    values: _Values = {}
    for field in fields(Situation):
        if field.name == _SCORE:
            values[field.name] = (_NO_SCORE, *scores)
        elif field.type is bool:
            values[field.name] = (False, True)
        else:
            msg = f"a situation has the field {field.name!r}, which is neither a truth nor the score"
            raise TypeError(msg)
    return values


def _situation(names: Iterable[str], truths: Iterable[bool | int]) -> Situation:
    known: dict[str, Any] = dict(zip(names, truths, strict=True))
    return Situation(**known)


def _asked(name: str, values: _Values) -> tuple[bool | int, ...]:
    return values[name][1:] if name == _SCORE else (True, False)


def _matters(name: str, values: _Values, holds: _Truths) -> bool:
    place = list(values).index(name)
    return any(
        held is not holds[(*truths[:place], value, *truths[place + 1 :])]
        for truths, held in holds.items()
        for value in values[name]
    )


def _is_covered(condition: Condition, found: Sequence[Condition]) -> bool:
    """Tell whether a shorter condition, or one of a lower score, asks for no more than this one."""
    asked = dict(condition)
    return any(
        all(name in asked and _implies(name, asked[name], value) for name, value in shorter)
        for shorter in found
    )


def _implies(name: str, value: bool | int, wanted: bool | int) -> bool:  # noqa: FBT001 - a truth or a score
    return value >= wanted if name == _SCORE else value is wanted


def _suffices(condition: Condition, values: _Values, holds: _Truths) -> bool:
    return all(holds[truths] for truths in _situations(condition, values))


def _situations(condition: Condition, values: _Values) -> Iterator[tuple[bool | int, ...]]:
    asked = dict(condition)
    return product(
        *(
            [value for value in possible if name not in asked or _implies(name, value, asked[name])]
            for name, possible in values.items()
        )
    )
