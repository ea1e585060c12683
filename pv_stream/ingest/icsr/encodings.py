"""Documents in UTF-16 as UTF-8, so that what searches bytes for markup sees all of it.

UTF-16 is known by its byte-order mark, or by a `<` of two bytes. What claims another encoding than it has, or is not
whole, stays as it is: nothing that holds zero bytes is ever parsed.
"""

import codecs
import re
from typing import Final

_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BEGINNINGS: Final = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
_DECLARED: Final = re.compile(r"""<\?xml\s[^<>]{0,200}?(encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'])""")
_NAMES: Final = frozenset({"utf-16", "utf-16le", "utf-16be"})


def in_utf8(content: bytes) -> bytes:
    """Return a document in UTF-16 as UTF-8, its declaration without an encoding; any other document as it is."""
    found = _encoding_of(content)
    if found is None:
        return content
    mark, encoding = found
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        return content
    declared = _DECLARED.match(text.lstrip())
    if declared is None:
        return text.encode()
    if declared[2].lower() not in _NAMES:
        return content
    start, end = (len(text) - len(text.lstrip()) + place for place in declared.span(1))
    return (text[:start] + " " * (end - start) + text[end:]).encode()


def beginning_in_utf8(head: bytes) -> bytes:
    """Return the beginning of a document in UTF-16 as UTF-8, wherever it was cut; any other as it is."""
    found = _encoding_of(head)
    if found is None:
        return head
    mark, encoding = found
    return head[len(mark) :].decode(encoding, errors="replace").encode()


def _encoding_of(content: bytes) -> tuple[bytes, str] | None:
    """Return the byte-order mark and the name of UTF-16; None for anything else."""
    marked = ((mark, name) for mark, name in _MARKS if content.startswith(mark))
    unmarked = ((b"", name) for beginning, name in _BEGINNINGS if content.startswith(beginning))
    return next(marked, None) or next(unmarked, None)
