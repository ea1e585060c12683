"""Which ingredients a coded drug names: by RxNorm, ATC, UNII or NDC, or by an exact name. Never by part of a name.

A name may stand among words of strength, form, salt or route (`drug_texts`). What names two drugs for one thing
(a code and a text that disagree), or a listed drug among words that nobody knows, is not believed: it has a `doubt`.

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
from functools import lru_cache
from typing import Final

from pv_stream.domain.codes import HoldCode, Route
from pv_stream.domain.facts import INGREDIENTS_MAX, AsSent
from pv_stream.ingest.drug_texts import DrugNames
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
_SPACES: Final = re.compile(r"\s+")
_SLASHES: Final = re.compile(r" ?/ ?")
#: A product is ordered again and again under the same code and text; a longer text is not kept in memory.
_REMEMBERED: Final = 4096
_REMEMBERED_MAX: Final = 128
#: What the canonical form allows as a token (`codec.events`).
_TOKEN: Final = re.compile(r"[a-z0-9/()._-]{1,40}", re.ASCII)
#: How the names of a combination are put together: RxNorm and INN, FDA's labels.
_TOGETHER: Final = re.compile(r"/| and ")


@dataclass(frozen=True, slots=True)
class Coding:
    """Hold one way in which a sender names a drug: a code in a system, a name, or both.

    Codings of one `concept` name one and the same thing; None is a part of its own.
    """

    system: str
    code: str
    name: str = ""
    concept: int | None = None


@dataclass(frozen=True, slots=True)
class Drug:
    """Hold the ingredients recognised, in order of name, how the drug was named, and the route that its name says.

    `route` is that of the product, where it has but one: what a message states of the route comes before it. With a
    `doubt` nothing is recognised, and `may_be` has every listed ingredient that was named: a person must tell.
    """

    ingredients: tuple[str, ...]
    as_sent: AsSent | None
    identity: str
    route: Route = Route.UNKNOWN
    doubt: HoldCode | None = None
    may_be: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Tell whether any listed ingredient was recognised."""
        return bool(self.ingredients)


@dataclass(frozen=True, slots=True)
class _Found:
    """Hold what one coding names for certain, what else its name says, and how it was sent."""

    certain: frozenset[str] = frozenset()
    may_be: frozenset[str] = frozenset()
    route: Route = Route.UNKNOWN
    as_sent: AsSent | None = None
    is_conflicting: bool = False


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
        self._texts = DrugNames({**drug_table().by_name, **self._names})
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._recognise)

    def _add(self, ingredients: tuple[str, ...], rxnorm: str | None, names: Iterable[str]) -> None:
        drug = ListedDrug(ingredients, Route.UNKNOWN)
        if rxnorm is not None:
            self._codes["rxnorm"][rxnorm] = drug
        self._names.update(dict.fromkeys(map(_folded, names), drug))

    def recognise(self, codings: Iterable[Coding]) -> Drug:
        """Return what the codings of one drug, or of the parts of one order, name together.

        A code that we know comes before the name beside it, and must not be contradicted by it.
        """
        stated = tuple(codings)
        length = sum(len(each.name) + len(each.code) for each in stated)
        return self._remembered(stated) if length <= _REMEMBERED_MAX else self._recognise(stated)

    def _recognise(self, codings: tuple[Coding, ...]) -> Drug:
        concepts: dict[int | None, set[frozenset[str]]] = {}
        found: list[_Found] = []
        identity: list[str] = []
        for coding in codings:
            each = self._find(coding.system, coding.code, coding.name)
            found.append(each)
            if coding.concept is not None and each.certain:
                concepts.setdefault(coding.concept, set()).add(each.certain)
            identity.append(
                f"{coding.system}|{coding.code}|{_folded(coding.name) if not coding.code else ''}"
            )
        certain = frozenset[str]().union(*(each.certain for each in found))
        named = certain.union(*(each.may_be for each in found))
        doubt = None
        if any(each.is_conflicting for each in found) or not all(map(_is_one_drug, concepts.values())):
            doubt = HoldCode.CONFLICTING_DRUGS
        elif named != certain:
            doubt = HoldCode.DRUG_NOT_READ_WHOLE
        as_sent = next(
            (each.as_sent for each in (*filter(_is_certain, found), *found) if each.as_sent is not None), None
        )
        stated = {each.route for each in found} - {Route.UNKNOWN}
        return Drug(
            tuple(sorted(certain)) if doubt is None else (),
            as_sent,
            "+".join(sorted(named)) if named else "\x1f".join(sorted(set(identity))),
            stated.pop() if len(stated) == 1 else Route.UNKNOWN,
            doubt,
            tuple(sorted(named)) if doubt is not None else (),
        )

    def _find(self, of_system: str, code: str, text: str) -> _Found:
        system = drug_table().system_of.get(of_system, "")
        code = code.strip()
        name, by_name, is_whole = self._read_name(text)
        named = frozenset[str]() if by_name is None else self._in_rulebook(by_name)
        by_code = self._by_code(system, code)
        # Labellers give the numbers of NDC out again: beside one, a text that names none of its ingredients counts.
        is_reused = system == "ndc" and text.strip() != ""
        if by_code is not None and not (is_reused and not named & self._in_rulebook(by_code)):
            coded = self._in_rulebook(by_code)
            is_conflicting = not named <= coded
            return _Found(coded, named, by_code.route, AsSent(system, code), is_conflicting=is_conflicting)
        sent = _code_as_sent(system, code) if of_system else None
        if by_name is None:
            return _Found(as_sent=sent)
        if not is_whole and sent is not None:
            return _Found(may_be=named, route=by_name.route, as_sent=sent)
        # The name is one of our own lists, so it can be repeated; a token holds no spaces.
        token = name.replace(" ", "_")
        said = AsSent("name", token) if _TOKEN.fullmatch(token) else None
        return _Found(named if is_whole else frozenset(), named, by_name.route, said)

    def _read_name(self, text: str) -> tuple[str, ListedDrug | None, bool]:
        """Return the listed name in a text, what it names, and whether the text names nothing else."""
        folded = _folded(text)
        exact = self._by_name(folded)
        if exact is not None or not folded:
            return folded, exact, True
        read = self._texts.read(folded)
        return ("", None, False) if read is None else (read.names[0], read.drug, read.is_whole)

    def _in_rulebook(self, drug: ListedDrug) -> frozenset[str]:
        return frozenset(map(self._name_in_rulebook, drug.ingredients))

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

    def _name_in_rulebook(self, ingredient: str) -> str:
        """Return what the rulebook calls an ingredient: a prodrug counts as its drug."""
        listed = self._rulebook.drug_called(ingredient) or self._rulebook.treatment_called(ingredient)
        return ingredient if listed is None else listed.name


def _is_certain(found: _Found) -> bool:
    return bool(found.certain)


def _is_one_drug(said: set[frozenset[str]]) -> bool:
    """Tell whether what the codings of one thing name is one drug: a product, and perhaps some of its ingredients."""
    return frozenset[str]().union(*said) in said


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
