"""The rulebook: what it says is typed, sourced and unique, or it is refused by a sentence that names the entry."""

import copy
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pv_stream import rulebooks
from pv_stream.errors import RulebookError
from pv_stream.rules.rulebook import ORGAN_CUT_OFFS, OrganProfile, Rulebook
from pv_stream.rules.rulebook_check import mistakes_of, parse_rulebook
from tests.builders import RULEBOOK

TABLES = tomllib.loads(
    resources.files("pv_stream.rules")
    .joinpath("rulebooks", f"{rulebooks.DEFAULT_VERSION}.toml")
    .read_text("utf-8")
)
Tables = dict[str, Any]


def _parsed(change: Callable[[Tables], object]) -> Rulebook:
    tables = copy.deepcopy(TABLES)
    change(tables)
    return parse_rulebook(tables, digest="sha256:x")


def _drug(tables: Tables, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(drug for drug in tables["drugs"] if drug["name"] == name)
    return found


def _treatment(tables: Tables, name: str) -> Any:
    return next(treatment for treatment in tables["treatments"] if treatment["name"] == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda t: t["parameters"]["lag_days"].update(source="hearsay"),
            "source 'hearsay'",
            id="parameter source",
        ),
        pytest.param(
            lambda t: t["plausibility"]["alt"].update(source="hearsay"), "source 'hearsay'", id="limit source"
        ),
        pytest.param(
            lambda t: t["organ_profile"].update(source="hearsay"), "source 'hearsay'", id="profile source"
        ),
        pytest.param(
            lambda t: t["organ_profile"].update(name="A B"), "organ_profile.name", id="profile name"
        ),
        pytest.param(lambda t: t["organ_profile"].pop("source"), "no citation", id="profile without source"),
        pytest.param(lambda t: t.pop("organ_profile"), "is missing", id="no profile"),
        pytest.param(
            lambda t: _drug(t, "imatinib")["threshold_per_ul"].update(source="hearsay"),
            "'hearsay'",
            id="drug source",
        ),
        pytest.param(
            lambda t: t["classes"][0].update(source="hearsay"), "source 'hearsay'", id="class source"
        ),
        pytest.param(
            lambda t: t["combinations"][0].update(source="hearsay"),
            "source 'hearsay'",
            id="combination source",
        ),
        pytest.param(
            lambda t: t["defaults"]["threshold_per_ul"].update(source="hearsay"),
            "'hearsay'",
            id="default source",
        ),
        pytest.param(
            lambda t: t["plausibility_of_counts"]["fraction_below_per_ul"].update(source="hearsay"),
            "source 'hearsay'",
            id="count source",
        ),
        pytest.param(
            lambda t: t["plausibility"].pop("alt"), "has no limits for alt", id="an analyte without limits"
        ),
        pytest.param(
            lambda t: t["parameters"].pop("lag_days"), "parameters.lag_days", id="a parameter is missing"
        ),
        pytest.param(
            lambda t: t["parameters"]["lag_days"].update(value="long"),
            "parameters.lag_days.value",
            id="no number",
        ),
        pytest.param(
            lambda t: t["parameters"]["lag_days"].update(value="28.5"),
            "parameters.lag_days.value",
            id="no whole number",
        ),
        pytest.param(
            lambda t: t["parameters"]["lag_days"].update(value=-1),
            "parameters.lag_days.value",
            id="negative days",
        ),
        pytest.param(
            lambda t: t["parameters"]["latency_max_days"].update(value=50),
            "latency_core_max_days is 56, above latency_max_days, which is 50",
            id="numbers out of order",
        ),
        pytest.param(
            lambda t: t["parameters"]["values_per_code_day_max"].update(value=0),
            "values_per_code_day_max is 0: one value of a day at least is kept",
            id="nothing of a day",
        ),
        pytest.param(
            lambda t: t["plausibility"]["alt"].update(maximum=-1),
            "the minimum of alt under [plausibility]",
            id="limits out of order",
        ),
        pytest.param(
            lambda t: t["plausibility"].update(basophils={}), "plausibility.basophils", id="unknown analyte"
        ),
        pytest.param(
            lambda t: _drug(t, "vancomycin").update(routes_outside=["nasal"]),
            "routes_outside",
            id="unknown route",
        ),
        pytest.param(
            lambda t: _drug(t, "imatinib")["names"].append("tegretol"),
            "name 'tegretol' stands twice",
            id="two drugs",
        ),
        pytest.param(
            lambda t: _drug(t, "phenytoin")["prodrugs"][0]["names"].append("imatinib"),
            "name 'imatinib' stands twice",
            id="a prodrug's name",
        ),
        pytest.param(
            lambda t: t["treatments"][0]["names"].append("imatinib"),
            "'imatinib' stands twice",
            id="a treatment's name",
        ),
        pytest.param(
            lambda t: t["combinations"][0]["names"].append("imatinib"),
            "'imatinib' stands",
            id="a combination's name",
        ),
        pytest.param(
            lambda t: _drug(t, "imatinib").update(rxnorm="519"),
            "RxNorm code '519' stands twice",
            id="two codes",
        ),
        pytest.param(
            lambda t: t["classes"][0]["members"].append("aspirin"),
            "class 'aromatic antiepileptics' names 'aspirin'",
            id="unknown member",
        ),
        pytest.param(
            lambda t: t["combinations"][0]["ingredients"].append("aspirin"),
            "names 'aspirin'",
            id="unknown ingredient",
        ),
        pytest.param(
            lambda t: _treatment(t, "prednisone").pop("prednisone_equivalent"),
            "'prednisone': prednisone_equivalent is for every steroid",
            id="a steroid without its equivalent",
        ),
        pytest.param(
            lambda t: _treatment(t, "reslizumab").update(
                prednisone_equivalent={"value": 1, "source": "UNCONFIRMED"}
            ),
            "'reslizumab': prednisone_equivalent is for every steroid, and for no other",
            id="an equivalent of what is no steroid",
        ),
        pytest.param(
            lambda t: _treatment(t, "reslizumab").update(kind="anti_il6"),
            "treatments",
            id="an unknown kind of treatment",
        ),
        pytest.param(
            lambda t: _drug(t, "imatinib").update(latency_max_day={"value": 90, "source": "UNCONFIRMED"}),
            "unknown word 'latency_max_day': did you mean 'latency_max_days'?",
            id="a misspelt word of a drug",
        ),
        pytest.param(lambda t: t.update(version=5), "version: should be a valid string", id="no text"),
        pytest.param(
            lambda t: t.pop("version"), "rulebook without a version: version: is missing", id="no version"
        ),
        pytest.param(
            lambda t: _drug(t, "imatinib").update(threshold_per_ul=1500),
            "threshold_per_ul: a number stands with its citation",
            id="a bare number of a drug",
        ),
        pytest.param(
            lambda t: _drug(t, "imatinib")["threshold_per_ul"].update(sourze="x"),
            "unknown word 'sourze': did you mean 'source'?",
            id="a misspelt word of a number",
        ),
        pytest.param(
            lambda t: t["parameters"]["lag_days"].update(value=-1),
            "parameters.lag_days.value: should be greater than or equal to 0",
            id="days below none",
        ),
        pytest.param(
            lambda t: _treatment(t, "benralizumab")["masking_days"].update(source="hearsay"),
            "hearsay",
            id="a treatment's source",
        ),
    ],
)
def test_a_rulebook_that_is_wrong_is_refused_with_the_entry(
    change: Callable[[Tables], object], message: str
) -> None:
    with pytest.raises(RulebookError) as refused:
        _parsed(change)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "name", ["alt_organ_u_per_l", "creatinine_rise_mg_per_dl", "creatinine_rise_percent"]
)
def test_a_cut_off_of_another_source_is_another_organ_profile(name: str) -> None:
    def own(tables: Tables) -> None:
        tables["sources"]["ours"] = "Our hospital, 2027"
        tables["parameters"][name].update(value=150, source="ours")

    with pytest.raises(
        RulebookError, match=f"parameters.{name}: cites 'ours', and the organ profile 'wolfson'"
    ):
        _parsed(own)
    tables = copy.deepcopy(TABLES)
    own(tables)
    assert [(found.path, found.earlier) for found in mistakes_of(tables)] == [
        (("parameters", name), ("organ_profile",))
    ]


