"""Excerpts: the few fields of a kept message that a person needs to settle one held value.

Only fields that state what was measured or given, how much, when and in which status; never who the patient is, who
signed, or free text. What cannot be found gives nothing: the whole message is for its owner to open.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pv_stream.ingest.icsr.r3 import tests_of
from pv_stream.ingest.icsr.reader import reports_of
from pv_stream.ingest.icsr.syntax import (
    R2_BATCH,
    Element,
    attribute,
    child,
    children,
    name_of,
    r2_children,
    r2_text,
    read_tree,
    text_of,
)
from pv_stream.ingest.outcomes import RejectCode

#: The fields of each HL7v2 segment that may be shown, by number.
_HL7_FIELDS: Final[Mapping[str, Sequence[tuple[int, str]]]] = {
    "OBX": (
        (3, "test"),
        (5, "value"),
        (6, "unit"),
        (7, "reference range"),
        (11, "status"),
        (14, "observed at"),
    ),
    "RXE": ((1, "timing"), (2, "drug"), (3, "amount"), (4, "amount to"), (5, "unit")),
    "RXD": ((2, "drug"), (3, "dispensed at"), (4, "amount"), (5, "unit")),
    "RXO": ((1, "drug"), (2, "amount"), (3, "amount to"), (4, "unit")),
    "RXA": ((3, "begun at"), (4, "ended at"), (5, "drug"), (6, "amount"), (7, "unit"), (20, "completion")),
}
#: The elements of a FHIR resource that may be shown, by the beginning of their name.
_FHIR_ELEMENTS: Final = (
    "resourceType",
    "code",
    "value",
    "component",
    "effective",
    "onset",
    "recordedDate",
    "authoredOn",
    "issued",
    "status",
    "dataAbsentReason",
    "medication",
    "dosage",
    "dose",
)
_FHIR_NEVER: Final = frozenset({"text", "display", "patientInstruction", "note", "valueString"})
#: The elements of a test of E2B(R2) that may be shown.
_R2_ELEMENTS: Final = ("testname", "testresult", "testunit", "testdate")
#: A test of a safety report, in which report of its message, by the standard's number.
_TEST: Final = re.compile(r"(?:report\[(\d{1,6})\]/)?(?:F\.r|B\.3)\[(\d{1,6})\]", re.ASCII)
_STEP: Final = re.compile(r"([A-Za-z0-9]+)(?:\[(\d+)\])?", re.ASCII)
_LINE_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_SEPARATOR_AT: Final = 3
_MSH_AND_SEPARATOR: Final = 4
_DEPTH_MAX: Final = 8


def excerpt(content: bytes, path: str) -> tuple[tuple[str, str], ...]:
    """Return names and texts of what a message states at a path; empty when it cannot be found there."""
    start = content.lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    if start.startswith(b"MSH"):
        return _of_hl7(start, path)
    if start.startswith((b"{", b"[")):
        return _of_fhir(start, path)
    return _of_report(content, path)


def _of_hl7(content: bytes, path: str) -> tuple[tuple[str, str], ...]:
    segments = [line.decode(errors="replace") for line in _LINE_ENDS.split(content) if line.strip()]
    if len(segments[0]) < _MSH_AND_SEPARATOR:
        return ()
    separator = segments[0][_SEPARATOR_AT]
    found = _find_segment([segment.partition(separator)[0] for segment in segments], path)
    if found is None:
        return ()
    fields = segments[found].split(separator)
    return tuple(
        (f"{fields[0]}-{number} {name}", fields[number])
        for number, name in _HL7_FIELDS.get(fields[0], ())
        if number < len(fields) and fields[number]
    )


def _find_segment(names: Sequence[str], path: str) -> int | None:
    """Return the index of the segment at a path such as `OBR[2]/OBX[3]`: each step looks inside the one before."""
    begin, end = 0, len(names)
    at: int | None = None
    for text in path.split("/"):
        step = _STEP.fullmatch(text)
        if step is None or step[2] is None:
            return None
        inside = [index for index in range(begin, end) if names[index] == step[1]]
        number = int(step[2])
        if not 1 <= number <= len(inside):
            return None
        at = inside[number - 1]
        begin, end = at + 1, inside[number] if number < len(inside) else end
    return at


def _of_fhir(content: bytes, path: str) -> tuple[tuple[str, str], ...]:
    try:
        node = json.loads(content)
    except (ValueError, RecursionError):
        return ()
    first, *steps = path.split(".")
    if _STEP.fullmatch(first) is None:
        return ()
    for text in steps:
        node = _below(node, text)
        if isinstance(node, dict) and isinstance(node.get("resource"), dict):
            node = node["resource"]
    if not isinstance(node, dict):
        return ()
    return tuple(
        (name, json.dumps(_shown(value, _DEPTH_MAX), ensure_ascii=False))
        for name, value in node.items()
        if name.startswith(_FHIR_ELEMENTS) and name not in _FHIR_NEVER
    )


def _of_report(content: bytes, path: str) -> tuple[tuple[str, str], ...]:
    """Return what a safety report states of a test; text in the place of a value (F.r.3.4) is never shown."""
    step, root = _TEST.fullmatch(path), read_tree(content)
    if step is None or isinstance(root, RejectCode):
        return ()
    is_r2 = name_of(root) == R2_BATCH
    report = _numbered(list(reports_of(root)), step[1] or "1")
    test = None if report is None else _numbered(_r2_tests(report) if is_r2 else tests_of(report), step[2])
    if test is None:
        return ()
    shown = ((name, r2_text(test, name)) for name in _R2_ELEMENTS) if is_r2 else _of_r3_test(test)
    return tuple((name, text) for name, text in shown if text)


def _numbered(elements: Sequence[Element], number: str) -> Element | None:
    """Return an element by its number, counted from 1."""
    return elements[int(number) - 1] if 1 <= int(number) <= len(elements) else None


def _r2_tests(report: Element) -> list[Element]:
    return list(r2_children(next(r2_children(report, "patient"), None), "test"))


def _of_r3_test(test: Element) -> Iterator[tuple[str, str]]:
    yield "F.r.1 date", attribute(test, "effectiveTime", "value")
    yield "F.r.2.1 test", text_of(child(test, "code/originalText"))
    yield "F.r.2.2b code", attribute(test, "code", "code")
    for value in children(test, "value"):
        for bound in ("", "low", "center", "high"):
            yield f"F.r.3.2 value {bound}".strip(), attribute(value, bound, "value")
            yield f"F.r.3.3 unit {bound}".strip(), attribute(value, bound, "unit")


def _below(node: Any, text: str) -> Any:
    step = _STEP.fullmatch(text)
    below = node.get(step[1]) if step is not None and isinstance(node, dict) else None
    if step is None or step[2] is None:
        return below
    number = int(step[2])
    return below[number] if isinstance(below, list) and number < len(below) else None


def _shown(value: Any, depth: int) -> Any:
    """Return a value without its texts."""
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {name: _shown(below, depth - 1) for name, below in value.items() if name not in _FHIR_NEVER}
    return [_shown(below, depth - 1) for below in value] if isinstance(value, list) else value
