"""Another rulebook in the log: who is assessed again when, what is refused, and what an heir of the shard knows."""

import json
from collections.abc import Iterable, Iterator, Sequence

import pytest

from pv_stream.codec.events import encode_event
from pv_stream.codec.state import decode_state, encode_state, json_bytes
from pv_stream.domain.events import Event, FactArrived, RulebookActivated
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.engine.activation import reassess as engine_reassess
from pv_stream.engine.assess import assess
from pv_stream.errors import ActivationRefused
from pv_stream.shard import fold as shard_fold
from pv_stream.shard import memory
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, Run, ShardFold
from pv_stream.shard.limits import Limits
from pv_stream.shard.rules_in_force import RULEBOOK_KEY, rulebook_record
from tests.builders import RULEBOOK, at, dose, eosinophils, event, temperature
from tests.rulebooks import HIGHER, LOWER, WITHOUT_IMATINIB, activation, by_digest, variant
from tests.shards import alerts, clock, failing_for, fold, hand_over, new_shard, of_stream, raw

ONE = Limits(reassessed_per_record=1, reassessed_per_control_record=1)


def _shard(limits: Limits = Limits()) -> ShardFold:  # noqa: B008 - frozen
    return new_shard(limits=limits, carried=by_digest())


def _patient(name: str, *events: FactArrived) -> list[FactArrived]:
    return [
        event(sent.version.statement.content, sent.version.statement.effective, patient=name)
        for sent in events
    ]


def _count(name: str, per_ul: int, day: int = 20) -> list[FactArrived]:
    return _patient(name, dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(per_ul, at(day)))


def _fold(shard: ShardFold, *log: Event, first: int = 0) -> tuple[OutRecord, ...]:
    return fold(raw(log, first=first), shard)


def _told(outputs: Iterable[OutRecord]) -> list[tuple[str, str, str]]:
    return [(alert["patient_id"], alert["status"], alert["cause"]) for alert in alerts(outputs)]


def _runs(shard: ShardFold, records: Sequence[RawRecord]) -> Iterator[Run]:
    """Yield one run after another until no record is left; whoever takes one commits it."""
    while records:
        run = shard.process(records)
        yield run
        records = run.left


# Who is assessed again ------------------------------------------------------------------------------------------


def test_open_episodes_go_first_then_who_may_have_one_then_the_rest() -> None:
    shard = _shard(ONE)
    quiet = _patient("a-nothing", temperature("36.6", at(20)))
    _fold(shard, *quiet, *_count("b-below", 1200), *_count("c-open", 1690))
    positions = [out.position for out in _fold(shard, activation(LOWER), first=100)]
    assert set(positions) == {100}
    assert shard.state_of(PatientId("c-open")).rulebook == LOWER.digest
    assert shard.state_of(PatientId("b-below")).rulebook == RULEBOOK.digest
    assert _told(_fold(shard, clock(21), first=101)) == [("b-below", "raised", "rulebook")]
    assert shard.state_of(PatientId("a-nothing")).rulebook == RULEBOOK.digest
    _fold(shard, clock(22), first=102)
    assert shard.state_of(PatientId("a-nothing")).rulebook == LOWER.digest