def test_an_organ_profile_of_one_s_own_is_named_by_its_source() -> None:
    def own(tables: Tables) -> None:
        tables["sources"]["ours"] = "Our hospital, 2027"
        tables["organ_profile"] = {"name": "ours_2027", "source": "ours"}
        for name in ORGAN_CUT_OFFS:
            tables["parameters"][name]["source"] = "ours"

    assert _parsed(own).organ_profile == OrganProfile("ours_2027", "ours")


def test_a_class_without_a_name_is_still_told_of_its_unknown_member() -> None:
    tables = copy.deepcopy(TABLES)
    del tables["classes"][0]["name"]
    tables["classes"][0]["members"].append("aspirin")
    said = [mistake.message for mistake in mistakes_of(tables)]
    assert "class '' names 'aspirin', which is not under [[drugs]]" in said


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda t: t["parameters"].update(lag_dayz={"value": 1, "source": "UNCONFIRMED"}), id="parameter"
        ),
        pytest.param(lambda t: _drug(t, "imatinib").update(treshold_per_ul={"value": 1}), id="drug"),
        pytest.param(lambda t: t.update(druggs=[]), id="table"),
    ],
)
def test_a_word_that_no_rule_reads_is_refused(change: Callable[[Tables], object]) -> None:
    with pytest.raises(RulebookError):
        _parsed(change)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t["parameters"]["latency_max_days"].update(value=56), id="parameters"),
        pytest.param(lambda t: t["plausibility"]["alt"].update(minimum=20_000), id="limits"),
    ],
)
def test_bounds_that_are_equal_are_in_order(change: Callable[[Tables], object]) -> None:
    assert _parsed(change).version == rulebooks.DEFAULT_VERSION


