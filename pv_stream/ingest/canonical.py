"""Canonical events read from files: decoded, reviewed like any other input, and written again in canonical form.

A line that is no event is rejected with the decoder's code. A value that is not believable is replaced by its hold
under the same key. Its received_at stays, as it was stamped when the event was made, unless it lies in the future.
"""

from dataclasses import replace

from pv_stream.codec.canonical import canonical_json
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.codes import DeadLetterCode, HoldCode
from pv_stream.domain.events import ClockTicked, FactArrived, RulebookActivated
from pv_stream.domain.facts import Held, Measurement, Retracted
from pv_stream.domain.times import exactly
from pv_stream.ingest.intake import Intake, digest_of
from pv_stream.ingest.outcomes import Hold, Outcome, RejectCode, rejected
from pv_stream.rules.plausibility import why_held


def read_canonical(content: bytes, intake: Intake) -> Outcome:
    """Read one line."""
    event = decode_event(content, record_bytes_max=max(len(content), 1))
    if isinstance(event, Rejection):
        return rejected(_REJECTS.get(event.code, RejectCode.INVALID_EVENT))
    if isinstance(event, RulebookActivated):
        return Outcome(events=[event])
    stamp = event.instant if isinstance(event, ClockTicked) else event.received_at
    if intake.is_future(stamp):
        return rejected(RejectCode.RECEIVED_IN_FUTURE)
    if not isinstance(event, FactArrived):
        return Outcome(events=[event])
    statement = event.version.statement
    if isinstance(statement.content, Held | Retracted):
        return Outcome(events=[event])
    code = why_held(statement.content, statement.effective, event.received_at, intake.rulebook)
    if code is None:
        return Outcome(events=[event])
    digest = digest_of(canonical_json(statement.content))
    return Outcome(
        events=[_held(event, code, digest)], holds=[Hold(code, event.version.provenance.path, digest)]
    )


def _held(event: FactArrived, code: HoldCode, digest: str) -> FactArrived:
    statement = event.version.statement
    analyte = statement.content.analyte if isinstance(statement.content, Measurement) else None
    effective = exactly(event.received_at) if code is HoldCode.TIME_IN_FUTURE else statement.effective
    held = replace(statement, content=Held(code, digest, analyte), effective=effective)
    return replace(event, version=replace(event.version, statement=held))


_REJECTS = {
    DeadLetterCode.EMPTY: RejectCode.EMPTY,
    DeadLetterCode.TOO_LARGE: RejectCode.TOO_LARGE,
    DeadLetterCode.MALFORMED_JSON: RejectCode.MALFORMED_JSON,
    DeadLetterCode.UNSUPPORTED_TYPE: RejectCode.UNSUPPORTED_TYPE,
    DeadLetterCode.UNSUPPORTED_VERSION: RejectCode.UNSUPPORTED_VERSION,
}
