"""The data files of ingest, read once: codes, units, specimens, drugs and routes.

The tables are part of the package. A fault in one is a bug of ours, so it raises when the table is first read.
"""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any, Final, TypeVar

from pv_stream.domain.codes import Analyte, HoldCode, Route
from pv_stream.errors import DataError

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class AnalyteCode:
    """Hold what a LOINC code measures, which quantities its unit may state, and whether it is of blood.

    `doubt` is why what stands under it is not believed: it stands beside a code of something else.
    """

    analyte: Analyte
    quantities: frozenset[str]
    in_blood: bool
    doubt: HoldCode | None = None


@dataclass(frozen=True, slots=True)
class NamedTest:
    """Hold one reading of a test's name; `is_specimen_stated` is false where the test is made of other fluids too."""

    code: AnalyteCode
    is_specimen_stated: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """Hold what a unit measures and its exact factor to the unit that values are kept in.

    The divisor is 1 wherever a decimal factor is exact, as it is for every unit of our own table.
    """

    quantity: str
    factor: Decimal
    divisor: int = 1


#: Exponents of base units, in order of name, without zeros.
Dimension = tuple[tuple[str, int], ...]
UCUM_NUMBER: Final[Dimension] = ()


@dataclass(frozen=True, slots=True)
class UcumTable:
    """Hold the exponents of prefixes, the size and dimension of atoms, and the quantity of each dimension.

    The fraction of a quantity is how many of the unit that its values are kept in make one of the base units.
    """

    prefixes: dict[str, int]
    atoms: dict[str, tuple[Fraction, Dimension]]
    quantities: dict[Dimension, tuple[str, Fraction]]


@dataclass(frozen=True, slots=True)
class LoincTable:
    """Hold the LOINC codes that rules use, those of other specimens and of panels, and its names, folded."""

    analytes: dict[str, AnalyteCode]
    not_blood: frozenset[str]
    panels: frozenset[str]
    systems: frozenset[str]


@dataclass(frozen=True, slots=True)
class BloodTable:
    """Hold the codes and names of specimens that count as blood."""

    codes: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class ListedDrug:
    """Hold the ingredients behind a name or code, and the route where every product under it has that one."""

    ingredients: tuple[str, ...]
    route: Route


@dataclass(frozen=True, slots=True)
class DrugTable:
    """Hold the names of drug code systems, the drugs by system and code, and the drugs by folded name."""

    system_of: dict[str, str]
    by_code: dict[str, dict[str, ListedDrug]]
    by_name: dict[str, ListedDrug]


