"""Drugs: recognised by RxNorm, ATC or an exact listed name, and by nothing else."""

import pytest

from pv_stream.domain.codes import HoldCode, Route
from pv_stream.domain.facts import AsSent
from pv_stream.ingest.drugs import Coding, DrugList, _is_unii, report_route_of, route_of
from pv_stream.ingest.tables import drug_table, ndc_table, route_table
from pv_stream.rules.rulebook import Rulebook

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
        (Coding("RXNORM", "71227"), ("phenytoin",)),  # the precise ingredient phenytoin sodium
        (Coding(RXNORM, "403878"), ("imatinib",)),  # imatinib 400 MG Oral Tablet
        (Coding(RXNORM, "1664314"), ("empagliflozin", "metformin")),
        (Coding("", "", "EMPAGLIFLOZIN / METFORMIN"), ("empagliflozin", "metformin")),
        (Coding(ATC, "J01EE01"), ("sulfamethoxazole", "trimethoprim")),
        (Coding(ATC, "J01CR05"), ("piperacillin",)),
        (Coding(ATC, "N03AB05"), ("phenytoin",)),  # fosphenytoin
        (Coding("http://fdasis.nlm.nih.gov", "8A1O1M485B"), ("imatinib",)),
        (Coding(NDC, "0078-0401-34"), ("imatinib",)),
        (Coding(NDC, "0078-0401"), ("imatinib",)),
        (Coding(NDC, "00078040134"), ("imatinib",)),
        (Coding(NDC, "00078-0401-34", "Gleevec 100 mg tablet"), ("imatinib",)),
        (Coding("", "", "Trimethoprim / Sulfamethoxazole"), ("sulfamethoxazole", "trimethoprim")),
        (Coding("", "", "SULFAMETHOXAZOLE AND TRIMETHOPRIM"), ("sulfamethoxazole", "trimethoprim")),
        (Coding("", "", "abacavir/lamivudine"), ("abacavir",)),
        (Coding("", "", "Triumeq"), ("abacavir",)),
        (Coding("", "", "Sulfatrim"), ("sulfamethoxazole", "trimethoprim")),
    ],
)
def test_a_listed_drug_is_recognised(drugs: DrugList, coding: Coding, ingredients: tuple[str, ...]) -> None:
    assert drugs.recognise([coding]).ingredients == ingredients


