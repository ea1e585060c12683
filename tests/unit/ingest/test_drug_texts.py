"""Texts that name a drug among words: every word is known, or a person must tell."""

import pytest

from pv_stream.domain.codes import HoldCode, Route
from pv_stream.domain.facts import AsSent
from pv_stream.ingest.drugs import Coding, DrugList
from pv_stream.ingest.tables import drug_table, drug_words

SMX_TMP = ("sulfamethoxazole", "trimethoprim")


@pytest.mark.parametrize(
    ("text", "ingredients", "route"),
    [
        ("IMATINIB MESYLATE 400 MG TABLET", ("imatinib",), Route.UNKNOWN),
        ("Gleevec\N{REGISTERED SIGN} (imatinib) 400mg", ("imatinib",), Route.UNKNOWN),
        ("TEGRETOL.", ("carbamazepine",), Route.UNKNOWN),
        ("TEGRETOL 200MG TABLETS", ("carbamazepine",), Route.UNKNOWN),
        (
            "24 HR carbamazepine 200 MG Extended Release Oral Tablet [Tegretol]",
            ("carbamazepine",),
            Route.ORAL,
        ),
        ("Vancomycin Hydrochloride (VANCOMYCIN HYDROCHLORIDE)", ("vancomycin",), Route.UNKNOWN),
        ("vancomycin 1,000 mg IV", ("vancomycin",), Route.INTRAVENOUS),
        ("vancomycin 50 mg/ml oral solution iv", ("vancomycin",), Route.UNKNOWN),
        ("Zosyn (piperacillin/tazobactam) 4.5gm injection", ("piperacillin",), Route.UNKNOWN),
        ("Bactrim DS 800-160", SMX_TMP, Route.UNKNOWN),
        ("sulfamethoxazole 800 mg / trimethoprim 160 mg tab", SMX_TMP, Route.UNKNOWN),
        ("trimethoprim-sulfamethoxazole 160-800 mg", SMX_TMP, Route.UNKNOWN),
        ("Sitagliptin 50 MG / metformin hydrochloride 500 MG Oral Tablet", ("metformin",), Route.ORAL),
        ("captopril 25 MG / hydrochlorothiazide 15 MG", ("captopril",), Route.UNKNOWN),
        ("prednisolone acetate 1 % ophthalmic suspension", ("prednisolone",), Route.TOPICAL),
        ("co-trimoxazole 960 mg", SMX_TMP, Route.UNKNOWN),
    ],
)
def test_a_listed_name_counts_among_words_that_leave_it_what_it_is(
    drugs: DrugList, text: str, ingredients: tuple[str, ...], route: Route
) -> None:
    drug = drugs.recognise([Coding("", "", text)])
    assert (drug.ingredients, drug.route, drug.doubt) == (ingredients, route, None)


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("imatinib 400", ("imatinib",)),  # a number without a unit may be part of a name
        ("imatinib mg", ("imatinib",)),
        ("imatinib-free", ("imatinib",)),
        ("not imatinib", ("imatinib",)),
        ("imatinib or placebo", ("imatinib",)),
        ("imatinib 400 mg / ibuprofen 200 mg", ("imatinib",)),
        ("silver sulfadiazine 1 % cream", ("sulfadiazine",)),
        ("imatinib 400 mg " + "tablet " * 60, ("imatinib",)),
        ("allopurinol, stop imatinib", ("allopurinol", "imatinib")),
    ],
)
def test_a_listed_name_among_other_words_waits_for_a_person(
    drugs: DrugList, text: str, may_be: tuple[str, ...]
) -> None:
    drug = drugs.recognise([Coding("", "", text)])
    assert (drug.ingredients, drug.doubt, drug.may_be) == ((), HoldCode.DRUG_NOT_READ_WHOLE, may_be)


@pytest.mark.parametrize(
    "text", ["amlodipine 5 mg", "imatini 400 mg", "ximatinib 400 mg", "imat inib", "400 mg", "/"]
)
def test_no_name_is_found_in_a_part_of_a_word_or_across_words(drugs: DrugList, text: str) -> None:
    drug = drugs.recognise([Coding("", "", text)])
    assert (drug.ingredients, drug.doubt, drug.as_sent) == ((), None, None)


def test_only_the_listed_name_of_a_text_is_repeated(drugs: DrugList) -> None:
    assert drugs.recognise([Coding("", "", "Gleevec 400 mg")]).as_sent == AsSent("name", "gleevec")
    assert drugs.recognise([Coding("", "", "Gleevec for Jane Doe")]).as_sent == AsSent("name", "gleevec")


def test_no_word_that_is_left_out_is_a_name_or_a_unit() -> None:
    words = drug_words()
    assert not words.routes.keys() & drug_table().by_name.keys()
    assert not words.routes.keys() & words.units
