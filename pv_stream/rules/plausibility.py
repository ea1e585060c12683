"""Plausibility: whether one observation may be believed, or must wait for a person.

Used by ingest before the log and by the fold when it reads the log, so a value that no sender could mean fires
nothing on either way. A value is never corrected here. What needs a second value of the same specimen
(eosinophils above leukocytes) is seen by ingest, which has the whole message.
"""

from pv_stream.domain.codes import Analyte, ExposureKind, HoldCode
from pv_stream.domain.facts import Content, Exposure, Measurement
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant, Interval, after_days
from pv_stream.rules.rulebook import Rulebook

_PLANNED = frozenset({ExposureKind.ORDER, ExposureKind.DISPENSE})
_CELL_COUNTS = frozenset({Analyte.EOSINOPHILS, Analyte.LEUKOCYTES})


def why_held(
    content: Content, effective: Interval, received_at: Instant, rulebook: Rulebook
) -> HoldCode | None:
    """Return why a content must be held for review, or None when it may be believed."""
    is_ahead = effective.earliest > received_at
    if is_ahead and effective.earliest > _latest_believed(content, received_at, rulebook):
        return HoldCode.TIME_IN_FUTURE
    if isinstance(content, Measurement):
        return _why_value_held(content, rulebook)
    return None


def is_small_count(measurement: Measurement, rulebook: Rulebook) -> bool:
    """Tell whether a cell count is so small that a fraction of it, as 2.0 per microlitre, must mean thousands.

    Zero thousands are zero. Whether decimals were written is seen by ingest: 2.0 and 2 are the same value.
    """
    if measurement.analyte not in _CELL_COUNTS:
        return False
    return 0 < measurement.value < rulebook.plausibility_of_counts.fraction_below_per_ul.value


def _latest_believed(content: Content, received_at: Instant, rulebook: Rulebook) -> Instant:
    """Return the latest clinical time that may be meant: an order may be planned, a result may not."""
    parameters = rulebook.parameters
    if isinstance(content, Exposure) and content.kind in _PLANNED:
        return after_days(received_at, parameters.order_ahead_days.value)
    return Instant(received_at + parameters.future_hours.value * MICROSECONDS_PER_HOUR)


def _why_value_held(measurement: Measurement, rulebook: Rulebook) -> HoldCode | None:
    limits = rulebook.plausibility[measurement.analyte]
    value = measurement.value
    if not limits.minimum <= value <= limits.maximum:
        return HoldCode.OUT_OF_RANGE
    if is_small_count(measurement, rulebook) and value != value.to_integral_value():
        return HoldCode.FRACTION_OF_A_CELL
    return None
