"""ADT^A40 and its older names: who is absorbed by whom, and what says too little."""

import pytest

from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, Outcome, RejectCode
from tests.unit.ingest.messages import OBR, PID, SPM, fixture, msh, obx, only, oru


def _merge(intake: Intake, *segments: str, kind: str = "ADT^A40^ADT_A39") -> Outcome:
    return read_hl7v2("\r".join((msh(kind), *segments)).encode(), intake)


def _pairs(outcome: Outcome) -> list[tuple[str, str]]:
    """Return (prior, survivor) of each merge; both events of it stand side by side."""
    pairs: list[tuple[str, str]] = []
    for first, second in zip(outcome.events[::2], outcome.events[1::2], strict=True):
        assert isinstance(first, Absorbed)
        assert isinstance(second, Absorbs)
        assert (first.patient_id, first.survivor) == (second.prior, second.patient_id)
        assert first.provenance == second.provenance
        pairs.append((first.patient_id, first.survivor))
    return pairs


@pytest.mark.parametrize("kind", ["ADT^A40^ADT_A39", "ADT^A40", "ADT^A18", "ADT^A34", "ADT^A36", "ADT^A47"])
def test_a_merge_is_told_to_both_records(intake: Intake, kind: str) -> None:
    outcome = _merge(intake, "PID|1||2^^^NORTH^MR", "MRG|1^^^NORTH^MR", kind=kind)
    patient = intake.pseudonyms.patient
    assert _pairs(outcome) == [(patient("NORTH", "1"), patient("NORTH", "2"))]
    assert outcome.message is MessageOutcome.ACCEPTED
    assert outcome.parts["MRG", Fate.FACT] == 1


@pytest.mark.parametrize(
    "identifier",
    ["70014^^^NORTH^MR", "70014", "70014^^^NORTH&1.2.3&ISO^PI", "9^^^SSA^SS~70014^^^NORTH^MR", "7^^^SSA^SS"],
)
def test_both_pseudonyms_are_those_that_results_of_the_same_patient_have(
    intake: Intake, identifier: str
) -> None:
    pid = PID.replace("70014^^^NORTH^MR", identifier)
    result = only(read_hl7v2(oru(OBR, obx(), SPM).replace(PID.encode(), pid.encode()), intake))
    assert _pairs(_merge(intake, pid, "MRG|1^^^X^MR"))[0][1] == result.patient_id
    assert _pairs(_merge(intake, "PID|1||1^^^X^MR", f"MRG|{identifier}"))[0][0] == result.patient_id


def test_a_message_with_several_patients(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/merges.hl7"), intake)
    patient = intake.pseudonyms.patient
    assert _pairs(outcome) == [(patient("1.2.3.4.5", "P-0001"), patient("1.2.3.4.5", "P-8812"))]
    assert [(each.code, each.path) for each in outcome.rejects] == [(RejectCode.MISSING_PRIOR, "PID[2]")]
    assert outcome.ignored == {IgnoreReason.SAME_PATIENT: 1}
    assert outcome.parts["PID", Fate.REJECTED] == 1


def test_every_number_of_the_prior_goes_and_national_ones_only_when_nothing_else_does(intake: Intake) -> None:
    patient = intake.pseudonyms.patient
    outcome = _merge(intake, "PID|1||5^^^N^MR", "MRG|1^^^N^MR~2^^^M^PI~3^^^SSA^SS")
    assert _pairs(outcome) == [(patient("N", "1"), patient("N", "5")), (patient("M", "2"), patient("N", "5"))]
    outcome = _merge(intake, "PID|1||5^^^N^MR", "MRG|3^^^SSA^SS~4^^^Y^NI")
    assert _pairs(outcome) == [(patient("SSA", "3"), patient("N", "5"))]


def test_old_numbers_repeated_in_pid_3_do_not_survive(intake: Intake) -> None:
    patient = intake.pseudonyms.patient
    outcome = _merge(intake, "PID|1||300^^^N^MR~200^^^N^MR", "MRG|200^^^N^MR")
    assert _pairs(outcome) == [(patient("N", "200"), patient("N", "300"))]


@pytest.mark.parametrize("mrg", ["MRG|", 'MRG|""', "MRG|^^^N^MR", "PV1|1|I"])
def test_a_merge_without_a_prior_is_refused(intake: Intake, mrg: str) -> None:
    outcome = _merge(intake, "PID|1||1^^^N^MR", mrg)
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PRIOR]
    assert outcome.message is MessageOutcome.REJECTED


def test_a_merge_without_a_survivor_is_refused(intake: Intake) -> None:
    outcome = _merge(intake, "PID|1||", "MRG|1^^^N^MR")
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PATIENT]


def test_a_record_merged_into_itself_is_counted(intake: Intake) -> None:
    outcome = _merge(intake, "PID|1||1^^^N^MR", "MRG|1^^^N^PI")
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.SAME_PATIENT: 1})
    assert outcome.message is MessageOutcome.ACCEPTED


@pytest.mark.parametrize(
    "kind", ["ADT^A24", "ADT^A37", "ADT^A41", "ADT^A42", "ADT^A43", "ADT^A44", "ADT^A50"]
)
def test_links_moves_and_merges_of_accounts_are_no_merges_of_patients(intake: Intake, kind: str) -> None:
    outcome = _merge(intake, "PID|1||2^^^N^MR", "MRG|1^^^N^MR", kind=kind)
    assert [each.code for each in outcome.rejects] == [RejectCode.UNSUPPORTED_TYPE]
    assert outcome.parts["MRG", Fate.REJECTED] == 1