@dataclass(frozen=True, slots=True)
class DrugWords:
    """Hold the words that leave a drug what it is, each with the route that it says, and the units of strengths."""

    routes: dict[str, Route]
    units: frozenset[str]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Hold routes by code and by folded text, and by the three digits of safety reports."""

    by_code: dict[str, Route]
    by_name: dict[str, Route]
    by_report_code: dict[str, Route]


@cache
def loinc_table() -> LoincTable:
    """Return the LOINC codes that rules use."""
    tables = _read("analytes.toml")
    analytes: dict[str, AnalyteCode] = {}
    for entry in tables["analytes"]:
        code = AnalyteCode(Analyte(entry["analyte"]), frozenset(entry["quantities"]), entry["in_blood"])
        for loinc in entry["loinc"]:
            _add(analytes, loinc, code, "LOINC code")
    return LoincTable(
        analytes,
        frozenset(tables["not_blood"]["loinc"]),
        frozenset(tables["panels"]["loinc"]),
        frozenset(name.casefold() for name in tables["loinc_systems"]["names"]),
    )


@cache
def named_tests() -> dict[str, tuple[NamedTest, ...]]:
    """Return the readings of the names of tests in safety reports; their units tell several of one name apart."""
    table: dict[str, tuple[NamedTest, ...]] = {}
    for entry in _read("test_names.toml")["tests"]:
        quantities = frozenset(entry["quantities"])
        code = AnalyteCode(Analyte(entry["analyte"]), quantities, in_blood=entry["specimen"] != "patient")
        reading = NamedTest(code, is_specimen_stated=entry["specimen"] != "not_stated")
        for name in entry["names"]:
            before = table.get(name, ())
            if any(each.code.quantities & quantities for each in before):
                message = f"test_names.toml: no unit tells the readings of {name!r} apart"
                raise DataError(message)
            table[name] = (*before, reading)
    return table


def fold(name: str) -> str:
    """Return a name without regard to case and spaces, as tables list it."""
    return " ".join(name.split()).casefold()


@cache
def unit_table() -> dict[str, Unit]:
    """Return the units by exact spelling."""
    units: dict[str, Unit] = {}
    for entry in _read("units.toml")["units"]:
        unit = Unit(entry["quantity"], Decimal(entry["factor"]))
        for spelling in entry["spellings"]:
            _add(units, spelling, unit, "unit")
    return units


@cache
def ucum_table() -> UcumTable:
    """Return what UCUM codes are made of."""
    tables = _read("ucum.toml")
    table = UcumTable({}, {}, {})
    for entry in tables["prefixes"]:
        table.prefixes.update(entry["exponents"])
    for entry in tables["atoms"]:
        dimension = tuple(sorted(entry.get("dimension", {}).items()))
        for symbol in entry["symbols"]:
            _add(table.atoms, symbol, (Fraction(entry["factor"]), dimension), "UCUM atom")
    for entry in tables["quantities"]:
        dimension = tuple(sorted(entry["dimension"].items()))
        if dimension in table.quantities:
            message = f"ucum.toml: the dimension of {entry['quantity']} stands twice"
            raise DataError(message)
        table.quantities[dimension] = entry["quantity"], Fraction(entry["factor"])
    return table


@cache
def blood_table() -> BloodTable:
    """Return the specimens that count as blood."""
    entries = _read("specimens.toml")["blood"]
    codes = frozenset(code for entry in entries for code in entry.get("codes", ()))
    return BloodTable(codes, frozenset(name for entry in entries for name in entry.get("names", ())))


@cache
def drug_table() -> DrugTable:
    """Return the listed drugs by RxNorm, ATC and UNII code and by name."""
    tables = _read("drugs.toml")
    system_of = {name: system for system, names in tables["systems"].items() for name in names}
    table = DrugTable(system_of, {"rxnorm": {}, "atc": {}, "unii": {}}, {})
    for entry in (*tables["drugs"], *_read("rxnorm_products.toml")["products"]):
        drug = _listed_drug(entry)
        for system, by_code in table.by_code.items():
            for code in entry.get(system, ()):
                _add(by_code, code, drug, f"{system} code")
        for name in entry.get("names", ()):
            _add(table.by_name, name, drug, "drug")
    return table


@cache
def drug_words() -> DrugWords:
    """Return the words that may stand beside the name of a drug."""
    tables = _read("drug_words.toml")
    routes: dict[str, Route] = {}
    for entry in tables["words"]:
        for word in entry["words"]:
            _add(routes, word.casefold(), Route(entry.get("route", Route.UNKNOWN)), "word of drugs")
    units = frozenset(word.casefold() for entry in tables["units"] for word in entry["words"])
    return DrugWords(routes, units)


@cache
def ndc_table() -> dict[str, ListedDrug]:
    """Return the listed products by the nine digits of labeller and product."""
    products: dict[str, ListedDrug] = {}
    for entry in _read("ndc.toml")["products"]:
        drug = _listed_drug(entry)
        for code in entry["ndc"]:
            _add(products, code, drug, "NDC")
    return products


def _listed_drug(entry: dict[str, Any]) -> ListedDrug:
    return ListedDrug(tuple(entry["ingredients"]), Route(entry.get("route", Route.UNKNOWN)))


@cache
def route_table() -> RouteTable:
    """Return the routes."""
    tables = _read("routes.toml")
    table = RouteTable({}, {}, {})
    for entry in tables["routes"]:
        for code in entry.get("codes", ()):
            _add(table.by_code, code, Route(entry["route"]), "route")
        for name in entry.get("names", ()):
            _add(table.by_name, name, Route(entry["route"]), "route")
    for entry in tables["report_routes"]:
        for code in entry["codes"]:
            _add(table.by_report_code, code, Route(entry["route"]), "route of a report")
    return table


@cache
def fhir_resource_types() -> frozenset[str]:
    """Return the names of FHIR's resource types."""
    return frozenset(_read("fhir_resources.toml")["resources"]["names"])


def _read(name: str) -> dict[str, Any]:
    tables = tomllib.loads(
        resources.files("pv_stream.ingest").joinpath("data", name).read_text(encoding="utf-8")
    )
    for entries in tables.values():
        for entry in entries if isinstance(entries, list) else ():
            if entry["source"] not in tables["sources"]:
                message = f"{name}: source {entry['source']!r} is named but not listed under [sources]"
                raise DataError(message)
    return tables


def _add(table: dict[str, _Entry], key: str, value: _Entry, what: str) -> None:
    if key in table:
        message = f"{what} {key!r} stands twice in the tables of ingest"
        raise DataError(message)
    table[key] = value
