"""The codes of the rulebook are those by which messages are read: one number, one drug, in both."""

import tomllib
from collections.abc import Iterator
from importlib import resources

import pytest

from tests.builders import RULEBOOK

DRUGS = tomllib.loads(
    resources.files("pv_stream.ingest").joinpath("data", "drugs.toml").read_text(encoding="utf-8")
)
#: Not in the RxNorm content for prescribing: the drug is not marketed in the United States.
OF_THE_RULEBOOK_ALONE = {("rxnorm", "57021")}


def _codes() -> Iterator[tuple[str, str, str]]:
    """Yield each code of the rulebook with its system and the ingredient."""
    for treatment in RULEBOOK.treatments:
        if treatment.rxnorm is not None:
            yield "rxnorm", treatment.rxnorm, treatment.name
    for drug in RULEBOOK.drugs:
        if drug.rxnorm is not None:
            yield "rxnorm", drug.rxnorm, drug.name
        yield from (("atc", code, drug.name) for code in drug.atc)
        yield from (("rxnorm", p.rxnorm, p.name) for p in drug.prodrugs if p.rxnorm is not None)


@pytest.mark.parametrize("system", ["rxnorm", "atc"])
def test_a_code_of_the_rulebook_is_of_the_same_ingredient_in_the_data_of_ingest(system: str) -> None:
    read_as = {code: row["ingredients"] for row in DRUGS["drugs"] for code in row.get(system, ())}
    expected = {code: [name] for kind, code, name in _codes() if kind == system}
    alone = {code for kind, code in OF_THE_RULEBOOK_ALONE if kind == system}

    assert set(expected) - set(read_as) == alone
    assert {code: read_as[code] for code in expected if code in read_as} == {
        code: name for code, name in expected.items() if code not in alone
    }
