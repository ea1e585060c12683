"""MLLP's frames in a stream of bytes: VT, a message, FS, CR. It knows no message and no socket.

The source is HL7's Transport Specification: MLLP, Release 1. Read more freely: the CR may be missing or an LF, and
line breaks may stand between frames. Not read at all, because a message could be lost or torn unseen:

- anything else between frames,
- text that follows FS: either FS is no end, or the text belongs to nothing,
- a frame that begins within a frame: the first was never finished.

What is refused ends the stream, since nobody knows where the next message begins. However the bytes are sliced, the
frames are the same. No more than `bytes_max` of a message is ever kept.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c"
_VT: Final = START[0]
_LINE_ENDS: Final = b"\r\n"
_BEGINNINGS_WITHIN: Final = tuple(START + name for name in (b"MSH", b"FHS", b"BHS"))


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold a message as it came, cut at the limit when `size` is larger.

    `is_torn` says that it cannot be the message that was sent.
    """

    content: bytes
    size: int
    is_torn: bool = False


class _Place(Enum):
    OUTSIDE = "between frames"
    INSIDE = "in a message"
    ENDING = "after FS"


class Frames:
    """Find the frames in one stream."""

    def __init__(self, bytes_max: int) -> None:
        """Begin between frames, and keep at most so many bytes of a message."""
        self._bytes_max = bytes_max
        self._place = _Place.OUTSIDE
        self._kept = bytearray()
        self._size = 0
        #: The stream cannot be read on.
        self.is_broken = False
        #: Bytes of no frame.
        self.bytes_outside = 0

    @property
    def is_inside(self) -> bool:
        """Tell whether a message has begun and has not ended."""
        return self._place is _Place.INSIDE

    @property
    def is_ending(self) -> bool:
        """Tell whether FS was the last byte: what comes next, or silence, decides about it."""
        return self._place is _Place.ENDING

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they end."""
        frames: list[Frame] = []
        position = 0
        while position < len(data) and not self.is_broken:
            if self._place is _Place.OUTSIDE:
                position = self._skip(data, position)
            elif self._place is _Place.INSIDE:
                position = self._collect(data, position)
            else:
                follows = data[position]
                position += follows in _LINE_ENDS
                self.is_broken = follows not in _LINE_ENDS and follows != _VT
                frames.append(self._frame())
        return frames

    def end(self) -> Frame | None:
        """Take silence after FS as the end of a frame, and return it."""
        return self._frame() if self.is_ending else None

    def _skip(self, data: bytes, position: int) -> int:
        byte = data[position]
        if byte == _VT:
            self._place = _Place.INSIDE
        elif byte not in _LINE_ENDS:
            self.is_broken = True
            self.bytes_outside += len(data) - position
        return position + 1

    def _collect(self, data: bytes, position: int) -> int:
        end = data.find(END, position)
        stop = end if end >= 0 else len(data)
        self._kept += data[position : min(stop, position + self._bytes_max - len(self._kept))]
        self._size += stop - position
        if end < 0:
            return stop
        self._place = _Place.ENDING
        return stop + 1

    def _frame(self) -> Frame:
        content = bytes(self._kept)
        is_torn = self.is_broken or any(beginning in content for beginning in _BEGINNINGS_WITHIN)
        self.is_broken = is_torn
        frame = Frame(content, self._size, is_torn)
        self._kept.clear()
        self._size = 0
        self._place = _Place.OUTSIDE
        return frame


def framed(message: bytes) -> bytes:
    """Return a message in its frame."""
    return START + message + END + b"\r"
