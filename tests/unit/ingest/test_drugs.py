"""Drugs: recognised by RxNorm, ATC or an exact listed name, and by nothing else."""

import pytest

from pv_stream.domain.codes import Route
from pv_stream.domain.facts import AsSent
from pv_stream.ingest.drugs import Coding, DrugList, route_of

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
NDC = "http://hl7.org/fhir/sid/ndc"


@pytest.mark.parametrize(
    ("coding", "ingredients"),
    [
        (Coding(RXNORM, "282388"), ("imatinib",)),
        (Coding("RXNORM", "282388"), ("imatinib",)),
        (Coding(ATC, "L01EA01"), ("imatinib",)),
        (Coding("", "", "Imatinib  MESYLATE "), ("imatinib",)),
        (Coding("L", "4711", "Gleevec"), ("imatinib",)),
        (Coding(RXNORM, "72236"), ("phenytoin",)),
        (Coding("", "", "fosphenytoin sodium"), ("phenytoin",)),
        (Coding("", "", "Bactrim"), ("sulfamethoxazole", "trimethoprim")),
        (Coding("", "", "piperacillin/tazobactam"), ("piperacillin",)),
        (Coding(RXNORM, "1746889"), ("reslizumab",)),
        (Coding("", "", "Ciclosporin"), ("cyclosporine",)),
    ],
)
def test_a_listed_drug_is_recognised(drugs: DrugList, coding: Coding, ingredients: tuple[str, ...]) -> None:
    assert drugs.recognise([coding]).ingredients == ingredients


@pytest.mark.parametrize(
    "coding",
    [
        Coding("", "", "imatinib 400 mg tablet"),
        Coding("", "", "Vancomycin Hydrochloride (VANCOMYCIN HYDROCHLORIDE)"),
        Coding("", "", "Zosyn (piperacillin/tazobactam) 4.5gm injection"),
        Coding("", "", "not imatinib"),
        Coding("", "", "imati"),
        Coding("L", "282388"),  # the number of imatinib in a system that is not RxNorm
        Coding(NDC, "282388"),
        Coding(RXNORM, "403878"),
        Coding("", "", ""),
    ],
)
def test_no_drug_is_recognised_by_a_part_of_its_name_or_by_a_number_alone(
    drugs: DrugList, coding: Coding
) -> None:
    drug = drugs.recognise([coding])
    assert drug.ingredients == ()
    assert not drug.is_known


def test_the_parts_of_one_order_are_one_exposure(drugs: DrugList) -> None:
    drug = drugs.recognise(
        [Coding("", "", "trimethoprim"), Coding("", "", "sulfamethoxazole"), Coding("", "", "water")]
    )
    assert drug.ingredients == ("sulfamethoxazole", "trimethoprim")


def test_a_code_counts_before_a_name(drugs: DrugList) -> None:
    assert drugs.recognise([Coding(RXNORM, "282388", "allopurinol")]).ingredients == ("imatinib",)


@pytest.mark.parametrize(
    ("coding", "as_sent"),
    [
        (Coding(NDC, "0069-2587-10", "Vancomycin (X)"), AsSent("ndc", "0069-2587-10")),
        (Coding("LOCAL", "00047040230"), AsSent("other", "00047040230")),
        (Coding(ATC, "A10BA02"), AsSent("atc", "A10BA02")),
        (Coding(RXNORM, "282388"), AsSent("rxnorm", "282388")),
        (Coding("", "", "Imatinib mesylate"), AsSent("name", "imatinib_mesylate")),
        (Coding("LOCAL", "JANE-DOE"), None),
        (Coding("LOCAL", "123-45-6789"), None),
        (Coding("LOCAL", "12345-6789"), None),
        (Coding(NDC, "123-45-6789"), None),
        (Coding(RXNORM, "123-456"), None),
        (Coding(RXNORM, "123456789"), None),
        (Coding("", "00047040230"), None),
        (Coding(NDC, "19420301"), None),
        (Coding(NDC, "1942-03-01"), None),
        (Coding("LOCAL", "Jane Doe 12"), None),
        (Coding("", "", "for Jane Doe"), None),
    ],
)
def test_only_what_has_the_shape_of_a_code_is_repeated(
    drugs: DrugList, coding: Coding, as_sent: AsSent | None
) -> None:
    assert drugs.recognise([coding]).as_sent == as_sent


def test_routes() -> None:
    assert route_of(["PO"]) is Route.ORAL
    assert route_of(["", "47625008"]) is Route.INTRAVENOUS
    assert route_of(["TP"]) is Route.TOPICAL
    assert route_of(["IM"]) is Route.OTHER
    assert route_of(["by mouth"]) is Route.UNKNOWN
    assert route_of([]) is Route.UNKNOWN
