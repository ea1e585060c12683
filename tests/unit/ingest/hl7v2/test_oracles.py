"""python-hl7 and hl7apy as oracles: on the same messages the same segments, fields, components and subcomponents.

Both split text and give no meaning to it. hl7apy drops what is empty, so of it only what is not is compared. Both see
the message as text with CR as the end of a segment.
"""

import re
from pathlib import Path

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message as parse_with_hl7apy
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.hl7v2.charsets import decoded
from pv_stream.ingest.hl7v2.syntax import Message, parse_message
from tests.unit.ingest.messages import FIXTURES, msh

NAMES = sorted(path.stem for path in (FIXTURES / "hl7v2").glob("*.hl7") if path.stem != "batch")
SAMPLES = [
    "ADT-A40-01",
    "LAB-ORU-1",
    "LAB-ORU-2",
    "LRI_2.0-NG_CBC_Typ_Message",
    "RDE-O11-01",
    "RDS-O13-01",
]
field_text = st.text(st.sampled_from([*"ab1.-+ <>~^&", "ä"]), max_size=12)
a_segment = st.builds(
    lambda name, fields: "|".join((name, *fields)),
    st.sampled_from(["PID", "OBR", "OBX", "SPM", "ORC", "RXE", "NTE", "ZZZ"]),
    st.lists(field_text, min_size=1, max_size=12),
)


def _ours(content: bytes) -> Message:
    message = parse_message(content)
    assert isinstance(message, Message), message
    return message


def _as_text(content: bytes) -> str:
    text = decoded(content)
    assert text is not None
    return text.replace("\r\n", "\r").replace("\n", "\r")


def _agree_with_hl7(content: bytes) -> None:
    ours, theirs = _ours(content), hl7.parse(_as_text(content))
    assert [segment.name for segment in ours.segments] == [str(segment[0]) for segment in theirs]
    for mine, other in zip(ours.segments, theirs, strict=True):
        marks = mine.delimiters
        for number in range(3 if mine.name == "MSH" else 1, len(other)):
            assert mine.raw(number) == str(other[number]), (mine.name, number)
            repetitions = other[number] if isinstance(other[number], hl7.Field) else [other[number]]
            assert mine.repetitions(number) == [str(each) for each in repetitions]
            for repetition in repetitions:
                components = repetition if isinstance(repetition, hl7.Repetition) else [repetition]
                sent = str(repetition)
                assert mine.components_of(sent) == [marks.unescape(str(each)).strip() for each in components]
                for position, component in enumerate(components, start=1):
                    parts = component if isinstance(component, hl7.Component) else [component]
                    assert mine.subcomponents_of(sent, position) == [
                        marks.unescape(str(each)).strip() for each in parts
                    ]


def _agree_with_hl7apy(content: bytes) -> None:
    text = _as_text(content)
    ours = _ours(content)
    theirs = parse_with_hl7apy(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    assert [segment.name for segment in ours.segments] == [child.name for child in theirs.children]
    for mine, other in zip(ours.segments, theirs.children, strict=True):
        found: dict[int, list[str]] = {}
        for field in other.children:
            if field.name is not None:  # a field that its version does not define has no name there
                number = int(field.name.rpartition("_")[2])
                found.setdefault(number, []).extend(_pieces(field.to_er7(theirs.encoding_chars)))
        for number, pieces in found.items():
            if mine.name != "MSH" or number > len(("separator", "other delimiters")):
                assert _pieces(mine.raw(number)) == pieces, (mine.name, number)


def _pieces(sent: str) -> list[str]:
    """Return what stands between the delimiters, where anything does."""
    return [piece.strip() for piece in re.split(r"[~^&]", sent) if piece.strip()]


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_is_split_as_python_hl7_splits_it(name: str) -> None:
    _agree_with_hl7((FIXTURES / f"hl7v2/{name}.hl7").read_bytes())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_split_as_python_hl7_splits_it(sample_data: Path, name: str) -> None:
    _agree_with_hl7((sample_data / f"hl7v2/{name}.hl7").read_bytes())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "serology"])
def test_every_fixture_has_the_fields_that_hl7apy_finds(name: str) -> None:
    _agree_with_hl7apy((FIXTURES / f"hl7v2/{name}.hl7").read_bytes())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_has_the_fields_that_hl7apy_finds(sample_data: Path, name: str) -> None:
    _agree_with_hl7apy((sample_data / f"hl7v2/{name}.hl7").read_bytes())


@given(st.lists(a_segment, max_size=6))
def test_any_message_is_split_as_python_hl7_splits_it(segments: list[str]) -> None:
    _agree_with_hl7("\r".join((msh(), *segments)).encode())


@pytest.mark.parametrize("text", [r"10\S\9/L", r"a\F\b\R\c\T\d\E\e", r"\X41\\X4A\!", "plain"])
def test_escapes_mean_what_python_hl7_reads(text: str) -> None:
    theirs = hl7.parse(msh() + f"\rOBX|1|NM|x||{text}\r").unescape(text)
    assert _ours(f"{msh()}\rOBX|1|NM|x||{text}".encode()).segments[1].text(5) == theirs
