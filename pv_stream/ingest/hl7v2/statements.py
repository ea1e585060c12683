"""One statement of a segment into the outcome of its message: believed, taken back, or held for a person."""

from pv_stream.domain.codes import READ_HOLDS, TIME_HOLDS, HoldCode
from pv_stream.domain.facts import Exposure, Finding, Held, Report, Retracted
from pv_stream.domain.times import exactly
from pv_stream.ingest.hl7v2.people import PatientContext
from pv_stream.ingest.hl7v2.syntax import Segment
from pv_stream.ingest.intake import Version, arrive, digest_of
from pv_stream.ingest.outcomes import Fate, Hold, Outcome
from pv_stream.ingest.times import Moment
from pv_stream.rules.plausibility import why_held


def state(  # noqa: PLR0913 - a statement and where it stands
    segment: Segment,
    field: int,
    path: str,
    said: Exposure | Finding | Report | Retracted | HoldCode,
    moment: Moment | HoldCode,
    version: Version,
    context: PatientContext,
    outcome: Outcome,
    doubt: HoldCode | None = None,
) -> None:
    """Add what a segment says to the outcome; a HoldCode is why it is not believed whatever its time.

    `field` is the field whose digest names a held statement. What is held for its time stands at its arrival, with
    what was said. A `doubt` holds what else would be believed.
    """
    envelope = context.envelope
    at_arrival = Moment(exactly(envelope.received_at), None)
    when = moment if isinstance(moment, Moment) else at_arrival
    if isinstance(said, Retracted):
        segment.fate = Fate.FACT
        outcome.events.append(arrive(version, said, when, envelope, path))
        return
    why = said if isinstance(said, HoldCode) else _why_held(said, moment, context)
    is_timely = why is None
    why = doubt or why
    if why is None and not isinstance(said, HoldCode):
        segment.fate = Fate.FACT
        outcome.events.append(arrive(version, said, when, envelope, path))
        return
    assert why is not None
    digest = digest_of(segment.raw(field).encode(errors="surrogatepass"))
    is_for_time = why in TIME_HOLDS
    # What is in doubt for its time as well cannot be settled by what was read.
    is_read = why in READ_HOLDS and (is_for_time or is_timely)
    held = Held(why, digest, said=said if is_read and not isinstance(said, HoldCode) else None)
    segment.fate = Fate.HELD
    outcome.holds.append(Hold(why, path, digest))
    outcome.events.append(arrive(version, held, at_arrival if is_for_time else when, envelope, path))


def _why_held(
    said: Exposure | Finding | Report, moment: Moment | HoldCode, context: PatientContext
) -> HoldCode | None:
    if isinstance(moment, HoldCode):
        return moment
    return why_held(said, moment.interval, context.envelope.received_at, context.intake.rulebook)
