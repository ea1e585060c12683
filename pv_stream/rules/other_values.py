"""Other values: which measured values no rule scores, so that of very many only some need to be kept (law 8).

Blood counts and organ tests are never among them, nor is a value at or beyond a threshold of the rulebook, or one
known only as a bound. What is left are temperatures below every fever, and body weights.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from pv_stream.domain.codes import Analyte
from pv_stream.domain.facts import Measurement
from pv_stream.rules.rulebook import Number, Parameters

_NO_THRESHOLD: Final = Decimal("Infinity")
#: Every threshold that a value of the analyte is compared with; an analyte that is not here is always kept whole.
_THRESHOLDS: Final[Mapping[Analyte, Callable[[Parameters], tuple[Number, ...]]]] = {
    Analyte.BODY_TEMPERATURE: lambda parameters: (
        parameters.fever_sign_celsius,
        parameters.fever_score_celsius,
        parameters.jscar_fever_celsius,
        parameters.clinical_resolution_celsius,
    ),
    Analyte.BODY_WEIGHT: lambda _: (),
}


def other_below(analyte: Analyte, parameters: Parameters) -> Decimal | None:
    """Return the value below which no rule scores a value of an analyte, or None where every value is kept."""
    thresholds = _THRESHOLDS.get(analyte)
    if thresholds is None:
        return None
    return min((threshold.value for threshold in thresholds(parameters)), default=_NO_THRESHOLD)


def is_other(measurement: Measurement, below: Decimal) -> bool:
    """Tell whether a value is one that no rule scores."""
    return measurement.comparator is None and measurement.value < below
