"""Two rulebooks on one log: who differs, how, and which change does it alone."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pv_stream.audit.rulebook_effects import (
    TOGETHER,
    Difference,
    Effects,
    Told,
    changed_units,
    effects_of,
    with_one_change,
)
from pv_stream.audit.rulebook_effects_page import page_of
from pv_stream.audit.scenario_rulebooks import variant_of
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte
from pv_stream.rules.rulebook import Rulebook
from tests.builders import RULEBOOK, at, dose, eosinophils, with_patient
from tests.merging import PatientEvent, merge, separated
from tests.unit.audit.logs import PATIENT, imatinib_lines, plan_of, write_lines


def effects(tmp_path: Path, new: Rulebook, old: Rulebook = RULEBOOK) -> Effects:
    """Compare on the log of the published imatinib case."""
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    return effects_of(plan_of(log), old, new)


def test_a_rulebook_beside_itself_tells_nobody_otherwise(tmp_path: Path) -> None:
    found = effects(tmp_path, replace(RULEBOOK, version="same", digest="sha256:other"))
    assert (found.changes, found.differences) == ((), ())
    assert found.old.alerts == found.new.alerts
    assert found.patients == 1


def test_a_drug_that_is_watched_no_more_loses_the_alert_and_is_named(tmp_path: Path) -> None:
    """`because` names the drug alone: the other change has nothing to do with this patient."""
    new = variant_of(
        RULEBOOK, "new", {"drugs.imatinib": "unwatched", "parameters.lost_to_observation_days": "91"}
    )
    found = effects(tmp_path, new)
    assert set(found.changes) == {"drugs.imatinib", "parameters.lost_to_observation_days"}
    by_kind = {each.kind: each for each in found.differences}
    lost = by_kind["culprit_restart"]
    assert (lost.patient_id, lost.what, lost.new) == (PATIENT, "lost", None)
    assert lost.because == ("drugs.imatinib",)
    back = effects(tmp_path, RULEBOOK, old=new)
    assert {each.kind: each.what for each in back.differences}["culprit_restart"] == "gained"


def test_each_of_two_changes_that_suffice_alone_is_named(tmp_path: Path) -> None:
    one = replace(RULEBOOK, drugs=tuple(drug for drug in RULEBOOK.drugs if drug.name != "imatinib"))
    both = replace(
        one, defaults=replace(one.defaults, threshold_per_ul=replace(one.defaults.threshold_per_ul, value=9))
    )
    found = effects(tmp_path, both)
    assert set(found.changes) == {"drugs.imatinib", "defaults.threshold_per_ul"}
    for each in found.differences:
        assert each.because == (TOGETHER,) or set(each.because) <= set(found.changes)


def test_a_change_of_every_part_of_a_rulebook_can_be_made_alone() -> None:
    number = replace(RULEBOOK.parameters.course_gap_days, value=99)
    limits = replace(RULEBOOK.plausibility[Analyte.ALT], maximum=Decimal(77))
    new = replace(
        RULEBOOK,
        parameters=replace(RULEBOOK.parameters, course_gap_days=number),
        plausibility={**RULEBOOK.plausibility, Analyte.ALT: limits},
        drugs=RULEBOOK.drugs[1:],
        classes=(*RULEBOOK.classes, replace(RULEBOOK.classes[0], name="another")),
        combinations=RULEBOOK.combinations[1:],
        engine_version=RULEBOOK.engine_version + 1,
    )
    units = changed_units(RULEBOOK, new)
    assert units == [
        "parameters.course_gap_days",
        "plausibility.alt",
        f"drugs.{RULEBOOK.drugs[0].name}",
        f"combinations.{RULEBOOK.combinations[0].names[0]}",
        "classes.another",
        "engine_version",
    ]
    for unit in units:
        changed = with_one_change(RULEBOOK, new, unit)
        assert changed_units(RULEBOOK, changed) == [unit]
        assert changed_units(changed, new) == [other for other in units if other != unit]
        assert changed.digest != RULEBOOK.digest


def test_an_analyte_that_only_one_of_them_limits_can_be_taken_away() -> None:
    less = replace(RULEBOOK, plausibility={Analyte.ALT: RULEBOOK.plausibility[Analyte.ALT]})
    (first, *_) = changed_units(RULEBOOK, less)
    assert first.startswith("plausibility.")
    assert len(with_one_change(RULEBOOK, less, first).plausibility) == len(RULEBOOK.plausibility) - 1


def test_another_source_of_the_same_number_is_no_change() -> None:
    cited = replace(RULEBOOK.parameters.course_gap_days, source="elsewhere")
    new = replace(RULEBOOK, parameters=replace(RULEBOOK.parameters, course_gap_days=cited))
    assert changed_units(RULEBOOK, new) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (None, Told(1, "info"), "gained"),
        (Told(1, "info"), None, "lost"),
        (Told(1, "info"), Told(1, "critical"), "raised"),
        (Told(2, "critical"), Told(1, "warning"), "lowered"),
        (Told(1, "warning"), Told(2, "warning"), "more"),
        (Told(2, "warning"), Told(1, "warning"), "fewer"),
    ],
)
def test_what_a_difference_is_called(old: Told | None, new: Told | None, what: str) -> None:
    assert Difference("p", "suspected_dress", old, new, ()).what == what


def test_the_page_names_changes_and_patients_and_stands_alone(tmp_path: Path) -> None:
    new = variant_of(RULEBOOK, "<new>", {"drugs.imatinib": "unwatched"})
    html = page_of(effects(tmp_path, new))
    assert "drugs.imatinib" in html
    assert PATIENT in html
    assert "&lt;new&gt;" in html
    assert "<script" not in html
    assert "http" not in html


def test_a_change_is_named_though_what_it_rests_on_came_from_a_merged_record(tmp_path: Path) -> None:
    feed: list[PatientEvent] = [
        *(with_patient(sent, "patient-a") for sent in (dose("imatinib", at(0)), dose("imatinib", at(7)))),
        *merge("patient-a", "patient-b", at(14)),
        with_patient(eosinophils(1200, at(15)), "patient-b"),
    ]
    log = write_lines(tmp_path / "log.jsonl", [encode_event(sent) for sent in feed])
    new = variant_of(RULEBOOK, "new", {"drugs.imatinib.threshold_per_ul": "1000"})
    (difference,) = effects_of(plan_of(log), RULEBOOK, new).differences
    assert (difference.patient_id, difference.because) == ("patient-b", ("drugs.imatinib",))


def merged_log(tmp_path: Path, *more: PatientEvent) -> Path:
    """Return a log of a reaction under one pseudonym that is merged into another and goes on there."""
    feed: list[PatientEvent] = [
        *(with_patient(sent, "patient-a") for sent in (dose("imatinib", at(0)), eosinophils(1700, at(14)))),
        *merge("patient-a", "patient-b", at(15)),
        with_patient(eosinophils(1900, at(16)), "patient-b"),
        *more,
    ]
    return write_lines(tmp_path / "log.jsonl", [encode_event(sent) for sent in feed])


def test_a_merged_person_is_listed_once_under_the_pseudonym_that_survives(tmp_path: Path) -> None:
    """The alert of the first record goes on under the second: one alert, lost once."""
    new = variant_of(RULEBOOK, "new", {"drugs.imatinib": "unwatched"})
    found = effects_of(plan_of(merged_log(tmp_path)), RULEBOOK, new)
    (lost,) = [each for each in found.differences if each.kind == "suspected_dress"]
    assert (lost.patient_id, lost.what, lost.because) == ("patient-b", "lost", ("drugs.imatinib",))
    assert lost.old == Told(1, "info")
    assert (found.patients, found.old.patients) == (1, 1)
    assert sum(found.old.alerts["suspected_dress"].values()) == 1


def test_a_person_whose_merge_was_undone_is_two(tmp_path: Path) -> None:
    new = variant_of(RULEBOOK, "new", {"drugs.imatinib": "unwatched"})
    log = merged_log(tmp_path, separated("patient-a", "patient-b", at(17)))
    found = effects_of(plan_of(log), RULEBOOK, new)
    lost = {each.patient_id for each in found.differences if each.kind == "suspected_dress"}
    assert lost == {"patient-a", "patient-b"}
    assert found.patients == 2
