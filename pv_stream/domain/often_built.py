"""Often built: frozen dataclasses of which there are several for each event, built in less than half the time.

The `__init__` that `dataclasses` writes for a frozen class looks each field up by its name, through
`object.__setattr__`. The one written here sets the slots themselves. Nothing else about the class changes.
"""

from dataclasses import MISSING, fields
from inspect import signature
from typing import Any, TypeVar

_Kind = TypeVar("_Kind", bound=type)


def often_built(kind: _Kind) -> _Kind:
    """Return a frozen dataclass with slots, whose instances are now built quickly.

    It takes the same arguments, with the same defaults, and is as frozen as before.
    """
    written: Any = kind.__init__  # type: ignore[misc]  # asked of the class, never of an instance
    taken = signature(written).parameters
    known: dict[str, Any] = {}
    lines = []
    for each in fields(kind):
        value = each.name
        known[f"set_{each.name}"] = kind.__dict__[each.name].__set__
        if each.default_factory is not MISSING:
            known[f"make_{each.name}"], known["MISSING"] = each.default_factory, taken[each.name].default
            value = f"make_{each.name}() if {each.name} is MISSING else {each.name}"
        lines.append(f"set_{each.name}(self, {value})")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    exec("\n ".join((f"def __init__({', '.join(taken)}):", *lines)), known)  # noqa: S102 - as dataclasses does it
    quick = known["__init__"]
    quick.__qualname__, quick.__annotations__ = written.__qualname__, written.__annotations__
    quick.__defaults__ = written.__defaults__
    kind.__init__ = quick  # type: ignore[misc]
    return kind
