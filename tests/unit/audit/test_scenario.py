from pathlib import Path

import pytest

from pv_stream.audit import scenario_file
from pv_stream.audit.scenario import Scenario, say_when
from pv_stream.audit.scenario_check import Verdict, check, say_differences
from pv_stream.audit.scenario_events import PATIENT, records_of
from pv_stream.audit.scenario_file import ACTIONS, OUTPUTS, find_scenarios, parse_scenario, read_instant
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.events import AlertActed
from pv_stream.errors import DataError
from tests.builders import at
from tests.unit.audit.logs import RULEBOOK

HEAD = """\
scenario: A title
source: A source
rule: A rule
cases:
  - name: a case
    given:
      - {at: day 0, gives: imatinib, daily_until: day 20}
      - {at: day 20 09:00, eosinophils: 1600 /uL}
"""


def parse(text: str) -> Scenario:
    return parse_scenario(Path("case.yaml"), text)


def verdict(expect: str) -> Verdict:
    (found,) = check(parse(HEAD + expect), RULEBOOK)
    return found


# What is right, and what is wrong, and how it is said -----------------------------------------------------------


def test_what_is_expected_and_nothing_else_passes() -> None:
    found = verdict("    expect: [{at: day 20 09:00, alert: suspected_dress, tier: info}]")

    assert found.passed


def test_what_was_not_expected_is_a_difference() -> None:
    (said,) = say_differences(verdict("    expect: nothing"))

    assert said.startswith("came, not expected: day 20 09:00: alert suspected_dress, info, raised")


def test_what_did_not_come_is_a_difference_with_its_line() -> None:
    expect = """\
    expect:
      - {at: day 20 09:00, alert: suspected_dress}
      - {at: day 30, recurrence: rechallenge, drugs: [imatinib]}
"""

    (said,) = say_differences(verdict(expect))

    assert said == "did not come (line 11): day 30 08:00: recurrence rechallenge, drugs [imatinib]"


def test_a_field_with_another_value_is_a_difference_in_its_own_words() -> None:
    said = say_differences(
        verdict(
            "    expect: [{at: day 20 09:00, alert: suspected_dress, tier: warning, culprits: [allopurinol]}]"
        )
    )

    assert said[0] == (
        "came otherwise (line 9): tier is info, expected warning; culprits is [imatinib], expected [allopurinol]"
    )
    assert said[1].startswith("  what came: day 20 09:00: alert suspected_dress")


def test_another_time_is_another_alert() -> None:
    said = say_differences(verdict("    expect: [{at: day 20 09:01, alert: suspected_dress}]"))

    assert [line.partition(":")[0] for line in said] == ["did not come (line 9)", "came, not expected"]


def test_names_of_episodes_must_be_used_for_one_episode() -> None:
    text = """\
scenario: T
source: S
rule: R
given:
  - {at: day 0, gives: allopurinol, daily_until: day 20}
  - {at: day 20, present: rash}
  - {at: day 20 12:00, stops: allopurinol}
  - {at: day 60, gives: allopurinol, daily_until: day 80}
  - {at: day 80, present: rash}
  - {at: day 80 09:00, eosinophils: 900 /uL}
cases:
  - name: c
    expect:
      - {at: day 20, case: candidate, episode: first}
      - {at: day 60, alert: culprit_restart, of: first}
      - {at: day 80 09:00, alert: suspected_dress, episode: first}
      - {at: day 80 09:00, recurrence: rechallenge, of: first, episode: second}
"""

    ((found),) = check(parse(text), RULEBOOK)

    assert say_differences(found)[0] == "came otherwise (line 16): episode is another episode, expected first"


# Reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("", "", "empty"),
        ("a: [", "line 1", "not YAML"),
        ("[" * 5000, "", "nested too deeply"),
        ("- a", "line 1", "word: value"),
        ("scenario: a\nsource: b\nrule: c\n", "line 1", "'cases' is missing"),
        ("scenario: a\nsource: b\nrule: c\ncases: []\n", "line 4", "no case"),
        ("scenario: a\nsuorce: b\n", "line 2", "unknown word 'suorce'"),
        ("scenario: a\nscenario: b\n", "line 2", "stands twice"),
        (
            "scenario: a\nsource:\nrule: c\ncases: [{name: n, expect: nothing}]\n",
            "line 2",
            "a word or a number",
        ),
        (
            "scenario: a\nsource: b\nrule: c\ncases: [{name: n, expect: nothing}]\n",
            "line 4",
            "nothing is given",
        ),
        ("scenario: a\nsource: b\nrule: c\ncases: [{name: n}]\n", "line 4", "'expect' is missing"),
        ("scenario: a\nutc_offset_minutes: 9999\nsource: b\nrule: c\ncases: []", "line 2", "-720 and 840"),
        ("scenario: a\nutc_offset_minutes: x\nsource: b\nrule: c\ncases: []", "line 2", "whole number"),
    ],
)
def test_a_slip_of_the_pen_is_an_error_with_its_line(text: str, line: str, word: str) -> None:
    with pytest.raises(DataError) as error:
        parse(text)

    assert f"case.yaml {line}".strip() in str(error.value)
    assert word in str(error.value)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("{at: day 1, eosinophils: 1500 /uL, colour: red}", "unknown word 'colour'"),
        ("{at: day 1}", "say what happens"),
        ("{at: day 1, gives: a, orders: b}", "say what happens"),
        ("{gives: imatinib}", "'at' is missing"),
        ("{at: tomorrow, gives: imatinib}", "a time is written"),
        ("{at: day 1 24:00, gives: imatinib}", "a time is written"),
        ("{at: 2026-02-30, gives: imatinib}", "a time is written"),
        ("{at: day 1, eosinophils: 1500}", "with its unit"),
        ("{at: day 1, eosinophils: 1.5 10*3/uL}", "in /uL"),
        ("{at: day 1, present: headache}", "unknown word 'headache'"),
        ("{at: day 1, gives: imatinib, route: nasal}", "unknown word 'nasal'"),
        ("{at: day 1, gives: imatinib, daily_until: later}", "is a time"),
        ("{at: day 1, corrects: count, value: 3 /uL}", "no line before this one has the id 'count'"),
        ("{at: day 1, present: rash, body_surface_percent: much}", "is a number"),
        ("{at: day 1, holds: eosinophils}", "'code' is missing"),
        ("{at: day 1, gives: imatinb}", "unknown drug 'imatinb'"),
        ("{at: day 1, stops: sulfamethoxazole + trimetoprim}", "unknown drug 'trimetoprim'"),
        ("{at: day 1, gives: imatinb, unlisted: perhaps}", "yes or no"),
    ],
)
def test_what_cannot_be_given_is_an_error_with_its_line(given: str, word: str) -> None:
    text = f"scenario: a\nsource: b\nrule: c\ncases:\n  - name: n\n    given:\n      - {given}\n    expect: nothing\n"

    with pytest.raises(DataError, match="line 7") as error:
        check(parse(text), RULEBOOK)

    assert word in str(error.value)


@pytest.mark.parametrize(
    ("expect", "word"),
    [
        ("something", "the word nothing"),
        ("[{at: day 1, alarm: x}]", "say what is expected"),
        ("[{at: day 1, alert: suspected_dress, teir: info}]", "unknown word 'teir'"),
        ("[{alert: suspected_dress}]", "'at' is missing"),
        ("[{at: day 1, alert: suspected_dres}]", "known: culprit_restart, data_review"),
        ("[{at: day 1, alert: suspected_dress, tier: warnign}]", "known: critical, info, none, warning"),
        ("[{at: day 1, alert: suspected_dress, status: rised}]", "unknown word 'rised'"),
        ("[{at: day 1, alert: suspected_dress, latency: long}]", "unknown word 'long'"),
        ("[{at: day 1, recurrence: rechallange}]", "unknown word 'rechallange'"),
    ],
)
def test_what_cannot_be_expected_is_an_error_with_its_line(expect: str, word: str) -> None:
    with pytest.raises(DataError, match="line 9") as error:
        parse(f"{HEAD}    expect: {expect}\n")

    assert word in str(error.value)


