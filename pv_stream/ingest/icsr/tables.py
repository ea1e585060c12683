"""The codes of safety reports: how DRESS is named, units of doses and of time, roles, outcomes and rechallenges.

Code lists of ICH stand here as tables; what has more than a handful of codes, or a source of its own, in
`data/e2b.toml`.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from pv_stream.domain.codes import DrugRole, RechallengeOutcome, ReportOutcome
from pv_stream.errors import DataError

#: E2B(R3) G.k.1; E2B(R2) B.4.k.1 knows the first three.
ROLES: Final = {
    "1": DrugRole.SUSPECT,
    "2": DrugRole.CONCOMITANT,
    "3": DrugRole.INTERACTING,
    "4": DrugRole.NOT_ADMINISTERED,
}
#: E2B(R3) E.i.7 (unknown is 0) and E2B(R2) B.2.i.8 (unknown is 6).
OUTCOMES: Final = {
    "1": ReportOutcome.RECOVERED,
    "2": ReportOutcome.RECOVERING,
    "3": ReportOutcome.NOT_RECOVERED,
    "4": ReportOutcome.RECOVERED_WITH_SEQUELAE,
    "5": ReportOutcome.FATAL,
}
#: E2B(R3) G.k.9.i.4; E2B(R2) B.4.k.17.1 knows the first three.
RECHALLENGES: Final = {
    "1": RechallengeOutcome.RECURRED,
    "2": RechallengeOutcome.DID_NOT_RECUR,
    "3": RechallengeOutcome.OUTCOME_UNKNOWN,
    "4": RechallengeOutcome.NOT_APPLICABLE,
}
#: E2B(R3) E.i.3.1 and E2B(R2) B.2.i.3: a term that the reporter did or did not highlight, serious or not.
HIGHLIGHTED_SERIOUS: Final = {"1": False, "2": False, "3": True, "4": True}


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Hold the names and codes of DRESS, dose units of E2B(R2) by code, and the seconds that a unit of time may be."""

    dress_names: frozenset[str]
    dress_codes: frozenset[str]
    dose_units: dict[str, str]
    seconds: dict[str, tuple[int, int]]

    def names_dress(self, codes: Iterable[str], names: Iterable[str]) -> bool:
        """Tell whether a term is DRESS: by a MedDRA code, or by a name as a whole, never by part of one."""
        folded = (" ".join(name.split()).casefold() for name in names)
        return any(code in self.dress_codes for code in codes) or any(
            name in self.dress_names or name in self.dress_codes for name in folded
        )


@cache
def report_table() -> ReportTable:
    """Return the table. Raises DataError when an entry names a source that is not listed."""
    path = resources.files("pv_stream.ingest").joinpath("data", "e2b.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    for name in ("dress", "dose_units", "time_units"):
        for entry in tables[name]:
            if entry["source"] not in tables["sources"]:
                message = f"e2b.toml: source {entry['source']!r} is named but not listed under [sources]"
                raise DataError(message)
    return ReportTable(
        frozenset(name for entry in tables["dress"] for name in entry.get("names", ())),
        frozenset(code for entry in tables["dress"] for code in entry.get("codes", ())),
        {entry["code"]: entry["unit"] for entry in tables["dose_units"]},
        {
            code: (entry["seconds"][0], entry["seconds"][1])
            for entry in tables["time_units"]
            for code in entry["codes"]
        },
    )
