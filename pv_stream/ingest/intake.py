"""What every reader of messages is given: the pseudonyms, the lists, and what is known of one message.

`Intake` is fixed for a run; `Envelope` belongs to one message. Neither holds a clock: `now` was read once when the
run began, and serves only to refuse a message that claims to have been sent in the future.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pv_stream.domain.codes import Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, FactVersion, Provenance, Retracted, Statement, VersionOrder
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.often_built import often_built
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant
from pv_stream.errors import UsageError
from pv_stream.ingest.drugs import DrugList
from pv_stream.ingest.fhir.resources import Entry, Place, nowhere
from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.pseudonyms import Pseudonyms
from pv_stream.ingest.tables import fold, named_tests
from pv_stream.ingest.times import Moment
from pv_stream.rules.rulebook import Rulebook
from pv_stream.settings import Settings

_OID: Final = "urn:oid:"
_MEDDRA_CODE: Final = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Intake:
    """Hold what is the same for every message of a run.

    `received_at` is the operator's own stamp (`--received-at`) and overrides the sender's; `utc_offset_minutes` is
    the facility's offset where a message states none; `fhir_server` is the base URL of the FHIR resources that state
    none, so that Patient/1 of two hospitals are two patients; `fhir_identifier_systems` says which assigning authority
    of HL7v2 a system of FHIR identifiers is, and `meddra_tests` which listed test a MedDRA code of a safety report is;
    `now` bounds what a sender may claim. `medication_at` finds what other FHIR documents of the run say of a drug.
    """

    pseudonyms: Pseudonyms
    rulebook: Rulebook
    drugs: DrugList
    now: Instant
    received_at: Instant | None = None
    utc_offset_minutes: int | None = None
    fhir_server: str = ""
    fhir_identifier_systems: Mapping[str, str] = field(default_factory=dict)
    meddra_tests: Mapping[str, str] = field(default_factory=dict)
    medication_at: Callable[[Place], Entry | None] = nowhere

    def authority_of(self, system: str) -> str:
        """Return the assigning authority that a system of FHIR identifiers is, else its OID, else the system itself."""
        return self.fhir_identifier_systems.get(system, system.removeprefix(_OID))

    def received(self, stated: Instant | None) -> Instant | RejectCode:
        """Return when a message counts as received, or why it has no time to be placed at."""
        received_at = self.received_at if self.received_at is not None else stated
        if received_at is None:
            return RejectCode.NO_RECEIVED_AT
        return RejectCode.RECEIVED_IN_FUTURE if self.is_future(received_at) else received_at

    def is_future(self, received_at: Instant) -> bool:
        """Tell whether a time of receiving would drive the clock of a whole shard forward (law 3)."""
        return received_at > self.now + self.rulebook.parameters.future_hours.value * MICROSECONDS_PER_HOUR


def intake_of(  # noqa: PLR0913 - what is set, and what each run chooses
    settings: Settings,
    pseudonyms: Pseudonyms,
    rulebook: Rulebook,
    now: Instant,
    *,
    received_at: Instant | None = None,
    utc_offset_minutes: int | None = None,
) -> Intake:
    """Return the intake of a run with what the settings say of its senders."""
    return Intake(
        pseudonyms,
        rulebook,
        DrugList(rulebook),
        now,
        received_at,
        utc_offset_minutes,
        settings.fhir_server.rstrip("/"),
        settings.fhir_identifier_systems,
        _checked(settings.meddra_tests),
    )


def _checked(meddra_tests: Mapping[str, str]) -> Mapping[str, str]:
    """Return the MedDRA codes of tests. Raises UsageError when one is none, or leads to a name that is not listed."""
    for code, name in meddra_tests.items():
        if _MEDDRA_CODE.fullmatch(code) is None:
            message = f"meddra_tests: {code!r} is no code of MedDRA, which has eight digits"
            raise UsageError(message)
        if fold(name) not in named_tests():
            message = f"meddra_tests: {code} is {name!r}, which is no listed test: say one such as 'eosinophil count'"
            raise UsageError(message)
    return meddra_tests


@often_built
@dataclass(frozen=True, slots=True)
class Envelope:
    """Hold what is known of the message that carries a statement."""

    format: str
    message_digest: str
    received_at: Instant


@often_built
@dataclass(frozen=True, slots=True)
class Version:
    """Hold whose fact a statement is about and how its version ranks."""

    patient: PatientId
    key: FactKey
    status: Status
    source_version: int = 0
    issued_at: int = 0


def digest_of(content: bytes) -> str:
    """Return the digest by which messages and values are named."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def arrive(version: Version, content: Content, moment: Moment, envelope: Envelope, path: str) -> FactArrived:
    """Return the event of one statement."""
    status = Status.RETRACTED if isinstance(content, Retracted) else version.status
    return FactArrived(
        version.patient,
        FactVersion(
            version.key,
            _order(version.source_version, status, version.issued_at),
            Statement(content, moment.interval, moment.utc_offset_minutes),
            Provenance(envelope.received_at, envelope.message_digest, path, envelope.format),
        ),
    )


#: The results of one message mostly rank alike.
@lru_cache(maxsize=64)
def _order(source_version: int, status: Status, issued_at: int) -> VersionOrder:
    return VersionOrder(source_version, status, issued_at=issued_at)