@pytest.mark.parametrize("first", ["an activation", "a record after a restore"])
def test_of_all_who_wait_only_those_who_are_assessed_are_decoded(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """What a shard decodes at once delays every shard of its worker."""
    limits = Limits(patients_unpacked=0, reassessed_per_record=2, reassessed_per_control_record=3)
    shard = _shard(limits)
    _fold(shard, *(sent for number in range(9) for sent in _count(f"p{number}", 1690)))
    log: list[Event] = [activation(LOWER)]
    if first != "an activation":
        heir = _shard(limits)
        hand_over({**dict(shard.final_states()), RULEBOOK_KEY: rulebook_record(LOWER)}, heir)
        shard, log = heir, [*_count("p8", 1200, 25)[2:]]
    decoded: list[bytes] = []

    def counting(record: bytes) -> PatientState:
        decoded.append(record)
        return decode_state(record)

    monkeypatch.setattr(memory, "decode_state", counting)
    _fold(shard, *log, first=100)
    assert len(decoded) == 3
    assert sum(shard.state_of(PatientId(f"p{number}")).rulebook == LOWER.digest for number in range(9)) == 3


def test_a_run_ends_after_so_many_who_were_assessed_again_and_tells_what_one_run_tells() -> None:
    waiting = [sent for number in range(9) for sent in _count(f"p{number}", 1690)]
    after = raw([activation(LOWER), *_count("q", 1200), clock(26)], first=100)
    runs: dict[int | None, list[Run]] = {}
    for run_due in (None, 3):
        limits = Limits(reassessed_per_record=1, reassessed_per_control_record=2, run_due=run_due)
        shard = _shard(limits)
        for run in _runs(shard, raw(waiting)):
            shard.commit(run)
        runs[run_due] = []
        for run in _runs(shard, after):
            shard.commit(run)
            runs[run_due].append(run)
    assert [len(run.left) for run in runs[3]] == [3, 0]
    assert [out for run in runs[3] for out in run.outputs] == [*runs[None][0].outputs]


def test_a_record_of_a_waiting_patient_has_that_patient_assessed_first() -> None:
    shard = _shard(ONE)
    _fold(shard, *_count("a", 1690), *_count("b", 1200))
    _fold(shard, activation(LOWER), first=100)
    outputs = _fold(shard, *_patient("b", eosinophils(1210, at(21))), first=101)
    assert _told(outputs) == [("b", "raised", "rulebook"), ("b", "revised", "event")]


def test_a_duplicate_of_a_waiting_patient_is_occasion_enough() -> None:
    shard = _shard(Limits(reassessed_per_control_record=0))
    events = _count("b", 1200)
    _fold(shard, *events)
    assert _fold(shard, activation(LOWER), first=100) == ()
    assert _told(_fold(shard, events[-1], first=101)) == [("b", "raised", "rulebook")]


def test_a_record_that_cannot_be_read_takes_its_share_of_the_waiting_along() -> None:
    shard = _shard(Limits(reassessed_per_control_record=0, reassessed_per_record=1))
    _fold(shard, *_count("a", 1200), *_count("b", 1200))
    _fold(shard, activation(LOWER), first=100)
    outputs = fold([RawRecord(101, b"x", b"no event")], shard)
    assert outputs[0].stream is OutputStream.DEAD_LETTERS
    assert _told(outputs) == [("a", "raised", "rulebook")]


def test_of_two_activations_only_the_later_is_told_to_those_who_still_wait() -> None:
    shard = _shard(Limits(reassessed_per_control_record=0))
    _fold(shard, *_count("a", 1200))
    _fold(shard, activation(LOWER), activation(HIGHER), first=100)
    assert _told(_fold(shard, *_patient("b", dose("imatinib", at(30))), first=102)) == []
    assert shard.state_of(PatientId("a")).rulebook == HIGHER.digest


def test_what_is_activated_is_kept_even_where_nothing_is_held_and_nothing_changes() -> None:
    run = _shard().process(raw([activation(RULEBOOK)]))
    ((key, _),) = run.states
    assert (key, run.outputs) == (RULEBOOK_KEY, ())


def test_a_rulebook_that_is_in_force_already_changes_nothing() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 1690))
    run = shard.process(raw([activation(RULEBOOK)], first=100))
    assert (run.outputs, run.states) == ((), ())


def test_an_episode_that_would_close_is_first_judged_by_the_new_rules() -> None:
    longer = variant("longer", parameters__lost_to_observation_days="400")
    shard = new_shard(limits=Limits(reassessed_per_control_record=0), carried=by_digest([longer]))
    _fold(shard, *_count("a", 1690))
    outputs = _fold(shard, activation(longer), clock(85), first=100)
    assert _told(outputs) == []
    assert _told(_fold(shard, clock(421), first=102)) == [("a", "closed", "clock")]


def test_an_episode_that_the_new_rules_close_at_once_waits_for_the_clock() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 2100), clock(50))
    assert _told(_fold(shard, activation(HIGHER), first=100)) == [("a", "revised", "rulebook")]
    assert _told(_fold(shard, clock(51), first=101)) == [("a", "closed", "clock")]


def test_old_evidence_that_only_the_new_rules_call_an_episode_is_retrospective() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 1200), clock(200))
    (alert,) = alerts(_fold(shard, activation(LOWER), first=100))
    assert (alert["status"], alert["cause"], alert["timeliness"]) == ("raised", "rulebook", "retrospective")
    assert alert["rulebook"] == {"version": "lower", "digest": LOWER.digest}


def test_what_the_new_rules_no_longer_call_an_episode_is_withdrawn_and_says_why() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 1690))
    (alert,) = alerts(_fold(shard, activation(WITHOUT_IMATINIB), first=100))
    assert (alert["status"], alert["cause"]) == ("withdrawn", "rulebook")
    assert alert["reason"] == "Under the rulebook that is now in force this is no alert."


# Closed episodes ------------------------------------------------------------------------------------------------


def test_a_closed_episode_stays_as_it_is_through_any_number_of_rulebooks() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 1690), clock(90))
    before = shard.state_of(PatientId("a")).published.episodes[0]
    for number, book in enumerate((WITHOUT_IMATINIB, LOWER, HIGHER, RULEBOOK)):
        assert _fold(shard, activation(book), clock(91 + number), first=100 + 2 * number) == ()
    after = shard.state_of(PatientId("a")).published.episodes[0]
    assert (after.alert, after.case_revision, after.last) == (before.alert, before.case_revision, before.last)


