"""Flag words: what a flag of an alert says to a person, where its name alone does not."""

from collections.abc import Iterable, Mapping
from typing import Final

from pv_stream.domain.assessment import EpisodeFlag

_WORDS: Final[Mapping[str, str]] = {
    EpisodeFlag.THINNED.value: "thinned (so many temperatures below a fever, or weights, came in a day that some "
    "were not kept; every blood count, organ test, fever, finding and drug was)",
}


def words_of(flags: Iterable[str]) -> str:
    """Return flags as a person reads them, in their order."""
    return ", ".join(_WORDS.get(flag, flag.replace("_", " ")) for flag in flags)


def remarks_on(flags: Iterable[str]) -> str:
    """Return what a line about an alert must add because of its flags: those that need words, or nothing."""
    return "".join(f"; {_WORDS[flag]}" for flag in flags if flag in _WORDS)
