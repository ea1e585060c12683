"""Which listed ingredients a coded drug names: by RxNorm, by ATC, or by an exact name. Never by part of a name.

The lists are the rulebook's: watched drugs, prodrugs (which count as the drug), combinations (which count as each
ingredient) and treatments. A drug that is not recognised is still an exposure, with the code as sent, so that the
mapping can be completed later. A code is repeated only when the sender names its system and it has the shape of a
code in it: digits that are no date, hyphens only in an NDC. A field that holds something else by mistake is not
passed on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.codes import Route
from pv_stream.domain.facts import AsSent
from pv_stream.ingest.tables import drug_code_table
from pv_stream.rules.rulebook import Rulebook

_RXNORM_CODE: Final = re.compile(r"\d{1,8}", re.ASCII)
#: Labeller, product and, if it is named, package.
_NDC_CODE: Final = re.compile(r"\d{8,11}|\d{4,5}-\d{3,4}(?:-\d{1,2})?", re.ASCII)
_OTHER_CODE: Final = re.compile(r"\d{3,18}", re.ASCII)
_DATE: Final = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_ATC_CODE: Final = re.compile(r"[A-Z]\d{2}[A-Z]{2}\d{2}", re.ASCII)
_SHAPE_OF: Final = {"rxnorm": _RXNORM_CODE, "ndc": _NDC_CODE, "atc": _ATC_CODE}
_SPACES: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Coding:
    """Hold one way in which a sender names a drug: a code in a system, a name, or both."""

    system: str
    code: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Drug:
    """Hold the ingredients recognised, in order of name, and how the drug was named."""

    ingredients: tuple[str, ...]
    as_sent: AsSent | None
    identity: str

    @property
    def is_known(self) -> bool:
        """Tell whether any listed ingredient was recognised."""
        return bool(self.ingredients)


class DrugList:
    """Look up drugs in one rulebook."""

    def __init__(self, rulebook: Rulebook) -> None:
        """Index the rulebook's codes and names."""
        self._rxnorm: dict[str, frozenset[str]] = {}
        self._atc: dict[str, frozenset[str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        for drug in rulebook.drugs:
            itself = frozenset({drug.name})
            self._add(itself, drug.rxnorm, drug.names)
            self._atc.update(dict.fromkeys(drug.atc, itself))
            for prodrug in drug.prodrugs:
                self._add(itself, prodrug.rxnorm, prodrug.names)
        for combination in rulebook.combinations:
            self._add(frozenset(combination.ingredients), None, combination.names)
        for treatment in rulebook.treatments:
            self._add(frozenset({treatment.name}), treatment.rxnorm, treatment.names)

    def _add(self, ingredients: frozenset[str], rxnorm: str | None, names: Iterable[str]) -> None:
        if rxnorm is not None:
            self._rxnorm[rxnorm] = ingredients
        self._names.update(dict.fromkeys(map(_folded, names), ingredients))

    def recognise(self, codings: Iterable[Coding]) -> Drug:
        """Return what the codings of one drug, or of the parts of one order, name together.

        Codes come before names: a name is used only for a coding whose code says nothing.
        """
        ingredients: set[str] = set()
        evidence: list[AsSent] = []
        unknown: list[AsSent] = []
        identity: list[str] = []
        for coding in codings:
            found, as_sent = self._look_up(coding)
            ingredients |= found
            if as_sent is not None:
                (evidence if found else unknown).append(as_sent)
            identity.append(
                f"{coding.system}|{coding.code}|{_folded(coding.name) if not coding.code else ''}"
            )
        names = tuple(sorted(ingredients))
        as_sent = next(iter(evidence or unknown), None)
        return Drug(names, as_sent, "+".join(names) if names else "\x1f".join(sorted(set(identity))))

    def _look_up(self, coding: Coding) -> tuple[frozenset[str], AsSent | None]:
        system = drug_code_table().system_of.get(coding.system, "")
        code = coding.code.strip()
        by_code = {"rxnorm": self._rxnorm, "atc": self._atc}.get(system, {}).get(code)
        if by_code is not None:
            return by_code, AsSent(system, code)
        folded = _folded(coding.name)
        by_name = self._names.get(folded)
        if by_name is not None:
            # The name is one of the rulebook's own, so it can be repeated; a token holds no spaces.
            return by_name, AsSent("name", folded.replace(" ", "_"))
        return frozenset(), _code_as_sent(system, code) if coding.system else None


def route_of(codes: Iterable[str]) -> Route:
    """Return the route of the first code that is known; unknown without one."""
    routes = drug_code_table().route_of
    return next((routes[code] for code in codes if code in routes), Route.UNKNOWN)


def _code_as_sent(system: str, code: str) -> AsSent | None:
    has_shape = _SHAPE_OF.get(system, _OTHER_CODE).fullmatch(code) is not None
    return AsSent(system or "other", code) if has_shape and _DATE.fullmatch(code) is None else None


def _folded(name: str) -> str:
    return _SPACES.sub(" ", name.strip()).casefold()
