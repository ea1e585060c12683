"""E2B files as messages: a batch is one file, and each report in it is one message.

Each message is a document of its own: what stands before the first report, the report, and what stands after the
last. So a report that cannot be read takes no other with it, and all of them know the header of their batch. A batch
that is cut off has no end, and none of its messages is well-formed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pv_stream.ingest.icsr.encodings import beginning_in_utf8, in_utf8

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What stands before the first report and after the last is a header of some hundred bytes, and a report is longer:
#: repeating the header costs at most so many times the file.
FRAMES_MAX: Final = 32

_ROOT: Final = re.compile(
    rb"<(?:[A-Za-z_][\w.-]{0,30}:)?(?:MCCI_IN200100UV01|PORR_IN049016UV|ichicsr)[\s>]", re.IGNORECASE
)
_PIECE: Final = re.compile(
    rb"<!--|-->|<!\[CDATA\[|\]\]>|<(/?)(?:[A-Za-z_][\w.-]{0,30}:)?(?:PORR_IN049016UV|safetyreport)[\s>]",
    re.IGNORECASE,
)
_ENDS: Final = {b"<!--": b"-->", b"<![cdata[": b"]]>"}


@dataclass(frozen=True, slots=True)
class Part:
    """Hold one message of a batch, where its report begins in the file and how long that is."""

    content: bytes
    offset: int
    size: int


def is_e2b(head: bytes) -> bool:
    """Tell whether a file that begins so is E2B, by the name of its outermost element."""
    text = beginning_in_utf8(head).removeprefix(_BYTE_ORDER_MARK).lstrip()
    return text.startswith(b"<") and _ROOT.search(text) is not None


def split_batch(content: bytes) -> Iterator[Part]:
    """Yield the messages of a document; a document without a report, or with one alone, is one message as it is.

    Those of a batch in UTF-16 are UTF-8, and their places are those in UTF-8.
    """
    whole, content = content, in_utf8(content)
    spans = list(_spans(content))
    head, tail = spans[0][0] if spans else 0, spans[-1][1] if spans else 0
    frame = head + len(content) - tail
    if len(spans) <= 1 or frame * len(spans) > FRAMES_MAX * len(content):
        yield Part(whole, 0, len(whole))
        return
    before, after = content[:head], content[tail:]
    for start, end in spans:
        yield Part(before + content[start:end] + after, start, end - start)


def _spans(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each report begins and ends; comments and character data hold none."""
    waits_for: bytes | None = None
    start: int | None = None
    for piece in _PIECE.finditer(content):
        text = piece[0].lower()
        if waits_for is not None:
            waits_for = None if text == waits_for else waits_for
        elif text in _ENDS:
            waits_for = _ENDS[text]
        elif piece[1] is None:
            continue
        elif not piece[1]:
            start = piece.start() if start is None else start
        elif start is not None:
            end = content.find(b">", piece.start()) + 1
            yield start, end or len(content)
            start = None
    if start is not None:
        yield start, len(content)