def test_two_cases_of_one_name_and_two_lines_of_one_id_are_errors() -> None:
    case = "  - {name: n, given: [{at: day 1, present: rash}], expect: nothing}\n"
    with pytest.raises(DataError, match="two cases are named 'n'"):
        parse(f"scenario: a\nsource: b\nrule: c\ncases:\n{case}{case}")

    given = "[{at: day 1, present: rash, id: x}, {at: day 2, present: rash, id: x}]"
    text = f"scenario: a\nsource: b\nrule: c\ncases:\n  - {{name: n, given: {given}, expect: nothing}}\n"
    with pytest.raises(DataError, match="two lines have the id 'x'"):
        check(parse(text), RULEBOOK)


def test_a_follow_up_must_fit_what_it_follows() -> None:
    given = "[{at: day 1, gives: imatinib, id: x}, {at: day 2, confirms: x, value: 3 /uL}]"
    text = f"scenario: a\nsource: b\nrule: c\ncases:\n  - {{name: n, given: {given}, expect: nothing}}\n"

    with pytest.raises(DataError, match="'confirms' does not fit"):
        check(parse(text), RULEBOOK)


def test_times_are_days_or_dates_at_the_facility() -> None:
    assert read_instant("day 0", 0) == at(0, 8)
    assert read_instant("day 14 09:30", 0) == at(14, 9, 30)
    assert read_instant("2026-03-02 08:10", 0) == at(60, 8, 10)
    assert read_instant("day 1 00:30", 120) == at(0, 22, 30)
    assert say_when(at(0, 22, 30), 120) == "day 1 00:30"
    assert say_when(at(-1, 8), 0) == "day -1 08:00"


# Events ---------------------------------------------------------------------------------------------------------


def test_records_come_in_the_order_in_which_they_are_received() -> None:
    text = (
        "scenario: a\nsource: b\nrule: c\ncases:\n  - name: n\n    expect: nothing\n    given:\n"
        "      - {at: day 3, received: day 9, present: rash}\n"
        "      - {clock: day 5}\n"
        "      - {at: day 4, absent: rash}\n"
    )
    scenario = parse(text)

    records = records_of(scenario, scenario.cases[0])

    assert [record.received for record in records] == [at(4), at(5), at(9)]


