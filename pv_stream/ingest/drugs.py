"""Which ingredients a coded drug names: by RxNorm, ATC, UNII or NDC, or by an exact name. Never by part of a name.

The rulebook's own names and codes come first: watched drugs, prodrugs (which count as the drug), combinations (which
count as each ingredient) and treatments. Then come the tables of ingest (`data/drugs.toml`, `rxnorm_products.toml`,
`ndc.toml`), which know more codes and names of the same ingredients. A drug that is not recognised is still an
exposure, with the code as sent, so that the mapping can be completed later. A code is repeated only when the sender
names its system and it has the shape of a code in it: digits that are no date, hyphens only in an NDC. A field that
holds something else by mistake is not passed on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.codes import Route
from pv_stream.domain.facts import INGREDIENTS_MAX, AsSent
from pv_stream.ingest.tables import ListedDrug, drug_table, ndc_table, route_table
from pv_stream.rules.rulebook import Rulebook

_RXNORM_CODE: Final = re.compile(r"\d{1,8}", re.ASCII)
#: Labeller, product and, if it is named, package.
_NDC_CODE: Final = re.compile(r"\d{8,11}|\d{4,5}-\d{3,4}(?:-\d{1,2})?", re.ASCII)
#: With hyphens the parts are filled up with zeros; eleven digits are filled up already, ten may mean three things.
_NDC_PARTS: Final = re.compile(r"(\d{4,5})-(\d{3,4})(?:-\d{1,2})?|(\d{5})(\d{4})\d{2}", re.ASCII)
_OTHER_CODE: Final = re.compile(r"\d{3,18}", re.ASCII)
_DATE: Final = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_ATC_CODE: Final = re.compile(r"[A-Z]\d{2}[A-Z]{2}\d{2}", re.ASCII)
_UNII_CODE: Final = re.compile(r"(?=[A-Z0-9]*\d)[A-Z0-9]{10}", re.ASCII)
_SHAPE_OF: Final = {"rxnorm": _RXNORM_CODE, "ndc": _NDC_CODE, "atc": _ATC_CODE, "unii": _UNII_CODE}
_WORDS: Final = re.compile(r"[a-z0-9-]+", re.ASCII)
_WORDS_LOOKED_AT: Final = 40
_NAME_WORDS_MAX: Final = 3
_SPACES: Final = re.compile(r"\s+")
_SLASHES: Final = re.compile(r" ?/ ?")
#: What the canonical form allows as a token (`codec.events`).
_TOKEN: Final = re.compile(r"[a-z0-9/()._-]{1,40}", re.ASCII)
#: How the names of a combination are put together: RxNorm and INN, FDA's labels.
_TOGETHER: Final = re.compile(r"/| and ")


@dataclass(frozen=True, slots=True)
class Coding:
    """Hold one way in which a sender names a drug: a code in a system, a name, or both."""

    system: str
    code: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Drug:
    """Hold the ingredients recognised, in order of name, how the drug was named, and the route that its name says.

    `route` is that of the product, where it has but one: what a message states of the route comes before it.
    """

    ingredients: tuple[str, ...]
    as_sent: AsSent | None
    identity: str
    route: Route = Route.UNKNOWN

    @property
    def is_known(self) -> bool:
        """Tell whether any listed ingredient was recognised."""
        return bool(self.ingredients)


class DrugList:
    """Look up drugs in one rulebook and in the tables of ingest."""

    def __init__(self, rulebook: Rulebook) -> None:
        """Index the rulebook's codes and names."""
        self._rulebook = rulebook
        self._codes: dict[str, dict[str, ListedDrug]] = {"rxnorm": {}, "atc": {}}
        self._names: dict[str, ListedDrug] = {}
        for drug in rulebook.drugs:
            self._add((drug.name,), drug.rxnorm, drug.names)
            itself = ListedDrug((drug.name,), Route.UNKNOWN)
            self._codes["atc"].update(dict.fromkeys(drug.atc, itself))
            for prodrug in drug.prodrugs:
                self._add((drug.name,), prodrug.rxnorm, prodrug.names)
        for combination in rulebook.combinations:
            self._add(combination.ingredients, None, combination.names)
        for treatment in rulebook.treatments:
            self._add((treatment.name,), treatment.rxnorm, treatment.names)

    def _add(self, ingredients: tuple[str, ...], rxnorm: str | None, names: Iterable[str]) -> None:
        drug = ListedDrug(ingredients, Route.UNKNOWN)
        if rxnorm is not None:
            self._codes["rxnorm"][rxnorm] = drug
        self._names.update(dict.fromkeys(map(_folded, names), drug))

    def recognise(self, codings: Iterable[Coding]) -> Drug:
        """Return what the codings of one drug, or of the parts of one order, name together.

        Codes come before names: a name is used only for a coding whose code says nothing.
        """
        ingredients: set[str] = set()
        routes: set[Route] = set()
        evidence: list[AsSent] = []
        unknown: list[AsSent] = []
        identity: list[str] = []
        for coding in codings:
            found, as_sent = self._look_up(coding)
            if found is not None:
                ingredients.update(map(self._name_in_rulebook, found.ingredients))
                routes.add(found.route)
            if as_sent is not None:
                (unknown if found is None else evidence).append(as_sent)
            identity.append(
                f"{coding.system}|{coding.code}|{_folded(coding.name) if not coding.code else ''}"
            )
        names = tuple(sorted(ingredients))
        as_sent = next(iter(evidence or unknown), None)
        stated = routes - {Route.UNKNOWN}
        return Drug(
            names,
            as_sent,
            "+".join(names) if names else "\x1f".join(sorted(set(identity))),
            stated.pop() if len(stated) == 1 else Route.UNKNOWN,
        )

    def _look_up(self, coding: Coding) -> tuple[ListedDrug | None, AsSent | None]:
        system = drug_table().system_of.get(coding.system, "")
        code = coding.code.strip()
        by_code = self._by_code(system, code)
        if by_code is not None and not (system == "ndc" and self._speaks_of_another(coding.name, by_code)):
            return by_code, AsSent(system, code)
        folded = _folded(coding.name)
        by_name = self._by_name(folded)
        if by_name is not None:
            # The name is one of our own lists, so it can be repeated; a token holds no spaces.
            token = folded.replace(" ", "_")
            return by_name, AsSent("name", token) if _TOKEN.fullmatch(token) else None
        return None, _code_as_sent(system, code) if coding.system else None

    def _by_code(self, system: str, code: str) -> ListedDrug | None:
        if system == "ndc":
            return _by_ndc(code)
        ours = self._codes.get(system, {}).get(code)
        return ours if ours is not None else drug_table().by_code.get(system, {}).get(code)

    def _by_name(self, folded: str) -> ListedDrug | None:
        """Return the drug of an exact name, or of a combination each of whose names is listed, in any order."""
        found = self._listed(folded)
        parts = _TOGETHER.split(folded, INGREDIENTS_MAX)
        if found is not None or not 1 < len(parts) <= INGREDIENTS_MAX:
            return found
        drugs = [self._listed(part) for part in parts]
        if None in drugs:
            return None
        names = {name for drug in drugs if drug is not None for name in drug.ingredients}
        return ListedDrug(tuple(sorted(names)), Route.UNKNOWN)

    def _listed(self, folded: str) -> ListedDrug | None:
        return self._names.get(folded) or drug_table().by_name.get(folded)

    def _speaks_of_another(self, name: str, drug: ListedDrug) -> bool:
        """Tell whether a text beside an NDC names none of its ingredients: labellers give numbers out again."""
        words = _WORDS.findall(_folded(name))[:_WORDS_LOOKED_AT]
        spans = (
            " ".join(words[start : start + length])
            for start in range(len(words))
            for length in range(1, _NAME_WORDS_MAX + 1)
        )
        named = {i for span in spans if (found := self._listed(span)) is not None for i in found.ingredients}
        return bool(words) and not named.intersection(drug.ingredients)

    def _name_in_rulebook(self, ingredient: str) -> str:
        """Return what the rulebook calls an ingredient: a prodrug counts as its drug."""
        listed = self._rulebook.drug_called(ingredient) or self._rulebook.treatment_called(ingredient)
        return ingredient if listed is None else listed.name