def test_the_shipped_rulebook_is_read_with_the_digest_of_its_bytes() -> None:
    assert RULEBOOK.version == rulebooks.DEFAULT_VERSION
    assert RULEBOOK.digest.startswith("sha256:")
    assert len(RULEBOOK.digest) == len("sha256:") + 64


def test_numbers_are_exact() -> None:
    assert str(RULEBOOK.parameters.fever_score_celsius.value) == "38.5"
    assert str(RULEBOOK.parameters.creatinine_rise_mg_per_dl.value) == "0.5"


def test_the_drug_s_own_number_goes_before_the_default() -> None:
    lower = _parsed(lambda t: _drug(t, "imatinib")["threshold_per_ul"].update(value=1000))
    assert lower.threshold_per_ul(lower.watched["imatinib"]) == 1000
    assert lower.threshold_per_ul(lower.watched["allopurinol"]) == 1500


def test_a_class_names_its_other_members_and_zonisamide_is_in_none() -> None:
    partners = RULEBOOK.class_partners
    assert "phenytoin" in partners["carbamazepine"]
    assert "carbamazepine" not in partners["carbamazepine"]
    assert "zonisamide" not in partners
    assert "zonisamide" in RULEBOOK.watched


@pytest.mark.parametrize(
    ("name", "drug"),
    [
        ("imatinib", "imatinib"),
        ("gleevec", "imatinib"),
        ("fosphenytoin", "phenytoin"),
        ("cerebyx", "phenytoin"),
    ],
)
def test_a_drug_is_called_by_name_brand_or_prodrug(name: str, drug: str) -> None:
    called = RULEBOOK.drug_called(name)
    assert called is not None
    assert called.name == drug


@pytest.mark.parametrize("name", ["imatini", "imatinib 400", "Imatinib", "prednisone", ""])
def test_a_name_is_never_part_of_another(name: str) -> None:
    assert RULEBOOK.drug_called(name) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match=r"none\.toml: .+Name a readable TOML file"):
        rulebooks.load_file(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[")
    with pytest.raises(RulebookError, match=r"broken\.toml"):
        rulebooks.load_file(broken)
    broken.write_bytes(b"\xff")
    with pytest.raises(RulebookError, match=r"broken\.toml"):
        rulebooks.load_file(broken)


@pytest.mark.parametrize(("name", "treatment"), [("prednisone", "prednisone"), ("fasenra", "benralizumab")])
def test_a_treatment_is_called_by_name_or_brand(name: str, treatment: str) -> None:
    called = RULEBOOK.treatment_called(name)
    assert called is not None
    assert called.name == treatment
    assert RULEBOOK.treatment_called(f"{name} 20") is None
