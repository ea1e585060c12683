"""MLLP's frames: the same however the bytes are sliced, and nothing else is ever taken for a message."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.listeners.mllp_frames import Frame, Frames, framed

MESSAGE = b"MSH|^~\\&|A|B\rPID|1\r"
BYTES_MAX = 64


def read(*slices: bytes, bytes_max: int = BYTES_MAX) -> tuple[list[Frame], Frames]:
    frames = Frames(bytes_max)
    return [frame for data in slices for frame in frames.feed(data)], frames


def whole(content: bytes = MESSAGE) -> Frame:
    return Frame(content, len(content))


def test_a_frame_is_what_stands_between_vt_and_fs() -> None:
    found, frames = read(framed(MESSAGE) + framed(b"two"))
    assert found == [whole(), whole(b"two")]
    assert not frames.is_broken
    assert not frames.is_inside


@pytest.mark.parametrize("between", [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\r"])
def test_line_ends_after_a_frame_are_passed_over(between: bytes) -> None:
    found, frames = read(b"\x0b" + MESSAGE + b"\x1c" + between + framed(MESSAGE))
    assert found == [whole(), whole()]
    assert not frames.is_broken


def test_a_next_frame_ends_one_without_a_carriage_return() -> None:
    found, _ = read(b"\x0bone\x1c\x0btwo\x1c\r")
    assert found == [whole(b"one"), whole(b"two")]


def test_without_a_carriage_return_silence_decides() -> None:
    found, frames = read(b"\x0bone\x1c")
    assert found == []
    assert frames.is_ending
    assert frames.end() == whole(b"one")
    assert frames.end() is None


def test_text_after_the_end_tears_the_message() -> None:
    found, frames = read(b"\x0bone\x1ctwo\x1c\r" + framed(MESSAGE))
    assert found == [Frame(b"one", 3, is_torn=True)]
    assert frames.is_broken


@pytest.mark.parametrize("name", [b"MSH", b"FHS", b"BHS"])
def test_a_frame_within_a_frame_tears_it(name: bytes) -> None:
    found, frames = read(framed(MESSAGE[:9] + b"\x0b" + name + b"|^~\\&|"))
    assert [frame.is_torn for frame in found] == [True]
    assert frames.is_broken


def test_a_vertical_tab_in_a_text_is_a_part_of_it() -> None:
    text = b"OBX|1|TX|||first line\x0bsecond line\r"
    assert read(framed(text))[0] == [whole(text)]


@pytest.mark.parametrize(
    "outside", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"MSH|^~\\&|\r", b"\x00", b"\x1c\r"]
)
def test_what_stands_in_no_frame_breaks_the_stream(outside: bytes) -> None:
    found, frames = read(framed(MESSAGE) + outside + framed(MESSAGE))
    assert found == [whole()]
    assert frames.is_broken
    assert frames.bytes_outside > 0


@pytest.mark.parametrize(("length", "kept"), [(63, 63), (64, 64), (65, 64), (10_000, 64)])
def test_no_more_than_the_limit_is_kept_and_the_rest_is_measured(length: int, kept: int) -> None:
    found, frames = read(*(b"%c" % byte for byte in framed(b"x" * length)), framed(MESSAGE))
    assert found == [Frame(b"x" * kept, length), whole()]
    assert not frames.is_broken


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"\x0b", b"\x1c", b"\r", b"\n", b"MSH|", framed(MESSAGE), framed(b""), framed(b"x" * 90)]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(PIECES, st.lists(st.integers(0, 400), max_size=20))
def test_slices_change_nothing(data: bytes, cuts: list[int]) -> None:
    at_once, one = read(data)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    in_slices, other = read(*(data[begin:end] for begin, end in pairwise(places)))
    assert in_slices == at_once
    assert one.end() == other.end()
    assert (one.is_broken, one.is_inside) == (other.is_broken, other.is_inside)


@given(PIECES)
def test_every_frame_stood_between_vt_and_fs_in_the_order_of_the_stream(data: bytes) -> None:
    position = 0
    for frame in read(data)[0]:
        content = re.escape(frame.content)
        rest = b"[^\x1c]{%d}" % (frame.size - len(frame.content))
        found = re.compile(b"\x0b" + content + rest + b"\x1c", re.DOTALL).search(data, position)
        assert found is not None
        assert len(frame.content) <= BYTES_MAX
        position = found.end()


@given(st.lists(st.binary(max_size=BYTES_MAX).filter(lambda each: not {0x0B, 0x1C} & set(each)), max_size=8))
def test_every_message_that_was_framed_is_found(messages: list[bytes]) -> None:
    found, frames = read(b"".join(map(framed, messages)))
    assert found == [whole(message) for message in messages]
    assert not frames.is_broken
