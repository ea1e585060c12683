"""Plausibility: whether one observation may be believed, or must wait for a person.

Used by ingest before the log and by the fold when it reads the log, so a value that no sender could mean fires
nothing on either way. A value is never corrected here. What needs a second value of the same specimen
(eosinophils above leukocytes) is seen by ingest, which has the whole message.
"""

from pv_stream.domain.codes import Analyte, HoldCode
from pv_stream.domain.facts import Content, Measurement
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant, Interval
from pv_stream.rules.rulebook import Rulebook

_CELL_COUNTS = frozenset({Analyte.EOSINOPHILS, Analyte.LEUKOCYTES})


def why_held(
    content: Content, effective: Interval, received_at: Instant, rulebook: Rulebook
) -> HoldCode | None:
    """Return why a content must be held for review, or None when it may be believed."""
    if effective.earliest > received_at + rulebook.parameters.future_hours.value * MICROSECONDS_PER_HOUR:
        return HoldCode.TIME_IN_FUTURE
    if isinstance(content, Measurement):
        return _why_value_held(content, rulebook)
    return None


def _why_value_held(measurement: Measurement, rulebook: Rulebook) -> HoldCode | None:
    limits = rulebook.plausibility[measurement.analyte]
    value = measurement.value
    if not limits.minimum <= value <= limits.maximum:
        return HoldCode.OUT_OF_RANGE
    fraction_below = rulebook.plausibility_of_counts.fraction_below_per_ul.value
    if measurement.analyte in _CELL_COUNTS and value < fraction_below and value != value.to_integral_value():
        return HoldCode.FRACTION_OF_A_CELL
    return None
