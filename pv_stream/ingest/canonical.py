"""Canonical events read from files: decoded, reviewed like any other input, and written again in canonical form.

A line that is no event is rejected with the decoder's code. A value that is not believable is replaced by its hold
under the same key. Its received_at stays, as it was stamped when the event was made, unless it lies in the future.
"""

from dataclasses import replace

from pv_stream.codec.canonical import canonical_json
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.codes import DeadLetterCode, HoldCode
from pv_stream.domain.events import ClockTicked, FactArrived, RulebookActivated
from pv_stream.domain.facts import FactVersion
from pv_stream.domain.times import exactly
from pv_stream.engine.believe import hold, why_not_believed
from pv_stream.ingest.intake import Intake, digest_of
from pv_stream.ingest.outcomes import Hold, Outcome, RejectCode, rejected


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
    code = why_not_believed(event.version, intake.rulebook)
    if code is None:
        return Outcome(events=[event])
    digest = digest_of(canonical_json(event.version.statement.content))
    held = _placed(hold(event.version, code, digest), code)
    return Outcome(
        events=[replace(event, version=held)], holds=[Hold(code, event.version.provenance.path, digest)]
    )


def _placed(held: FactVersion, code: HoldCode) -> FactVersion:
    """Return a hold at its arrival when its own time is the one that is not believed."""
    if code is not HoldCode.TIME_IN_FUTURE:
        return held
    effective = exactly(held.provenance.received_at)
    return replace(held, statement=replace(held.statement, effective=effective))


_REJECTS = {
    DeadLetterCode.EMPTY: RejectCode.EMPTY,
    DeadLetterCode.TOO_LARGE: RejectCode.TOO_LARGE,
    DeadLetterCode.MALFORMED_JSON: RejectCode.MALFORMED_JSON,
    DeadLetterCode.UNSUPPORTED_TYPE: RejectCode.UNSUPPORTED_TYPE,
    DeadLetterCode.UNSUPPORTED_VERSION: RejectCode.UNSUPPORTED_VERSION,
}
