"""Garbage: how often Python looks for cycles of objects that nobody holds.

States are millions of small objects that stay, without cycles; with Python's own setting a third of a replay goes into
looking through them (ADR 10). Cycles that libraries make are still found, only later.
"""

import gc
from typing import Final

#: Objects made and kept between two looks at the youngest; Python's own setting is 700.
_OBJECTS_BETWEEN_LOOKS: Final = 50_000


def collect_seldom() -> None:
    """Let this process look for garbage in proportion to what it keeps."""
    _, *older = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, *older)
