"""The outcome table: the published rows through the engine, comparisons, small cells, and logs of anybody."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest

from pv_stream.audit.cohort.comparison import (
    Compared,
    Published,
    compare,
    read_published,
    read_published_file,
    rounded,
)
from pv_stream.audit.cohort.document import HIDDEN, document_of
from pv_stream.audit.cohort.figures import QUESTION_OF, figures_of, question_figure
from pv_stream.audit.cohort.occurrences import (
    Occurrence,
    Person,
    Treatment,
    occurrences_of,
    published_occurrences,
    read_people,
)
from pv_stream.audit.published_cohort import published_cohort
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.events import FactArrived
from pv_stream.errors import DataError
from tests.merging import merge
from tests.unit.audit.logs import PATIENT, RULEBOOK, imatinib_lines, plan_of, write_lines

NOBODY: Final = Person()


def row(
    number: int, *, score: int = 3, person: Person = NOBODY, days: int | None = 5, **more: object
) -> Occurrence:
    """Return an occurrence of nobody."""
    given = Treatment(
        "cyclosporine", Decimal(2), ("oral",), days, prior_steroid=False, days_to_clinical_resolution=2
    )
    made = Occurrence(
        label=f"row {number}",
        patient_id=f"patient-{number}",
        episode_id=f"ep_{number}",
        onset="2026-01-01T00:00:00Z",
        person=person,
        culprits=("phenytoin",),
        tier="warning",
        regiscar=score,
        category="possible",
        treatment=given,
        recurrence=None,
        recurred=False,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def figure(measure: str, statistic: str, value: str, rows: Sequence[Occurrence]) -> Compared:
    """Compare one published figure."""
    (compared,) = compare([Published(measure, statistic, value, "")], rows)
    return compared


# The published table ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published_rows() -> list[Occurrence]:
    return published_occurrences(published_cohort(), RULEBOOK, "cyclosporine")


def test_the_table_is_reproduced_and_each_disagreement_of_the_paper_is_a_finding(
    published_rows: list[Occurrence],
) -> None:
    text = resources.files("pv_stream.audit").joinpath("cases", "cyclosporine2023.csv").read_text()
    compared = compare(read_published(text.splitlines(), "paper"), published_rows)
    findings = {
        (each.published.measure, each.published.statistic): (
            each.published.value,
            each.computed,
            each.against,
        )
        for each in compared
        if not each.agrees
    }
    twos = ("row 3 (2)", "row 4 (2)", "row 9 (2)", "row 13 (2)", "row 19 (2)")
    assert findings == {
        ("regiscar", "mean"): ("3.42", "3.37", ()),
        ("regiscar", "every"): ("> 2", "14 of 19", twos),
        ("is_recurrence", "count"): ("0/19", "2/19", ("row 2", "row 13")),
        ("treatment_days", "every"): (">= 3", "18 of 19", ("row 19 (2)",)),
        ("clinically_resolved", "count"): ("17/19", "18/19", ("not row 10",)),
        ("days_to_resolution", "n"): ("16", "18", ()),
        ("recurred", "count"): ("3/19", "unknown", ()),
    }
    assert len(compared) == 16


def test_age_and_route_stand_in_the_rows(published_rows: list[Occurrence]) -> None:
    given = {one.label: one for one in published_rows}
    assert given["row 1"].person == Person(21, "male")
    assert given["row 18"].treatment is not None
    assert given["row 18"].treatment.routes == ("intravenous", "oral")


# A log of anybody -------------------------------------------------------------------------------------------------


def test_a_log_gives_its_episodes_in_order_with_what_the_table_beside_it_says(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    first, *later = occurrences_of(plan_of(log), {PATIENT: Person(60, "female")})
    assert (first.culprits, first.person) == (("imatinib",), Person(60, "female"))
    assert first.recurred is True
    assert later
    assert later[0].recurrence == "rechallenge"
    assert later[0].label.startswith("ep_")


@pytest.mark.parametrize(
    ("until", "seen_again", "recurred"),
    [
        # The first reaction recurs whatever follows; the second is open, lost to observation, or resolved.
        ("2026-04-29", None, [True, None]),
        ("2026-04-29", "2026-09-01", [True, None]),
        ("2026-04-29", "resolved", [True, False]),
    ],
)
def test_that_nothing_recurred_is_known_only_of_what_was_seen_to_resolve(
    tmp_path: Path, until: str, seen_again: str | None, recurred: list[bool | None]
) -> None:
    lines = [line for line in imatinib_lines() if json.loads(line)["received_at"] < until]
    if seen_again == "resolved":
        lines += [_again(_finding(lines), "2026-05-20"), _again(lines[0], "2026-07-10")]
    elif seen_again is not None:
        lines.append(_again(lines[0], seen_again))
    rows = occurrences_of(plan_of(write_lines(tmp_path / "log.jsonl", lines)), {})
    assert [one.recurred for one in rows] == recurred
    rate = question_figure(QUESTION_OF["recurred"], rows).rate
    assert (rate.count, rate.of) == (1, 1 if recurred[1] is None else 2)


def _finding(lines: Sequence[bytes]) -> bytes:
    finding = next(event for event in map(json.loads, lines) if "finding" in event)
    finding["finding"] |= {"code": "reaction_resolved", "presence": "present"}
    return json.dumps(finding).encode()


def _again(line: bytes, day: str) -> bytes:
    """Return an event once more as another fact of a later day, of a drug that causes nothing."""
    event = json.loads(line)
    instant = f"{day}T08:00:00Z"
    event |= {
        "received_at": instant,
        "effective": {"earliest": instant, "latest": instant},
        "fact_key": f"given:{day}",
    }
    if "exposure" in event:
        event["exposure"]["ingredients"] = ["paracetamol"]
    return json.dumps(event).encode()


def test_a_share_names_its_denominator() -> None:
    rows = [row(1, recurred=None), row(2), row(3, recurred=True)]
    document: Any = document_of(rows, figures_of(rows), ())
    share = document["shares"]["recurred"]
    assert (share["count"], share["of"], share["unknown"]) == (1, 2, 1)
    assert share["among"] == "that resolved in this log, or recurred"


def test_an_occurrence_goes_along_when_its_record_is_merged_into_another(tmp_path: Path) -> None:
    """Under the survivor it keeps its id, which the prior then calls transferred."""
    before = occurrences_of(plan_of(write_lines(tmp_path / "log.jsonl", imatinib_lines())), {})
    last = decode_event(imatinib_lines()[-1])
    assert isinstance(last, FactArrived)
    merged = [encode_event(sent) for sent in merge(PATIENT, "survivor", last.received_at)]
    log = write_lines(tmp_path / "merged.jsonl", [*imatinib_lines(), *merged])
    after = occurrences_of(plan_of(log), {})
    assert {one.patient_id for one in after} == {"survivor"}
    assert [(one.episode_id, one.recurred) for one in after] == [
        (one.episode_id, one.recurred) for one in before
    ]


def test_a_treatment_that_nobody_had_leaves_no_occurrence(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    assert occurrences_of(plan_of(log), {}, "cyclosporine") == []


def test_the_table_of_people_is_read(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("patient_id,age_years,sex,ward\na,61,female,5\nb,,\n", encoding="utf-8")
    assert read_people(file) == {"a": Person(61, "female"), "b": NOBODY}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("patient_id,age_years\n", "line 1: the columns sex are missing"),
        ("patient_id,age_years,sex\na,old,male\n", "line 2: age_years"),
        ("patient_id,age_years,sex\na,131,male\n", "line 2: age_years"),
        (f"patient_id,age_years,sex\na,{'9' * 5000},male\n", "line 2: age_years"),
        ("patient_id;age_years;sex\na;61;male\n", "separated by commas"),
        ("patient_id,age_years,sex\n,61,male\n", "line 2: no patient_id"),
        ("patient_id,age_years,sex\na,61,male\na,61,male\n", "line 3: a stands twice"),
        ("\ufeffpatient_id,age_years,sex\na,,\n", None),
        ("patient_id,age_years,sex\na,61,M\n", "line 2: sex"),
        ("patient_id,age_years,sex\na\n", None),
    ],
)
def test_a_table_of_people_that_cannot_be_read_names_the_line(
    tmp_path: Path, content: str, why: str | None
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(content, encoding="utf-8")
    if why is None:
        assert read_people(file) == {"a": NOBODY}
        return
    with pytest.raises(DataError, match=why):
        read_people(file)


def test_files_that_are_not_there_or_not_text_are_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    for read in (read_people, read_published_file):
        with pytest.raises(DataError, match="No such file"):
            read(tmp_path / "none.csv")
        with pytest.raises(DataError, match="UTF-8"):
            read(binary)


# Comparing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (Fraction(64, 19), 2, "3.37"),
        (Fraction(1, 2), 0, "1"),
        (Fraction(5, 1000), 2, "0.01"),
        (Fraction(4, 1000), 2, "0.00"),
        (Fraction(-1, 3), 1, "-0.3"),
        (Fraction(-1, 1000), 2, "0.00"),
        (Fraction(12), 1, "12.0"),
    ],
)
def test_rounding(value: Fraction, decimals: int, text: str) -> None:
    assert rounded(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "agrees"), [("2.5", True), ("2.50", True), ("3", True), ("2", False), ("2.4", False)]
)
def test_a_mean_agrees_when_it_rounds_to_what_was_printed(value: str, agrees: bool) -> None:  # noqa: FBT001
    assert figure("regiscar", "mean", value, [row(1, score=2), row(2, score=3)]).agrees is agrees


def test_a_bound_names_who_speaks_against_it_and_leaves_out_who_is_not_known() -> None:
    rows = [row(1, days=2), row(2, days=3), row(3, days=None)]
    assert figure("treatment_days", "every", ">= 3", rows).against == ("row 1 (2)",)
    assert figure("treatment_days", "every", ">= 3", rows).computed == "1 of 2"
    assert figure("treatment_days", "every", ">=2", rows).agrees


def test_what_nobody_says_agrees_with_nothing() -> None:
    assert figure("age_years", "mean", "0", [row(1)]) == Compared(
        Published("age_years", "mean", "0", ""), "unknown", agrees=False
    )
    assert figure("male", "count", "0/0", [row(1)]).computed == "unknown"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("regiscar,modus,3,", "statistic must be one of mean, median"),
        ("eosinophils,mean,3,", "measure of a mean must be one of age_years, regiscar"),
        ("regiscar,count,1/2,", "measure of a count must be one of male"),
        ("regiscar,mean,about 3,", "value of a mean looks like 3.42"),
        ("male,count,11,", "value of a count looks like 11/19"),
        ("regiscar,every,2,", "value of a every looks like > 2"),
    ],
)
def test_a_published_figure_that_cannot_be_compared_names_its_line(line: str, why: str) -> None:
    with pytest.raises(DataError, match=f"paper line 2: {why}"):
        read_published(["measure,statistic,value,note", line], "paper")


def test_a_table_of_figures_needs_its_columns() -> None:
    with pytest.raises(DataError, match="line 1: the columns note are missing"):
        read_published(["measure,statistic,value"], "paper")


# Small cells ------------------------------------------------------------------------------------------------------


def _document(rows: Sequence[Occurrence], hide_below: int) -> dict[str, object]:
    compared = compare([Published("regiscar", "every", "> 9", "")], rows)
    return document_of(rows, figures_of(rows), compared, hide_below=hide_below)


def test_nothing_small_is_told_when_it_is_to_be_hidden() -> None:
    people = [Person(50, "male")] * 8 + [Person(50, "female")] * 2
    rows = [row(number, person=person) for number, person in enumerate(people)]
    rows[0] = replace(rows[0], culprits=("abacavir",))
    document = _document(rows, 5)
    assert document["rows"] is None
    assert document["shares"]["male"]["count"] == HIDDEN  # type: ignore[index]
    assert document["counts"]["culprit"]["counts"] == {"phenytoin": HIDDEN, "abacavir": HIDDEN}  # type: ignore[index]
    assert document["numbers"]["regiscar"]["low"] is None  # type: ignore[index]
    assert document["compared"][0]["against"] == []  # type: ignore[index]
    assert "row 1" not in repr(document)


def test_what_is_large_enough_is_told() -> None:
    people = [Person(50, "male")] * 5 + [Person(50, "female")] * 5
    document = _document([row(number, person=person) for number, person in enumerate(people)], 5)
    assert document["shares"]["male"]["count"] == 5  # type: ignore[index]
    assert document["numbers"]["regiscar"]["mean"] == "3.00"  # type: ignore[index]
    assert document["occurrences"] == 10


def test_a_cohort_below_the_bound_tells_no_number_at_all() -> None:
    document = _document([row(1), row(2)], 5)
    assert document["occurrences"] == HIDDEN
    assert document["numbers"]["regiscar"] == {  # type: ignore[index]
        "title": "RegiSCAR score",
        "unit": "points",
        "n": HIDDEN,
        "unknown": HIDDEN,
    }


def test_an_empty_cohort_has_figures_without_values() -> None:
    document = _document([], 0)
    assert document["numbers"]["regiscar"]["n"] == 0  # type: ignore[index]
    assert document["shares"]["male"]["share"] is None  # type: ignore[index]


def test_no_small_count_follows_from_what_is_told_beside_it() -> None:
    rows = [row(number, person=Person(50 if number < 4 else None)) for number in range(19)]
    document: Any = document_of(rows, figures_of(rows), (), hide_below=5)
    # 19 less the unknown ones would be 4.
    assert document["numbers"]["age_years"] == {
        "title": "age",
        "unit": "years",
        "n": HIDDEN,
        "unknown": HIDDEN,
    }


def test_of_a_hidden_number_of_values_nothing_is_told_that_it_follows_from() -> None:
    rows = [row(number, person=Person(40 + number if number < 17 else None)) for number in range(19)]
    document: Any = document_of(rows, figures_of(rows), (), hide_below=5)
    # The interval of a mean and the deviation tell how many values there were.
    assert "mean_interval" not in document["numbers"]["age_years"]
    assert document["numbers"]["age_years"]["n"] == HIDDEN


def test_no_small_count_follows_from_two_totals() -> None:
    people = [Person(50 if number < 12 else None, "male" if number < 10 else None) for number in range(20)]
    rows = [row(number, person=person) for number, person in enumerate(people)]
    document: Any = document_of(rows, figures_of(rows), (), hide_below=5)
    assert document["numbers"]["age_years"]["n"] == 12
    assert document["shares"]["male"]["of"] == HIDDEN


def test_patients_with_two_occurrences_are_not_counted_by_a_difference() -> None:
    rows = [row(number) for number in range(8)]
    rows[1] = replace(rows[1], patient_id=rows[0].patient_id)
    document: Any = document_of(rows, figures_of(rows), (), hide_below=5)
    assert (document["occurrences"], document["patients"]) == (8, HIDDEN)


@pytest.mark.parametrize(
    ("drugs", "counts"),
    [
        # Two small ones whose sum is known to be two.
        (["a"] * 20 + ["b", "c"], {"a": HIDDEN, "b": HIDDEN, "c": HIDDEN}),
        (["a", "b", "c", "d", "e", "f"], {"others": HIDDEN}),
        (["a"] * 10 + ["b"] * 8, {"a": 10, "b": 8}),
    ],
)
def test_no_small_word_follows_from_the_others(drugs: list[str], counts: dict[str, object]) -> None:
    rows = [replace(row(number), culprits=(drug,)) for number, drug in enumerate(drugs)]
    document: Any = document_of(rows, figures_of(rows), (), hide_below=5)
    assert document["counts"]["culprit"]["counts"] == counts


def test_a_guess_at_a_hidden_figure_is_not_answered() -> None:
    people = [Person(50, "male")] * 2 + [Person(50, "female")] * 17
    rows = [row(number, person=person) for number, person in enumerate(people)]
    guesses = [
        Published("male", "count", "2/19", ""),
        Published("age_years", "max", "50", ""),
        Published("age_years", "every", "< 51", ""),
        Published("age_years", "mean", "50.0", ""),
    ]
    document: Any = document_of(rows, figures_of(rows), compare(guesses, rows), hide_below=5)
    assert [each["agrees"] for each in document["compared"]] == [None, None, None, True]
    assert [each["computed"] for each in document["compared"][:3]] == [HIDDEN] * 3
    assert document["findings"] == 0
