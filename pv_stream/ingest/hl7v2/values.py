"""OBX-5 by the value type of OBX-2: a number, an answer, or why it is neither. And OBX-3 and OBX-6, its code and unit.

NM and SN are numbers, and text (ST, TX, FT) that is a plain number with a comparator or without one is read as that
number. Of a structured number (SN) only a comparator with one number is read: a range (^5^-^10), a ratio or titre
(^1^:^80) and a grade (^2^+) are each more or less than one number. Nothing is taken out of a longer text.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pv_stream.domain.codes import FindingCode, Presence
from pv_stream.domain.facts import Finding
from pv_stream.ingest.findings import finding_table
from pv_stream.ingest.hl7v2.syntax import Delimiters, Segment, part_of
from pv_stream.ingest.outcomes import IgnoreReason
from pv_stream.ingest.quantities import Sent, UcumCode, parse_number
from pv_stream.ingest.results import find_code
from pv_stream.ingest.tables import AnalyteCode

#: A value of these types that is no single number is held; of the others it is text.
NUMERIC_TYPES: Final = frozenset({"NM", "SN", "CQ", "NR"})
TEXT_TYPES: Final = frozenset({"", "ST", "TX", "FT"})
CODED_TYPES: Final = frozenset({"CE", "CWE", "CNE", "CF"})
_NULL: Final = '""'
_SN_COMPARATORS: Final = frozenset({"", "=", "<", ">", "<=", ">="})
#: (system, code) of a coded element: as sent, its alternate, and the second alternate of version 2.7.
_CODINGS: Final = ((3, 1), (6, 4), (12, 10))
_ORIGINAL_TEXT: Final = 9
#: HL7 table 0396, coding systems.
_UCUM: Final = "UCUM"
#: Codes and units repeat from message to message; a longer one is no code, and is not kept in memory.
_REMEMBERED_MAX: Final = 256
#: Most results are short numbers, and the same ones.
_NUMBER_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold what a coded observation decides: a finding, or whichever its value names (None).

    `of_specimen` says that it is a test of blood, `is_part` that it is one of several that only together exclude the
    finding.
    """

    finding: FindingCode | None
    of_specimen: bool
    is_part: bool = False


def code_of(segment: Segment) -> tuple[str, AnalyteCode | Asked] | IgnoreReason:
    """Return what OBX-3 says was measured or tested, or why no rule uses it."""
    fields, marks = segment.fields, segment.delimiters
    raw = fields[3] if len(fields) > 3 else ""  # noqa: PLR2004 - OBX-3; `raw` itself takes twice as long
    return _code_of(raw, marks) if len(raw) <= _REMEMBERED_MAX else _find_code(raw, marks)


def units_of(segment: Segment) -> tuple[str, ...]:
    """Return what OBX-6 may say: its code and its alternate code.

    Senders write 10^9/L without escaping it, and then its ^ separates components.
    """
    raw, marks = segment.raw(6), segment.delimiters
    if not raw and segment.text(2) == "CQ":
        raw = marks.component.join(segment.subcomponents(5, 2))
    return _units_of(raw, marks) if len(raw) <= _REMEMBERED_MAX else _find_units(raw, marks)


def number_of(segment: Segment) -> Sent | None:
    """Return the number of OBX-5, or None when it is none, is several, or deletes an earlier one."""
    raw, marks = segment.raw(5), segment.delimiters
    kind = segment.raw(2)
    if kind == "NM" or kind in TEXT_TYPES:
        return _plain(raw, marks)
    if marks.repetition and marks.repetition in raw:
        return None
    components = segment.components_of(raw)
    if kind == "CQ":
        return parse_number(components[0])
    if kind != "SN":
        return None
    if len(components) == 1:
        return parse_number(components[0])
    comparator, first = components[0], components[1]
    if any(components[2:]) or comparator not in _SN_COMPARATORS:
        return None
    return parse_number(first if comparator == "=" else comparator + first)


def finding_of(segment: Segment, asked: Asked) -> Finding | IgnoreReason:
    """Return what a coded value, or a text that is an exact answer, says; or why it says neither yes nor no."""
    kind, repetitions = segment.text(2), segment.repetitions(5)
    if len(repetitions) != 1:
        return IgnoreReason.UNDECIDED_VALUE
    table = finding_table()
    components = segment.components_of(repetitions[0])
    codings = _codings(components) if kind in CODED_TYPES else []
    if asked.finding is None:
        named = table.finding(codings)
        return IgnoreReason.CODE_NOT_USED if named is None else Finding(named, Presence.PRESENT)
    if kind in CODED_TYPES:
        texts = [] if codings else [part_of(components, 2), part_of(components, _ORIGINAL_TEXT)]
    else:
        texts = components if kind in TEXT_TYPES and len(components) == 1 else []
    answer = table.answer(codings, texts)
    if answer is None:
        return IgnoreReason.UNDECIDED_VALUE
    if answer is Presence.ABSENT and asked.is_part:
        return IgnoreReason.NEGATIVE_OF_PART
    return Finding(asked.finding, answer)


def is_empty(segment: Segment) -> bool:
    """Tell whether OBX-5 has no value; a null deletes one, which is not the same."""
    return not segment.raw(5).strip()


def _plain(raw: str, marks: Delimiters) -> Sent | None:
    return _plain_remembered(raw, marks) if len(raw) <= _NUMBER_MAX else _find_plain(raw, marks)


def _find_plain(raw: str, marks: Delimiters) -> Sent | None:
    for mark in (marks.repetition, marks.component):
        if mark and mark in raw:
            return None
    return parse_number(marks.unescape(raw))


def _codings(components: list[str]) -> list[tuple[str, str]]:
    pairs = ((part_of(components, system), part_of(components, code)) for system, code in _CODINGS)
    return [(system, code) for system, code in pairs if code]


def _find_code(raw: str, marks: Delimiters) -> tuple[str, AnalyteCode | Asked] | IgnoreReason:
    first = raw.split(marks.repetition, 1)[0] if marks.repetition else raw
    codings = _codings(marks.parts(first, marks.component))
    found = find_code(codings)
    if not isinstance(found, IgnoreReason):
        return found
    table = finding_table()
    for coding in codings:
        if (test := table.test([coding])) is not None:
            return coding[1], Asked(test.finding, of_specimen=True, is_part=test.is_part)
        if (finding := table.finding([coding])) is not None:
            return coding[1], Asked(finding, of_specimen=False)
        if table.asks_for_a_finding([coding]):
            return coding[1], Asked(None, of_specimen=False)
    return found


def _find_units(raw: str, marks: Delimiters) -> tuple[str, ...]:
    if raw.strip() in {"", _NULL}:
        return ()
    first = raw.split(marks.repetition, 1)[0] if marks.repetition else raw
    components = marks.parts(first, marks.component)
    if components[0].lower().removeprefix("x") == "10" and len(components) > 1:
        return ("^".join(components[:2]),)
    code, other = components[0] or part_of(components, 2), part_of(components, 4)
    stated = (
        UcumCode(code) if part_of(components, 3) == _UCUM else code,
        UcumCode(other) if part_of(components, 6) == _UCUM else other,
    )
    return tuple(spelling for spelling in stated if spelling)


_code_of: Final = lru_cache(maxsize=4096)(_find_code)
_units_of: Final = lru_cache(maxsize=4096)(_find_units)
_plain_remembered: Final = lru_cache(maxsize=4096)(_find_plain)