def test_every_action_gives_records_that_the_decoder_takes() -> None:
    """Each word that a scenario may use leads to an event, except a raw record, which is there to be refused."""
    lines = {
        "corrects": "{at: day 2, corrects: c, value: 9 /uL}",
        "retracts": "{at: day 2, retracts: c}",
        "repeats": "{at: day 2, repeats: c}",
        "holds": "{at: day 2, holds: alt, code: missing_unit}",
        "confirms": "{at: day 2, confirms: h, value: 9 /uL}",
        "discards": "{at: day 2, discards: h}",
        "activates": "{at: day 2, activates: other}",
        "merges": "{at: day 2, merges: other, into: third}",
        "separates": "{at: day 2, separates: other, from: third}",
        "clock": "{clock: day 2}",
        "raw": "{at: day 2, raw: x}",
        "temperature": "{at: day 2, temperature: 38.5 °C}",
        "body_temperature": "{at: day 2, body_temperature: 38.5 Cel}",
        "eosinophils_percent": "{at: day 2, eosinophils_percent: 10 %}",
        "creatinine": "{at: day 2, creatinine: 1 mg/dL}",
        "present": "{at: day 2, present: rash, sites: 1, size_cm: 2}",
        "absent": "{at: day 2, absent: rash}",
        "acknowledges": "{at: day 2, acknowledges: suspected_dress, by: ann, which: first, seen_tier: info}",
        "overrides": "{at: day 2, overrides: culprit_restart, reason: will_monitor}",
        "refutes": "{at: day 2, refutes: suspected_dress}",
        "confirms_case": "{at: day 2, confirms_case: suspected_dress, culprit: imatinib + metformin}",
        "reports": "{at: day 2, reports: dress, suspect: imatinib, serious: 'yes', rechallenge: recurred}",
        "atypical_lymphocytes_percent": "{at: day 2, atypical_lymphocytes_percent: 6 %}",
        "body_weight": "{at: day 2, body_weight: 70 kg}",
        **{word: f"{{at: day 2, {word}: 5 U/L}}" for word in ("alt", "ast", "alp")},
        **{word: f"{{at: day 2, {word}: 5 /uL}}" for word in ("eosinophils", "leukocytes")},
        **{
            word: f"{{at: day 2, {word}: imatinib{'' if word == 'stops' else ', dose_mg: 400, per_day: 1'}}}"
            for word in ("gives", "takes", "orders", "dispenses", "stops")
        },
    }
    assert lines.keys() == ACTIONS.keys()
    named = (
        "{at: day 1, eosinophils: 5 /uL, id: c}, {at: day 1, holds: eosinophils, code: missing_unit, id: h}"
    )
    for word, line in lines.items():
        scenario = parse(
            "scenario: a\nsource: b\nrule: c\nrulebooks: {other: {}}\ncases:\n"
            f"  - {{name: n, given: [{named}, {line}], expect: nothing}}\n"
        )
        *_, last = records_of(scenario, scenario.cases[0])
        value = last.value if last.act is None else last.act.write(())
        assert isinstance(decode_event(value), Rejection) == (word == "raw"), word


def test_an_act_is_about_the_latest_alert_of_its_kind_unless_the_first_is_meant() -> None:
    told = [
        ("suspected_dress", "al_1", "info", 1),
        ("suspected_dress", "al_2", "warning", 1),
        ("culprit_restart", "al_3", "critical", 1),
        ("suspected_dress", "al_1", "critical", 2),
    ]
    names = ("kind", "alert_id", "tier", "revision")
    alerts = [dict(zip(names, alert, strict=True)) | {"patient_id": PATIENT} for alert in told]
    seen = []
    for which in ("first", "latest"):
        scenario = parse(
            "scenario: a\nsource: b\nrule: c\ncases:\n  - name: n\n"
            f"    given: [{{at: day 1, acknowledges: suspected_dress, which: {which}}}]\n    expect: nothing\n"
        )
        (record,) = records_of(scenario, scenario.cases[0])
        assert record.act is not None
        acted = decode_event(record.act.write(alerts))
        assert isinstance(acted, AlertActed)
        seen.append((acted.alert_id, acted.seen_tier.name, acted.seen_revision))
    assert seen == [("al_1", "CRITICAL", 2), ("al_2", "WARNING", 1)]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{at: day 1, acknowledges: rash}", "unknown word 'rash'"),
        ("{at: day 1, acknowledges: suspected_dress, which: second}", "which is first or latest"),
        ("{at: day 1, refutes: suspected_dress, seen_tier: high}", "unknown word 'high'"),
        ("{at: day 1, refutes: suspected_dress, reason: will_monitor}", "unknown word 'reason'"),
    ],
)
def test_a_slip_in_an_act_names_its_line(line: str, what: str) -> None:
    text = f"scenario: a\nsource: b\nrule: c\ncases:\n  - name: n\n    given: [{line}]\n    expect: nothing\n"
    with pytest.raises(DataError, match=f"line 6: {what}"):
        check(parse(text), RULEBOOK)


def test_a_raw_line_is_expected_as_a_dead_letter() -> None:
    text = (
        "scenario: a\nsource: b\nrule: c\ncases:\n  - name: n\n"
        "    given: [{at: day 1, raw: x}]\n    expect: [{at: day 1, dead_letter: malformed_json}]\n"
    )

    ((found),) = check(parse(text), RULEBOOK)

    assert found.passed