def test_an_open_episode_does_not_disappear_into_a_closed_one_that_the_new_rules_join_it_with() -> None:
    joined = variant(
        "joined", parameters__lost_to_observation_days="400", parameters__disease_free_days="300"
    )
    shard = new_shard(carried=by_digest([joined]))
    rash = _patient("a", temperature("39", at(20)))
    doses = _patient("a", *(dose("imatinib", at(day)) for day in (*range(14, 50, 7), *range(120, 176, 7))))
    log = sorted([*doses, *_count("a", 1690), *rash], key=lambda sent: sent.received_at)
    _fold(shard, *log)
    _fold(
        shard, clock(170), *_patient("a", eosinophils(1700, at(175)), temperature("39", at(175))), first=100
    )
    assert list(_latest(shard).values()) == ["closed", "revised"]
    assert len(assess(shard.state_of(PatientId("a")).facts, joined).episodes) == 1
    _fold(shard, activation(joined), first=200)
    assert list(_latest(shard).values()) == ["closed", "revised"]
    _fold(shard, *_patient("a", temperature("39.5", at(176))), first=201)
    assert list(_latest(shard).values()) == ["closed", "revised"]


def _latest(shard: ShardFold) -> dict[str, str]:
    episodes = shard.state_of(PatientId("a")).published.episodes
    return {e.alert.alert_id: e.alert.status.value for e in episodes if e.alert is not None}


def test_new_evidence_opens_a_closed_episode_as_it_always_did() -> None:
    again = variant("again")
    shard = new_shard(carried=by_digest([again]))
    _fold(shard, *_count("a", 1690), clock(81))
    _fold(shard, activation(again), clock(82), first=100)
    outputs = _fold(shard, *_patient("a", eosinophils(1800, at(30))), first=102)
    assert [status for _, status, _ in _told(outputs)] == ["revised"]
    assert not shard.state_of(PatientId("a")).published.episodes[0].sealed


# What is refused ------------------------------------------------------------------------------------------------


def test_an_unknown_rulebook_stops_the_shard_and_is_named() -> None:
    shard = _shard()
    unknown = RulebookActivated(1, f"sha256:{'0' * 64}")
    with pytest.raises(
        ActivationRefused, match=r"rulebook sha256:0{64}, which is not carried here: .+ --carry"
    ):
        shard.process(raw([*_count("a", 1690), unknown]))
    assert shard.patients == 0


def test_another_engine_version_stops_the_shard_and_is_named() -> None:
    with pytest.raises(ActivationRefused, match="engine version 2, and this is 1"):
        _shard().process(raw([RulebookActivated(2, RULEBOOK.digest)]))


def test_an_heir_that_does_not_carry_the_rulebook_in_force_refuses_the_shard() -> None:
    shard = _shard()
    run = shard.process(raw([activation(LOWER)]))
    assert [key for key, _ in run.states] == [RULEBOOK_KEY]
    with pytest.raises(ActivationRefused, match=LOWER.digest):
        hand_over(run.states, new_shard())


def test_a_shard_goes_on_under_the_rulebook_it_was_read_under_though_the_default_is_another() -> None:
    shard = new_shard()
    run = shard.process(raw(_count("a", 1200)))
    heir = new_shard(rulebook=LOWER, carried=by_digest())
    hand_over(run.states, heir)
    assert heir.rulebook.digest == RULEBOOK.digest
    assert _fold(heir, clock(30), first=100) == ()


def test_the_record_in_the_state_is_the_record_of_the_log() -> None:
    run = _shard().process(raw([activation(LOWER)]))
    assert dict(run.states)[RULEBOOK_KEY] == encode_event(activation(LOWER))
    assert json.loads(encode_event(activation(LOWER))) == {
        "schema_version": 1,
        "type": "control.activate",
        "engine_version": 1,
        "rulebook_digest": LOWER.digest,
    }


def test_a_state_of_before_the_rulebook_was_kept_is_assessed_again_and_tells_nothing_new() -> None:
    shard = _shard()
    _fold(shard, *_count("a", 1690))
    record = json.loads(encode_state(shard.state_of(PatientId("a"))))
    del record["rulebook"]
    heir = _shard()
    heir.restore(b"a", json_bytes(record))
    assert _fold(heir, clock(21), first=100) == ()
    assert heir.state_of(PatientId("a")).rulebook == RULEBOOK.digest


# Failures -------------------------------------------------------------------------------------------------------


def test_one_patient_who_cannot_be_assessed_again_stops_nobody_and_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_fold, "reassess", failing_for("a", engine_reassess))
    shard = _shard()
    _fold(shard, *_count("a", 1200), *_count("b", 1200))
    outputs = _fold(shard, activation(LOWER), first=100)
    assert [alert["kind"] for alert in alerts(outputs)] == ["system", "suspected_dress"]
    assert [letter["code"] for letter in of_stream(outputs, OutputStream.DEAD_LETTERS)] == ["engine_failed"]
    assert _fold(shard, clock(22), first=101) == ()


def test_a_state_that_would_grow_over_its_cap_is_told_as_incomplete() -> None:
    shard = new_shard(limits=Limits(state_bytes_max=2_500, state_bytes_reserved=1_000), carried=by_digest())
    _fold(shard, *_count("a", 1200))
    outputs = _fold(shard, activation(LOWER), first=100)
    assert [letter["code"] for letter in of_stream(outputs, OutputStream.DEAD_LETTERS)] == [
        "patient_state_full"
    ]
    assert [alert["kind"] for alert in alerts(outputs)] == ["system"]
