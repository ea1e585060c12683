"""Tests of safety reports (E2B F.r, B.3.r): which analyte one is of, and what stands where its result belongs.

A test is known by a LOINC code, by a MedDRA code that the setting `meddra_tests` names, or by a whole name of
`data/test_names.toml`; a code counts before a name. Where a name says neither count nor percentage, the unit decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pv_stream.ingest.icsr.report import Stated, TestResult
from pv_stream.ingest.outcomes import IgnoreReason
from pv_stream.ingest.quantities import find_unit, parse_number
from pv_stream.ingest.results import find_code
from pv_stream.ingest.tables import AnalyteCode, NamedTest, fold, loinc_table, named_tests

LOINC: Final = "loinc"
_MEDDRA: Final = "meddra"
_TEST_NAME: Final = "test_name"
#: How E2B(R3) names the system of MedDRA's codes.
_MEDDRA_OID: Final = "2.16.840.1.113883.6.163"
#: A number with what follows it, as a result has it whose unit has no place of its own: 1690 /uL.
_NUMBER_AND_REST: Final = re.compile(r"((?:<=|>=|<|>)?\s*[0-9.]+)\s*(\D.*)", re.ASCII)
#: A longer text is a story, and is not searched for one.
_NUMBER_AND_UNIT_MAX: Final = 80
_DIGIT: Final = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Tested:
    """Hold what a test is of, by which code or listed name, and whether it may be of blood where it must be."""

    system: str
    name: str
    code: AnalyteCode
    is_specimen_stated: bool = True


def find_test(test: TestResult, meddra_tests: Mapping[str, str]) -> Tested | IgnoreReason:
    """Return what a test is of, or why no rule uses it; `meddra_tests` gives the listed name of a MedDRA code."""
    by_loinc = find_code(test.codings)
    if not isinstance(by_loinc, IgnoreReason):
        return Tested(LOINC, *by_loinc)
    if any(code and system.casefold() in loinc_table().systems for system, code in test.codings):
        return by_loinc
    for system, code in test.codings:
        if system == _MEDDRA_OID and code in meddra_tests:
            return _tested(_MEDDRA, code, named_tests()[fold(meddra_tests[code])], test.stated.units)
    name = fold(test.name)
    readings = named_tests().get(name, ())
    if readings:
        return _tested(_TEST_NAME, name.replace(",", "").replace(" ", "_"), readings, test.stated.units)
    has_code = any(code for _, code in test.codings)
    return by_loinc if has_code else IgnoreReason.TEST_NOT_CODED


def read_stated(text: str, units: tuple[str, ...] = ()) -> Stated:
    """Read what stands where a result belongs: a number, a number with a unit that we know behind it, or words."""
    text = text.strip()
    if not text:
        return Stated(None, "", units, IgnoreReason.NO_VALUE)
    number = parse_number(text)
    if number is not None:
        return Stated(number, text, units)
    parts = _NUMBER_AND_REST.fullmatch(text) if len(text) <= _NUMBER_AND_UNIT_MAX else None
    if (
        parts is not None
        and find_unit(parts[2]) is not None
        and (number := parse_number(parts[1])) is not None
    ):
        return Stated(number, text, (parts[2], *units))
    is_number = _DIGIT.search(text) is not None
    return Stated(None, text, units, None if is_number else IgnoreReason.TEXT_VALUE)


def _tested(system: str, name: str, readings: tuple[NamedTest, ...], units: tuple[str, ...]) -> Tested:
    known = [found[1].quantity for unit in units if (found := find_unit(unit)) is not None]
    fitting = (each for each in readings if known and known[0] in each.code.quantities)
    reading = next(fitting, readings[0])
    return Tested(system, name, reading.code, reading.is_specimen_stated)
