"""Coded findings: which codes name a finding, a test that decides one, DRESS itself, or an answer of yes or no.

The lists are `data/findings.toml`. A code counts only in the system that defines it. ICD-10 codes of the common part
count in ICD-10 and ICD-10-CM alike; answers are codes that mean the same in every system that defines them.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from pv_stream.domain.codes import FindingCode, Presence
from pv_stream.errors import DataError

#: A pair of (code system as sent, code).
Coded = tuple[str, str]

_LOINC: Final = "loinc"
_COMMON_TO: Final = {"icd10cm": ("icd10cm", "icd10"), "icd10": ("icd10",)}


@dataclass(frozen=True, slots=True)
class Test:
    """Hold what a test decides; `is_part` says that it is one of several that only together exclude it."""

    finding: FindingCode
    is_part: bool


@dataclass(frozen=True, slots=True)
class FindingTable:
    """Hold the codes by (system, code), and the folded names of the systems."""

    system_of: dict[str, str]
    findings: dict[Coded, FindingCode]
    dress: frozenset[Coded]
    tests: dict[str, Test]
    questions: frozenset[Coded]
    answers: dict[str, Presence]
    texts: dict[str, Presence]

    def _known_as(self, coded: Coded) -> Iterable[Coded]:
        system, code = self.system_of.get(coded[0].casefold(), ""), coded[1]
        return [(name, code) for name in _COMMON_TO.get(system, (system,))]

    def known_code(self, codings: Iterable[Coded]) -> str | None:
        """Return the first code that leads anywhere: the name of a finding that is part of something else."""
        for coded in codings:
            if any(known in self.findings or known in self.questions for known in self._known_as(coded)):
                return coded[1]
            if self.system_of.get(coded[0].casefold()) == _LOINC and coded[1] in self.tests:
                return coded[1]
        return None

    def known_codes(self) -> tuple[str, ...]:
        """Return every code that `known_code` may return, in a fixed order."""
        return tuple(sorted({*self.tests, *(code for _, code in (*self.findings, *self.questions))}))

    def finding(self, codings: Iterable[Coded]) -> FindingCode | None:
        """Return the finding that the first known coding names."""
        found = (self.findings.get(known) for coded in codings for known in self._known_as(coded))
        return next((finding for finding in found if finding is not None), None)

    def names_dress(self, codings: Iterable[Coded]) -> bool:
        """Tell whether a coding names DRESS."""
        return any(known in self.dress for coded in codings for known in self._known_as(coded))

    def test(self, codings: Iterable[Coded]) -> Test | None:
        """Return what the first known test decides."""
        found = (
            self.tests.get(code)
            for system, code in codings
            if self.system_of.get(system.casefold()) == _LOINC
        )
        return next((test for test in found if test is not None), None)

    def asks_for_a_finding(self, codings: Iterable[Coded]) -> bool:
        """Tell whether a code only says that its value is a finding."""
        return any(known in self.questions for coded in codings for known in self._known_as(coded))

    def answer(self, codings: Iterable[Coded], texts: Iterable[str] = ()) -> Presence | None:
        """Return what an answer says; None when it says neither, or both."""
        said = {self.answers.get(code) for _, code in codings}
        said |= {self.texts.get(" ".join(text.split()).casefold()) for text in texts}
        said.discard(None)
        return said.pop() if len(said) == 1 else None


@cache
def finding_table() -> FindingTable:
    """Return the table of the package; a fault in it is a bug of ours and raises DataError."""
    tables = tomllib.loads(
        resources.files("pv_stream.ingest").joinpath("data", "findings.toml").read_text(encoding="utf-8")
    )
    for entries in tables.values():
        for entry in entries if isinstance(entries, list) else ():
            if entry["source"] not in tables["sources"]:
                message = f"findings.toml: source {entry['source']!r} is named but not listed under [sources]"
                raise DataError(message)
    return FindingTable(
        system_of={
            name.casefold(): entry["system"] for entry in tables["systems"] for name in entry["names"]
        },
        findings={
            (entry["system"], code): FindingCode(entry["finding"])
            for entry in tables["findings"]
            for code in entry["codes"]
        },
        dress=frozenset((entry["system"], code) for entry in tables["dress"] for code in entry["codes"]),
        tests={
            code: Test(FindingCode(entry["finding"]), entry["group"])
            for entry in tables["tests"]
            for code in entry["loinc"]
        },
        questions=frozenset(
            (entry["system"], code) for entry in tables["questions"] for code in entry["codes"]
        ),
        answers={code: Presence(entry["presence"]) for entry in tables["answers"] for code in entry["codes"]},
        texts={text: Presence(entry["presence"]) for entry in tables["answers"] for text in entry["texts"]},
    )
