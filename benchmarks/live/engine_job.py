"""The engine job of the live benchmark: the real engine under the real rulebook, on a realistic mix of events.

70 % results, 20 % exposures, 10 % findings, and one patient in a hundred with an open episode, so that one event in a
hundred is assessed in full. Every number here is an ASSUMPTION made to measure with, not epidemiology.

Peers host `step`: the same pure functions as our fold, with the same bytes out.
"""

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Final

from pv_stream.codec.canonical import canonical_json
from pv_stream.codec.events import Rejection, decode_event, encode_event
from pv_stream.domain.codes import Analyte, ExposureKind, FindingCode, Presence, Route, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Exposure,
    FactVersion,
    Finding,
    Measurement,
    Provenance,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    Instant,
    exactly,
    parse_instant,
)
from pv_stream.engine.advance import advance
from pv_stream.rulebooks import load_default

SHARE_RESULTS: Final = 0.7
SHARE_EXPOSURES: Final = 0.2
SHARE_OPEN_EPISODES: Final = 0.01
SHARE_WATCHED_DRUG: Final = 0.18
SHARE_EOSINOPHILIA: Final = 0.04
SHARE_FINDING_PRESENT: Final = 0.05
MICROSECONDS_BETWEEN_EVENTS: Final = 1_000_000
_START: Final = parse_instant("2026-01-01T00:00:00Z")
_WATCHED: Final = ("piperacillin", "vancomycin", "sulfamethoxazole", "allopurinol", "lamotrigine")
_UNWATCHED: Final = ("paracetamol", "enoxaparin", "pantoprazole", "metoprolol", "furosemide", "ondansetron")
_FINDINGS: Final = (FindingCode.RASH, FindingCode.FACIAL_OEDEMA, FindingCode.ENLARGED_LYMPH_NODES)


class EngineStep:
    """Host the engine: one record in, the state after it and what it tells out."""

    def __init__(self) -> None:
        self._rulebook = load_default()

    def __call__(
        self, state: PatientState | None, value: bytes
    ) -> tuple[PatientState, Sequence[tuple[bytes, bytes]]]:
        """Return the state after a record, and key and value of each output."""
        event = decode_event(value)
        if isinstance(event, Rejection) or not isinstance(event, FactArrived):
            msg = "the log of the benchmark holds only facts"
            raise TypeError(msg)
        after, told = advance(state or PatientState(), event, shard_clock=None, rulebook=self._rulebook)
        key = event.patient_id.encode()
        return after, [(key, canonical_json(output)) for output in told]


def opening(name: str, number: int) -> Iterator[bytes]:
    """Yield the events that open an episode: imatinib for 20 days, then an eosinophil count of 1,690/µL."""
    at = Instant(_START + number * MICROSECONDS_BETWEEN_EVENTS)
    given = Instant(at - 20 * MICROSECONDS_PER_DAY)
    dose = Exposure(ExposureKind.ADMINISTRATION, ("imatinib",), Route.ORAL)
    yield _event(name, f"{number}-dose", dose, given, at)
    yield _event(name, f"{number}-count", Measurement(Analyte.EOSINOPHILS, Decimal(1_690)), at, at)


def events(count: int, *, patients: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the patient and the bytes of each event."""
    random = Random(seed)
    made = 0
    for patient in range(int(patients * SHARE_OPEN_EPISODES)):
        for value in opening(_name(patient), made):
            yield _name(patient), value
            made += 1
    for number in range(made, count):
        patient = int(random.random() * patients)
        at = Instant(_START + number * MICROSECONDS_BETWEEN_EVENTS)
        content = _content(random, patient, patients)
        yield _name(patient), _event(_name(patient), str(number), content, at, at)


def _name(patient: int) -> str:
    return f"patient-{patient:07d}"


def _content(random: Random, patient: int, patients: int) -> Content:
    kind, size = random.random(), random.random()
    # What a patient has is a matter of the patient, not of the event.
    place = (patient % 1_000) / 1_000
    if kind < SHARE_RESULTS:
        return _result(kind / SHARE_RESULTS, size, eosinophilia=place < SHARE_EOSINOPHILIA)
    if kind < SHARE_RESULTS + SHARE_EXPOSURES:
        episode = patient < patients * SHARE_OPEN_EPISODES
        drugs = _WATCHED if place < SHARE_WATCHED_DRUG else _UNWATCHED
        drug = "imatinib" if episode else drugs[int(size * len(drugs))]
        return Exposure(ExposureKind.ADMINISTRATION, (drug,), Route.INTRAVENOUS)
    present = Presence.PRESENT if size < SHARE_FINDING_PRESENT else Presence.ABSENT
    return Finding(_FINDINGS[int(random.random() * len(_FINDINGS))], present)


def _result(place: float, size: float, *, eosinophilia: bool) -> Measurement:
    if place < 0.2:
        return _measured(
            Analyte.EOSINOPHILS, int(800 + size * 1_600 if eosinophilia else 20 + size * 460), "/uL"
        )
    if place < 0.4:
        return _measured(Analyte.LEUKOCYTES, 4_500 + int(size * 6_500), "/uL")
    if place < 0.6:
        return _measured(Analyte.ALT, 10 + int(size * 50), "U/L")
    if place < 0.8:
        return Measurement(Analyte.CREATININE, Decimal(6 + int(size * 5)).scaleb(-1))
    return Measurement(Analyte.BODY_TEMPERATURE, Decimal(362 + int(size * 15)).scaleb(-1))


def _measured(analyte: Analyte, value: int, unit: str) -> Measurement:
    return Measurement(
        analyte, Decimal(value), None, None, AsSent("synthetic", analyte.value, str(value), unit)
    )


def _event(name: str, fact: str, content: Content, at: Instant, now: Instant) -> bytes:
    received = Instant(now + MICROSECONDS_PER_MINUTE)
    digest = hashlib.sha256(f"{name}/{fact}".encode()).hexdigest()
    version = FactVersion(
        key=FactKey(f"synthetic:{name}:{fact}"),
        order=VersionOrder(0, Status.FINAL, issued_at=received),
        statement=Statement(content, exactly(at), 0),
        provenance=Provenance(received, f"sha256:{digest}", "OBX[1]", "hl7v2"),
    )
    return encode_event(FactArrived(PatientId(name), version))
