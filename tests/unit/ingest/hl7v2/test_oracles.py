"""python-hl7 and hl7apy as oracles: on the same messages the same segments, fields, components and subcomponents.

Both split text and give no meaning to it. hl7apy drops what is empty, so of it only what is not is compared. Both see
the message as text with CR as the end of a segment.
"""

import re
from collections import Counter
from pathlib import Path

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message as parse_with_hl7apy
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.hl7v2.charsets import decoded
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.hl7v2.syntax import Delimiters, Message, parse_message
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.tables import loinc_table
from tests.unit.ingest.messages import FIXTURES, facts, msh

NAMES = sorted(path.stem for path in (FIXTURES / "hl7v2").glob("*.hl7") if path.stem != "batch")
SAMPLES = [
    "ADT-A40-01",
    "LAB-ORU-1",
    "LAB-ORU-2",
    "LRI_2.0-NG_CBC_Typ_Message",
    "RDE-O11-01",
    "RDS-O13-01",
]
#: MSH-1 and MSH-2 are the delimiters.
_FIRST_OF_MSH = 3
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
        assert len(mine.fields) == len(other), mine.name
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
        unnamed: list[str] = []
        for field in other.children:
            pieces = _pieces(field.to_er7(theirs.encoding_chars), mine.delimiters)
            if field.name is None:  # a field that its version does not define
                unnamed += pieces
            else:
                found.setdefault(int(field.name.rpartition("_")[2]), []).extend(pieces)
        first = _FIRST_OF_MSH if mine.name == "MSH" else 1
        told = {
            number: _pieces(mine.raw(number), mine.delimiters) for number in range(first, len(mine.fields))
        }
        named = {number: pieces for number, pieces in told.items() if pieces and number in found}
        assert named == {number: pieces for number, pieces in found.items() if number >= first and pieces}, (
            mine.name
        )
        rest = [piece for number, pieces in told.items() if number not in found for piece in pieces]
        assert rest == unnamed, (mine.name, "all that we see is there")


def _pieces(sent: str, marks: Delimiters) -> list[str]:
    """Return what stands between the delimiters; hl7apy escapes an escape that it does not know."""
    sent = sent.replace(f"{marks.escape}E{marks.escape}", marks.escape)
    between = re.escape(f"{marks.repetition}{marks.component}{marks.subcomponent}")
    return [piece.strip() for piece in re.split(f"[{between}]", sent) if piece.strip()]


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_is_split_as_python_hl7_splits_it(name: str) -> None:
    _agree_with_hl7((FIXTURES / f"hl7v2/{name}.hl7").read_bytes())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_split_as_python_hl7_splits_it(sample_data: Path, name: str) -> None:
    _agree_with_hl7((sample_data / f"hl7v2/{name}.hl7").read_bytes())


@pytest.mark.parametrize("name", NAMES)
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


# What becomes of the segments ---------------------------------------------------------------------------------------

#: The segment of a drug, by the message that is about it.
_DRUG_SEGMENT = {"RDE": "RXE", "RDS": "RXD", "RAS": "RXA"}
#: What python-hl7 cannot know of a message: a place that it demands (`-`) or does not (`+`), and why.
_BESIDE = {
    "admission": {
        "-OBX[2]": "no time: neither OBR-7, which an admission has not, nor OBX-14",
        "-OBX[3]": "a result of blood in an admission is a copy without the time of its specimen",
        "+DG1[1]": "a diagnosis that is on the list: DRESS",
    },
    "serology": {
        "+OBR[1]/OBX[1]": "a coded answer to a test on the list: ANA negative",
        "+OBR[1]/OBX[3]": "as above: IgM against hepatitis A positive",
    },
}


def _demanded(content: bytes) -> set[str]:
    """Return the segments that must become facts: results with a number and a listed code, and the drug of an order.

    Segments are counted within their group, which an OBR or an ORC begins.
    """
    message = hl7.parse(_as_text(content))
    marks = message.separators
    drug = _DRUG_SEGMENT.get(str(message[0][9]).split(marks[3])[0])
    groups, found, seen = Counter[str](), set(), Counter[str]()
    group = ""
    for segment in message:
        name = str(segment[0])
        if name in {"OBR", "ORC"}:
            groups[name] += 1
            group, seen = f"{name}[{groups[name]}]/", Counter()
        seen[name] += 1
        if name == drug or (name == "OBX" and _is_listed_number(segment, marks)):
            found.add(f"{group if name == drug or group.startswith('OBR') else ''}{name}[{seen[name]}]")
    return found


def _is_listed_number(segment: hl7.Segment, marks: str) -> bool:
    codes = {part for field in str(segment[3]).split(marks[2]) for part in field.split(marks[3])}
    return any(map(str.isdigit, str(segment[5]))) and not codes.isdisjoint(loinc_table().analytes)


def _told(content: bytes, intake: Intake) -> set[str]:
    paths = [event.version.provenance.path for event in facts(read_hl7v2(content, intake))]
    assert len(paths) == len(set(paths)), "a segment is told twice"
    return set(paths)


def _agree_on_facts(content: bytes, name: str, intake: Intake) -> None:
    named = _BESIDE.get(name, {})
    beside = {sign: {place[1:] for place in named if place[0] == sign} for sign in "+-"}
    demanded, told = _demanded(content), _told(content, intake)
    assert (demanded - told, told - demanded) == (beside["-"], beside["+"])


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_gives_the_facts_that_its_segments_demand(intake: Intake, name: str) -> None:
    _agree_on_facts((FIXTURES / f"hl7v2/{name}.hl7").read_bytes(), name, intake)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_gives_the_facts_that_its_segments_demand(
    sample_data: Path, intake: Intake, name: str
) -> None:
    _agree_on_facts((sample_data / f"hl7v2/{name}.hl7").read_bytes(), name, intake)
