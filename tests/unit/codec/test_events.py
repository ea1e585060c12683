"""Canonical events: what is read, what is refused and by which code, and that nothing of it is echoed."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pv_stream.codec.events import RECORD_BYTES_MAX, Rejection, decode_event, encode_event
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import (
    ActionKind,
    Analyte,
    DeadLetterCode,
    DrugRole,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    Status,
)
from pv_stream.domain.events import AlertActed, ClockTicked, FactArrived, RulebookActivated
from pv_stream.domain.facts import (
    Dose,
    Exposure,
    Finding,
    Held,
    Measurement,
    Report,
    ReportedDrug,
    Retracted,
)
from pv_stream.domain.ids import ActionId, AlertId
from tests.builders import (
    PATIENT,
    at,
    dose,
    eosinophils,
    event,
    held,
    present,
    retracted,
    reviewed,
    sha256,
    stop,
    with_status,
)
from tests.shards import fold, new_shard, raw

REPORT = event(
    Report(
        ReportedReaction.DRESS,
        serious=True,
        outcome=ReportOutcome.RECOVERING,
        drugs=(ReportedDrug("imatinib", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),),
    ),
    at(1),
)
ACTION = AlertActed(
    patient_id=PATIENT,
    action_id=ActionId("act_1"),
    alert_id=AlertId("al_1"),
    action=ActionKind.CONFIRM,
    reason=None,
    drugs=("carbamazepine", "imatinib"),
    actor="actor_1",
    seen_tier=Tier.WARNING,
    seen_revision=3,
    received_at=at(1),
)
COUNT = eosinophils("1690", at(1), specimen="tube-1")
DIGEST = sha256("x")
MEASURED = Measurement(Analyte.EOSINOPHILS, Decimal(1690), specimen="tube-1")


def _json(sent: FactArrived = COUNT, **changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_event(sent))
    return {**value, **changes}


def _code(value: object) -> DeadLetterCode | None:
    decoded = decode_event(json.dumps(value).encode())
    return decoded.code if isinstance(decoded, Rejection) else None


# What is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(COUNT, id="measurement"),
        pytest.param(present(FindingCode.RASH, at(1), surface=60), id="finding"),
        pytest.param(dose("imatinib", at(1), end=at(2)), id="dose"),
        pytest.param(stop("imatinib", at(1)), id="stop"),
        pytest.param(
            event(
                Exposure(ExposureKind.ORDER, ("prednisone",), dose=Dose(Decimal(40), None, Decimal("0.5"))),
                at(1),
            ),
            id="order with a dose",
        ),
        pytest.param(REPORT, id="report"),
        pytest.param(ACTION, id="action"),
        pytest.param(held(HoldCode.MISSING_UNIT, at(1)), id="held"),
        pytest.param(retracted(COUNT), id="retraction"),
        pytest.param(reviewed(COUNT, COUNT.version.statement.content), id="confirmed"),
        pytest.param(reviewed(COUNT, Retracted()), id="discarded"),
        pytest.param(
            reviewed(COUNT, dose("imatinib", at(1), end=at(2)).version.statement.content), id="confirmed dose"
        ),
        pytest.param(
            reviewed(COUNT, Held(HoldCode.OUT_OF_RANGE, DIGEST), even_if_implausible=True), id="held again"
        ),
        pytest.param(
            event(Held(HoldCode.MISSING_TIME, DIGEST, None, "tube-1", MEASURED), at(1)),
            id="held for its time",
        ),
        *(
            pytest.param(event(Held(HoldCode.MISSING_TIME, DIGEST, said=said), at(1)), id=f"held {name}")
            for name, said in (
                ("finding", Finding(FindingCode.RASH, Presence.PRESENT)),
                ("dose", Exposure(ExposureKind.ADMINISTRATION, ("imatinib",))),
                ("report", Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, ())),
            )
        ),
        pytest.param(with_status(COUNT, Status.PRELIMINARY), id="preliminary"),
    ],
)
def test_an_event_is_read_as_it_was_written(sent: FactArrived) -> None:
    assert decode_event(encode_event(sent)) == sent


def test_a_clock_record_is_read_as_it_was_written() -> None:
    assert decode_event(encode_event(ClockTicked(at(1)))) == ClockTicked(at(1))


def test_an_activation_is_read_as_it_was_written() -> None:
    sent = RulebookActivated(1, f"sha256:{'0a' * 32}")
    assert decode_event(encode_event(sent)) == sent


@pytest.mark.parametrize(
    "change",
    [
        {"engine_version": 0},
        {"engine_version": "1"},
        {"rulebook_digest": "2026.11"},
        {"rulebook_digest": None},
        {"patient_id": "patient-1"},
    ],
)
def test_an_activation_that_says_something_else_is_no_event(change: dict[str, object]) -> None:
    value = json.loads(encode_event(RulebookActivated(1, f"sha256:{'0a' * 32}"))) | change
    assert decode_event(json.dumps(value).encode()) == Rejection(DeadLetterCode.INVALID_EVENT)


@pytest.mark.parametrize("text", ["1690", "1690.0", "1690.000", "01690"])
def test_a_number_has_one_reading_however_it_was_spelled(text: str) -> None:
    value = _json(observation={"analyte": "eosinophils", "value": text, "specimen": "tube-1"})
    assert decode_event(json.dumps(value).encode()) == COUNT


def test_flags_and_ingredients_have_one_order() -> None:
    value = _json(dose("sulfamethoxazole/trimethoprim", at(1)))
    value["exposure"]["ingredients"] = ["trimethoprim", "sulfamethoxazole", "trimethoprim"]
    assert decode_event(json.dumps(value).encode()) == dose("sulfamethoxazole/trimethoprim", at(1))


@pytest.mark.parametrize("kind", ["observation", "finding", "exposure"])
def test_any_event_of_status_retracted_is_a_retraction(kind: str) -> None:
    sent = {
        "observation": COUNT,
        "finding": present(FindingCode.RASH, at(1)),
        "exposure": dose("imatinib", at(1)),
    }
    decoded = decode_event(json.dumps(_json(sent[kind], status="retracted")).encode())
    assert isinstance(decoded, FactArrived)
    assert isinstance(decoded.version.statement.content, Retracted)
    assert decoded.version.order.status is Status.RETRACTED


def test_a_decision_ranks_above_the_version_that_it_settles_and_below_its_correction() -> None:
    decided = reviewed(COUNT, COUNT.version.statement.content, received_at=at(3))
    decoded = decode_event(encode_event(decided))
    assert isinstance(decoded, FactArrived)
    order, sent = decoded.version.order, COUNT.version.order
    assert order == replace(sent, reviewed_at=at(3))
    assert sent < replace(sent, issued_at=at(9)) < order
    assert order < retracted(COUNT, received_at=at(2)).version.order
    assert order < replace(sent, status=Status.CORRECTED)
    assert order < replace(sent, source_version=sent.source_version + 1)
    assert isinstance(decoded.version.statement.content, Measurement)


@pytest.mark.parametrize(
    "change",
    [
        {"status": None},
        {"status": "reviewed"},
        {"actor": None},
        {"actor": "Mrs Quixwell"},
        {"reason": "because"},
        {"reason": None},
        {"resolution": {}},
        {"resolution": {"observation": None}},
        {"resolution": {"finding": {"code": "rash", "presence": "present"}, "exposure": None}},
    ],
)
def test_a_decision_without_who_why_or_one_content_is_no_event(change: dict[str, object]) -> None:
    assert _code(_json(reviewed(COUNT, COUNT.version.statement.content), **change)) is (
        DeadLetterCode.INVALID_EVENT
    )


def test_a_status_of_a_decision_is_for_decisions_alone() -> None:
    assert _code(_json(COUNT, status="reviewed")) is DeadLetterCode.INVALID_EVENT


def test_an_event_without_an_issue_time_is_the_lowest_of_its_rank() -> None:
    without, issued = _json(), _json(issued_at="2026-01-02T08:00:00Z")
    del without["issued_at"]
    low, high = (decode_event(json.dumps(value).encode()) for value in (without, issued))
    assert isinstance(low, FactArrived)
    assert isinstance(high, FactArrived)
    assert low.version.order < high.version.order


# What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param(None, DeadLetterCode.EMPTY, id="no value"),
        pytest.param(b"", DeadLetterCode.EMPTY, id="empty"),
        pytest.param(b" ", DeadLetterCode.MALFORMED_JSON, id="blank"),
        pytest.param(b"{", DeadLetterCode.MALFORMED_JSON, id="cut off"),
        pytest.param(b"\xff\xfe\x00", DeadLetterCode.MALFORMED_JSON, id="not UTF-8"),
        pytest.param(b"[" * 100_000, DeadLetterCode.MALFORMED_JSON, id="nested too deep"),
        pytest.param(b'{"n":' + b"9" * 5000 + b"}", DeadLetterCode.MALFORMED_JSON, id="a number too long"),
        pytest.param(b"MSH|^~\\&|", DeadLetterCode.MALFORMED_JSON, id="HL7v2"),
        pytest.param(b"null", DeadLetterCode.INVALID_EVENT, id="null"),
        pytest.param(b"[]", DeadLetterCode.INVALID_EVENT, id="a list"),
        pytest.param(b"{}", DeadLetterCode.UNSUPPORTED_VERSION, id="no version"),
        pytest.param(b'{"schema_version":2}', DeadLetterCode.UNSUPPORTED_VERSION, id="a later version"),
        pytest.param(b'{"schema_version":1}', DeadLetterCode.UNSUPPORTED_TYPE, id="no type"),
        pytest.param(
            b'{"schema_version":1,"type":[]}', DeadLetterCode.UNSUPPORTED_TYPE, id="a type that is none"
        ),
        pytest.param(
            b'{"schema_version":1,"type":"merge"}', DeadLetterCode.UNSUPPORTED_TYPE, id="unknown type"
        ),
        pytest.param(
            b'{"schema_version":1,"type":"clock"}', DeadLetterCode.INVALID_EVENT, id="a field is missing"
        ),
    ],
)
def test_bytes_that_are_no_event_have_a_code(value: bytes | None, code: DeadLetterCode) -> None:
    assert decode_event(value) == Rejection(code)


@pytest.mark.parametrize(
    ("over", "code"),
    [(-1, DeadLetterCode.MALFORMED_JSON), (0, DeadLetterCode.MALFORMED_JSON), (1, DeadLetterCode.TOO_LARGE)],
)
def test_a_record_may_have_up_to_one_mebibyte(over: int, code: DeadLetterCode) -> None:
    assert decode_event(b"x" * (RECORD_BYTES_MAX + over)) == Rejection(code)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"more": 1}, id="a field that is not known"),
        pytest.param({"patient_id": "John Doe"}, id="a name as an id"),
        pytest.param({"patient_id": ""}, id="an empty id"),
        pytest.param({"patient_id": "@clock"}, id="the key of the clock"),
        pytest.param({"patient_id": "p\n"}, id="a line end in an id"),
        pytest.param({"patient_id": 7}, id="a number as an id"),
        pytest.param({"fact_key": "x" * 81}, id="a key too long"),
        pytest.param({"status": "registered"}, id="an unknown status"),
        pytest.param({"source_version": -1}, id="a negative version"),
        pytest.param({"source_version": 2**63}, id="a version too large"),
        pytest.param({"source_version": 1.0}, id="a version with a fraction"),
        pytest.param({"schema_version": "1"}, id="a version as text"),
        pytest.param({"received_at": "2026-01-02T08:00:00"}, id="a time without zone"),
        pytest.param({"received_at": "2026-01-02T08:00:00+01:00"}, id="a time in another zone"),
        pytest.param({"received_at": "2026-02-30T08:00:00Z"}, id="a day that is none"),
        pytest.param({"received_at": "٢٠٢٦-01-02T08:00:00Z"}, id="other digits in a time"),
        pytest.param({"received_at": "0000-01-02T08:00:00Z"}, id="the year 0"),
        pytest.param(
            {"effective": {"earliest": "2026-01-03T00:00:00Z", "latest": "2026-01-02T00:00:00Z"}},
            id="backwards",
        ),
        pytest.param({"utc_offset_minutes": 841}, id="an offset east of UTC+14"),
        pytest.param({"utc_offset_minutes": -721}, id="an offset west of UTC-12"),
        pytest.param(
            {"source": {"format": "csv", "message_digest": DIGEST, "path": "a"}}, id="an unknown format"
        ),
        pytest.param(
            {"source": {"format": "hl7v2", "message_digest": "md5:0", "path": "a"}}, id="another digest"
        ),
        pytest.param(
            {"source": {"format": "hl7v2", "message_digest": DIGEST, "path": "PID 5"}}, id="text as a path"
        ),
        pytest.param(
            {"observation": {"analyte": "eosinophils", "value": 1690}}, id="a number instead of text"
        ),
        pytest.param({"observation": {"analyte": "eosinophils", "value": "1e3"}}, id="an exponent"),
        pytest.param({"observation": {"analyte": "eosinophils", "value": "NaN"}}, id="not a number"),
        pytest.param(
            {"observation": {"analyte": "eosinophils", "value": ".5"}}, id="no digit before the point"
        ),
        pytest.param({"observation": {"analyte": "eosinophils", "value": "١٦٩٠"}}, id="other digits"),
        pytest.param({"observation": {"analyte": "eosinophils", "value": "1" * 13}}, id="13 digits"),
        pytest.param({"observation": {"analyte": "basophils", "value": "1"}}, id="an unknown analyte"),
        pytest.param(
            {"observation": {"analyte": "eosinophils", "value": "1", "comparator": "~"}},
            id="an unknown comparator",
        ),
    ],
)
def test_an_event_with_one_thing_wrong_is_invalid(changes: dict[str, Any]) -> None:
    expected = (
        DeadLetterCode.UNSUPPORTED_VERSION if "schema_version" in changes else DeadLetterCode.INVALID_EVENT
    )
    assert _code(_json()) is None
    assert _code(_json(**changes)) is expected


# Nothing is echoed ----------------------------------------------------------------------------------------------

CANARY = "CANARYDOE19600101"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": CANARY}, id="in a field that is not known"),
        pytest.param({CANARY: 1}, id="as a field"),
        pytest.param({"patient_id": f"{CANARY} x"}, id="as the patient"),
        pytest.param({"fact_key": f"{CANARY} x"}, id="as the key"),
        pytest.param({"type": CANARY}, id="as the type"),
        pytest.param({"status": CANARY}, id="as the status"),
        pytest.param({"schema_version": CANARY}, id="as the version"),
        pytest.param({"received_at": CANARY}, id="as a time"),
        pytest.param({"observation": {"analyte": CANARY, "value": CANARY}}, id="as a value"),
        pytest.param(
            {"source": {"format": "hl7v2", "message_digest": CANARY, "path": CANARY}}, id="as a source"
        ),
    ],
)
def test_no_output_holds_anything_of_a_refused_record(
    changes: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    shard = new_shard()
    run = shard.process(raw([json.dumps(_json(**changes)).encode(), CANARY.encode()]))
    assert len(run.outputs) == 2
    for out in run.outputs:
        assert CANARY.encode() not in out.key + out.value
    assert CANARY not in repr(run)
    assert CANARY not in "".join(capfd.readouterr())


def test_a_misrouted_record_names_only_the_pseudonym() -> None:
    value = _json(event(COUNT.version.statement.content, at(1), key=CANARY))
    (letter,) = fold(raw([json.dumps(value).encode()]), new_shard(shard=1, shard_count=2))
    assert CANARY.encode() not in letter.value
    assert json.loads(letter.value)["patient_id"] == "patient-1"


# Actions on alerts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "delete"},
        {"actor": "Mrs Quixwell"},
        {"reason": "she asked me to"},
        {"note": "free text"},
        {"seen_tier": "urgent"},
        {"seen_revision": 0},
        {"seen_revision": "1"},
        {"drugs": ["imatinib"] * 9},
        {"received_at": None},
    ],
)
def test_an_action_takes_vetted_words_only(changes: dict[str, Any]) -> None:
    value = json.loads(encode_event(ACTION)) | changes
    assert _code(value) is DeadLetterCode.INVALID_EVENT


def test_a_reason_that_is_not_in_the_pick_list_is_read_so_that_the_engine_can_say_why_it_refuses() -> None:
    value = json.loads(encode_event(ACTION)) | {"reason": "busy"}
    assert decode_event(json.dumps(value).encode()) == replace(ACTION, reason="busy")


def test_the_culprits_of_an_action_have_one_spelling() -> None:
    value = json.loads(encode_event(ACTION)) | {"drugs": ["imatinib", "carbamazepine", "imatinib"]}
    assert decode_event(json.dumps(value).encode()) == ACTION
