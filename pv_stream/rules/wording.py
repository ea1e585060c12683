"""Wording: the text of a criterion with the numbers of the rulebook in it, so that no other rulebook makes it lie."""

import re
from typing import Final

from pv_stream.rules.rulebook import Count, Number, Parameters

_NAMED: Final = re.compile(r"\{(\w+)\}")


def worded(text: str, parameters: Parameters) -> str:
    """Return a text in which each `{name}` of a parameter is its value, as 1,500 or 38.5."""

    def value_of(found: re.Match[str]) -> str:
        number: Number | Count = getattr(parameters, found[1])
        return f"{number.value:,}"

    return _NAMED.sub(value_of, text)