@pytest.mark.parametrize(
    "coding",
    [
        Coding("", "", "not imatinib"),
        Coding("", "", "imati"),
        Coding(
            "", "", "imatinib/ibuprofen"
        ),  # ibuprofen is not listed, so this is no combination that we know
        Coding("", "", "carbamazepine and others"),
        Coding("", "", "/".join(["imatinib"] * 65)),
        Coding("L", "282388"),  # the number of imatinib in a system that is not RxNorm
        Coding(NDC, "282388"),
        Coding(RXNORM, "197361"),  # amlodipine 5 MG Oral Tablet
        Coding(NDC, "0078040134"),  # ten digits may be split in three ways
        Coding(NDC, "0078-0401-34", "Ampicillin 250 MG TAB"),  # a number given out again
        Coding(ATC, "L01EA"),
        Coding("http://fdasis.nlm.nih.gov", "imatinib"),
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


@pytest.mark.parametrize(
    "codings",
    [
        [Coding(RXNORM, "282388", "allopurinol")],
        [Coding(RXNORM, "282388", "Allopurinol 300 mg")],
        [Coding(RXNORM, "282388", "not allopurinol")],
        [Coding(RXNORM, "282388", concept=1), Coding("", "", "Allopurinol 300 mg", 1)],
        [Coding(ATC, "M04AA01", concept=1), Coding(RXNORM, "282388", concept=1)],
        [Coding(NDC, "0078-0401-34", "imatinib / allopurinol")],
    ],
)
def test_a_code_and_a_name_of_different_drugs_are_not_believed(
    drugs: DrugList, codings: list[Coding]
) -> None:
    for order in (codings, codings[::-1]):
        drug = drugs.recognise(order)
        assert (drug.ingredients, drug.doubt) == ((), HoldCode.CONFLICTING_DRUGS)
        assert drug.may_be == ("allopurinol", "imatinib")
        assert not drug.is_known


@pytest.mark.parametrize(
    ("codings", "ingredients"),
    [
        ([Coding(RXNORM, "282388", "imatinib as ordered by the clinic")], ("imatinib",)),
        ([Coding(RXNORM, "282388", "a study drug")], ("imatinib",)),
        ([Coding(RXNORM, "1664314", "metformin")], ("empagliflozin", "metformin")),
        ([Coding(RXNORM, "8183", "fosphenytoin")], ("phenytoin",)),  # counts as phenytoin
        ([Coding("", "", "imatinib as ordered"), Coding(RXNORM, "282388")], ("imatinib",)),
        (
            [Coding(RXNORM, "282388", concept=1), Coding(RXNORM, "519", concept=2)],
            ("allopurinol", "imatinib"),
        ),
    ],
)
def test_a_name_that_says_no_other_drug_leaves_the_code_what_it_is(
    drugs: DrugList, codings: list[Coding], ingredients: tuple[str, ...]
) -> None:
    drug = drugs.recognise(codings)
    assert (drug.ingredients, drug.doubt, drug.may_be) == (ingredients, None, ())


def test_a_number_given_out_again_counts_as_the_drug_of_its_text(drugs: DrugList) -> None:
    assert drugs.recognise([Coding(NDC, "0078-0401-34", "Zyloprim 100 mg tablet")]).ingredients == (
        "allopurinol",
    )


@pytest.mark.parametrize(
    ("coding", "as_sent"),
    [
        (Coding(NDC, "0069-2587-10", "Vancomycin (X)"), AsSent("ndc", "0069-2587-10")),
        (Coding("LOCAL", "00047040230"), AsSent("other", "00047040230")),
        (Coding(ATC, "A10BA02"), AsSent("atc", "A10BA02")),
        (Coding(RXNORM, "282388"), AsSent("rxnorm", "282388")),
        (Coding("", "", "Imatinib mesylate"), AsSent("name", "imatinib_mesylate")),
        (Coding("", "", "phenytoin sodium/carbamazepine/lamotrigine"), None),  # longer than a token
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


@pytest.mark.parametrize(
    ("coding", "route"),
    [
        (Coding(RXNORM, "403878"), Route.ORAL),
        (Coding(RXNORM, "282388"), Route.UNKNOWN),
        (Coding(ATC, "D07AA02"), Route.TOPICAL),
        (Coding(ATC, "H02AB09"), Route.UNKNOWN),
        (Coding("", "", "Restasis"), Route.TOPICAL),
        (Coding("", "", "Vancocin"), Route.UNKNOWN),  # sold by mouth here, for the vein elsewhere
        (Coding("", "", "no such drug"), Route.UNKNOWN),
    ],
)
def test_a_product_says_its_route_only_where_it_has_but_one(
    drugs: DrugList, coding: Coding, route: Route
) -> None:
    drug = drugs.recognise([coding])
    assert drug.route is route
    assert route_of([], drug.route) is route
    assert route_of(["IV"], drug.route) is Route.INTRAVENOUS


def test_parts_of_two_routes_have_none(drugs: DrugList) -> None:
    codings = [Coding(RXNORM, "403878"), Coding("", "", "Restasis")]
    assert drugs.recognise(codings).route is Route.UNKNOWN


def test_every_listed_drug_is_one_that_the_rulebook_names(rulebook: Rulebook) -> None:
    table = drug_table()
    listed = [*table.by_name.values(), *ndc_table().values()]
    listed += [drug for by_code in table.by_code.values() for drug in by_code.values()]
    for name in {name for drug in listed for name in drug.ingredients}:
        assert rulebook.drug_called(name) or rulebook.treatment_called(name), name


def test_the_tables_say_nothing_against_the_rulebook(rulebook: Rulebook) -> None:
    table = drug_table()
    listed = [
        *((d.name, table.by_code["rxnorm"].get(d.rxnorm or "")) for d in rulebook.drugs),
        *((t.name, table.by_code["rxnorm"].get(t.rxnorm or "")) for t in rulebook.treatments),
        *((d.name, table.by_code["atc"].get(code)) for d in rulebook.drugs for code in d.atc),
        *((d.name, table.by_name.get(name)) for d in rulebook.drugs for name in d.names),
        *((t.name, table.by_name.get(name)) for t in rulebook.treatments for name in t.names),
    ]
    for name, drug in listed:
        assert drug is None or drug.ingredients == (name,), name


def test_routes() -> None:
    assert route_of(["PO"]) is Route.ORAL
    assert route_of(["", "47625008"]) is Route.INTRAVENOUS
    assert route_of(["TP"]) is Route.TOPICAL
    assert route_of(["IM"]) is Route.OTHER
    assert route_of(["by mouth"]) is Route.UNKNOWN
    assert route_of([]) is Route.UNKNOWN
    assert route_of(["ORAL"]) is Route.ORAL
    assert route_of(["oral solution"]) is Route.UNKNOWN
    assert route_of(["048"]) is Route.UNKNOWN  # three digits mean a route in a safety report alone


@pytest.mark.parametrize(
    ("code", "route"),
    [
        ("048", Route.ORAL),
        ("042", Route.INTRAVENOUS),
        ("061", Route.TOPICAL),
        ("051", Route.OTHER),
        ("065", Route.UNKNOWN),
        ("068", Route.UNKNOWN),
        ("20053000", Route.ORAL),
        ("Oral", Route.ORAL),
        ("", Route.UNKNOWN),
    ],
)
def test_routes_of_reports(code: str, route: Route) -> None:
    assert report_route_of(code) is route


def test_every_route_of_reports_but_the_unknown_one_is_listed() -> None:
    assert set(route_table().by_report_code) == {f"{code:03}" for code in range(1, 68)} - {"065"}


def test_every_listed_unii_ends_with_its_check_character() -> None:
    listed = drug_table().by_code["unii"]
    assert len(listed) > 40
    assert [code for code in listed if not _is_unii(code)] == []