def test_every_field_that_may_be_chosen_can_be_told() -> None:
    """A word that the reader takes must not fail when it is compared."""
    free = OUTPUTS["alert"] - scenario_file._FIELD_WORDS.keys() - {"status"}
    chosen = OUTPUTS["alert"] - free
    fields = ", ".join(
        [*(f"{name}: x" for name in sorted(free)), *(f"{name}: none" for name in sorted(chosen))]
    )
    said = say_differences(verdict(f"    expect: [{{at: day 20 09:00, alert: suspected_dress, {fields}}}]"))

    assert said[0].count("expected x") == len(free) - 1  # the name x is free for the episode


def test_folders_are_searched_and_an_empty_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with pytest.raises(DataError, match=r"no \.yaml file"):
        find_scenarios([tmp_path])
    (tmp_path / "deep" / "b.yaml").touch()
    (tmp_path / "a.yaml").touch()

    assert [path.name for path in find_scenarios([tmp_path])] == ["a.yaml", "b.yaml"]
    with pytest.raises(DataError, match="does not exist"):
        find_scenarios([tmp_path / "nothing"])


def test_the_first_scenario_of_the_guide_passes() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    text = guide.partition("```yaml\n")[2].partition("```")[0]

    assert all(found.passed for found in check(parse(text), RULEBOOK))


def test_the_guide_names_every_word_that_a_scenario_may_use() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    words = {*ACTIONS, *OUTPUTS, *(option for options in ACTIONS.values() for option in options)}
    words |= {field for fields in OUTPUTS.values() for field in fields}

    assert {word for word in words - {"body_temperature"} if word not in guide} == set()


# Rulebooks that come into force ---------------------------------------------------------------------------------


def activating(rulebooks: str, line: str) -> Scenario:
    return parse(
        HEAD.replace("cases:", f"rulebooks:\n  other: {rulebooks}\ncases:")
        + f"      - {line}\n    expect: [{{at: day 20 09:00, alert: suspected_dress}}]"
    )


def test_a_rulebook_that_the_file_names_comes_into_force() -> None:
    (found,) = check(
        activating("{drugs.imatinib.threshold_per_ul: 1601}", "{activates: other, at: day 21}"), RULEBOOK
    )

    (said,) = say_differences(found)
    assert said.startswith("came, not expected: day 21 08:00: alert suspected_dress, info, withdrawn")


@pytest.mark.parametrize(
    ("rulebooks", "line", "message"),
    [
        ("{}", "{activates: another, at: day 21}", "line 11: no rulebook 'another' under rulebooks"),
        ("{}", "{activates: other}", "line 11: 'at' is missing"),
        (
            "{parameters.lag_days: long}",
            "{activates: other, at: day 21}",
            "parameters.lag_days: long is not a number",
        ),
        (
            "{parameters.lag_days: '2.5'}",
            "{activates: other, at: day 21}",
            "parameters.lag_days: 2.5 is not a number",
        ),
        (
            "{parameters.lag_dayz: 2}",
            "{activates: other, at: day 21}",
            "parameters.lag_dayz cannot be changed to 2",
        ),
        ("{drugs.aspirin: unwatched}", "{activates: other, at: day 21}", "drugs.aspirin cannot be changed"),
        (
            "{drugs.imatinib.rxnorm: 5}",
            "{activates: other, at: day 21}",
            "drugs.imatinib.rxnorm cannot be changed",
        ),
        (
            "{drugs.imatinib: gone}",
            "{activates: other, at: day 21}",
            "drugs.imatinib cannot be changed to gone",
        ),
    ],
)
def test_a_rulebook_that_cannot_be_is_a_mistake_of_the_file(rulebooks: str, line: str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        check(activating(rulebooks, line), RULEBOOK)

    assert message in str(refused.value)