def _by_ndc(code: str) -> ListedDrug | None:
    parts = _NDC_PARTS.fullmatch(code)
    if parts is None:
        return None
    return ndc_table().get((parts[1] or parts[3]).zfill(5) + (parts[2] or parts[4]).zfill(4))


def route_of(codes: Iterable[str], otherwise: Route = Route.UNKNOWN) -> Route:
    """Return the route of the first code or exact text that is known.

    Without one it is `otherwise`: the route that the drug's own code or name says (`Drug.route`).
    """
    table = route_table()
    found = (table.by_code.get(code) or table.by_name.get(_folded(code)) for code in codes)
    return next((route for route in found if route is not None), otherwise)


def report_route_of(code: str, otherwise: Route = Route.UNKNOWN) -> Route:
    """Return the route of a three-digit code of safety reports (ICH E2B(R2) B.4.k.8), or of what else is known."""
    return route_table().by_report_code.get(code.strip()) or route_of((code,), otherwise)


def _code_as_sent(system: str, code: str) -> AsSent | None:
    has_shape = _SHAPE_OF.get(system, _OTHER_CODE).fullmatch(code) is not None
    if system == "unii" and has_shape and not _is_unii(code):
        return None
    return AsSent(system or "other", code) if has_shape and _DATE.fullmatch(code) is None else None


def _is_unii(code: str) -> bool:
    """Tell whether ten characters end with the check character of a UNII, which a record number hardly ever does.

    It is the sum of the others modulo 36, digits first; so in every UNII of `drugs.toml`.
    """
    return sum(int(character, 36) for character in code[:-1]) % 36 == int(code[-1], 36)


def _folded(name: str) -> str:
    return _SLASHES.sub("/", _SPACES.sub(" ", name.strip())).casefold()
