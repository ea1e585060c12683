"""Results of measurements, whatever format they came in: believed, held or retracted.

A reader fills a `Result` with what was sent; `judge` decides. The order of the questions is the order of the checks in
`_why_not`, and the first that fails names the hold. A held result enters the log with its code and a digest: nothing
that a rule could use. It is placed at the time of its arrival when its own time is missing, unreadable or in the
future, since a lab dated 2052 must move nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from pv_stream.domain.codes import TIME_HOLDS, Analyte, EvidenceFlag, HoldCode, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Held, Measurement, Retracted
from pv_stream.domain.often_built import often_built
from pv_stream.domain.times import exactly
from pv_stream.ingest.intake import Envelope, Intake, Version, arrive, digest_of
from pv_stream.ingest.outcomes import Hold, IgnoreReason, Outcome
from pv_stream.ingest.quantities import Converted, Sent, convert
from pv_stream.ingest.tables import AnalyteCode, loinc_table
from pv_stream.ingest.times import Moment
from pv_stream.rules.plausibility import is_small_count, why_held

#: What the canonical form allows as a token (`codec.events`).
_TOKEN = re.compile(r"[A-Za-z0-9µμ%°/{}\[\]()*^.<>=+_:-]{1,40}")


@often_built
@dataclass(frozen=True, slots=True)
class Specimen:
    """Hold the pseudonym of a specimen, how it is known, and whether it may hold blood."""

    token: str | None
    flag: EvidenceFlag | None = None
    is_credible: bool = True


@dataclass(
    slots=True, kw_only=True
)  # not frozen: there is one for every result, and freezing it costs as much as reading
class Result:
    """Hold one result as it was sent, under a code that rules use.

    `code_as_sent` is that code in `system`, or the listed name of a test. `number` is None when the text is no number
    that can be read. `status` is None for a status that nobody defines; `version.status` then only ranks the hold.
    `doubt` is why the value is not believed whatever it is.
    """

    envelope: Envelope
    path: str
    code_as_sent: str
    code: AnalyteCode
    version: Version
    status: Status | None
    moment: Moment | HoldCode
    number: Sent | None
    value_text: str
    units: tuple[str, ...]
    specimen: Specimen
    weak_key: bool = False
    system: str = "loinc"
    doubt: HoldCode | None = None


def find_code(codings: Iterable[tuple[str, str]]) -> tuple[str, AnalyteCode] | IgnoreReason:
    """Return the first LOINC code that rules use among pairs of (system, code), or why there is none.

    Where the codes name different things the result is in doubt, whichever stands first.
    """
    table = loinc_table()
    reason = IgnoreReason.CODE_NOT_USED
    found: dict[str, AnalyteCode] = {}
    for system, code in codings:
        if system.casefold() not in table.systems:
            if code in table.analytes:
                reason = IgnoreReason.CODE_SYSTEM_NOT_LOINC
        elif code in table.not_blood:
            reason = IgnoreReason.NOT_BLOOD
        elif code in table.analytes:
            found[code] = table.analytes[code]
    if not found:
        return reason
    code, use = next(iter(found.items()))
    is_one = reason is not IgnoreReason.NOT_BLOOD and len({each.analyte for each in found.values()}) == 1
    return code, use if is_one else replace(use, doubt=HoldCode.CONFLICTING_CODES)


def judge(results: Iterable[Result], intake: Intake, outcome: Outcome) -> None:
    """Add the events of the results of one message to its outcome."""
    judged = [(result, _content(result, intake)) for result in results]
    leukocytes = _leukocytes_by_specimen(judged)
    for result, judgement in judged:
        content = judgement
        if isinstance(content, Measurement) and _is_above_leukocytes(content, result, leukocytes):
            content = HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES
        if isinstance(content, HoldCode):
            outcome.events.append(_hold(result, content, intake, outcome))
        else:
            moment = result.moment if isinstance(result.moment, Moment) else _at_arrival(result.envelope)
            outcome.events.append(arrive(result.version, content, moment, result.envelope, result.path))


def _content(result: Result, intake: Intake) -> Measurement | Retracted | HoldCode:
    if result.status is Status.RETRACTED:
        return Retracted()
    if result.status is None:
        return HoldCode.UNKNOWN_STATUS
    moment = result.moment
    doubt = result.code.doubt or (moment if isinstance(moment, HoldCode) else result.doubt)
    if doubt is not None or isinstance(moment, HoldCode):
        return doubt or HoldCode.UNREADABLE_TIME
    if result.code.in_blood and not result.specimen.is_credible:
        return HoldCode.UNKNOWN_SPECIMEN
    if result.number is None:
        return HoldCode.UNREADABLE_VALUE
    converted = convert(result.number.value, result.units, result.code)
    if isinstance(converted, HoldCode):
        return converted
    measurement = _measurement(result, result.number, converted)
    received_at = result.envelope.received_at
    why = why_held(measurement, moment.interval, received_at, intake.rulebook)
    if why is None and converted.counts_parts and is_small_count(measurement, intake.rulebook):
        why = HoldCode.FRACTION_OF_A_CELL
    return measurement if why is None else why


def _measurement(result: Result, number: Sent, converted: Converted) -> Measurement:
    flags: list[EvidenceFlag] = [EvidenceFlag.WEAK_KEY] if result.weak_key else []
    if result.code.in_blood and result.specimen.flag is not None:
        flags.append(result.specimen.flag)
    return Measurement(
        analyte=result.code.analyte,
        value=converted.value,
        comparator=number.comparator,
        specimen=result.specimen.token if result.code.in_blood else None,
        as_sent=AsSent(
            result.system,
            result.code_as_sent,
            _token(format(number.value, "f")),
            _unit_token(converted.unit),
        ),
        flags=tuple(sorted(flags)) if flags else (),
    )


def _leukocytes_by_specimen(
    judged: Iterable[tuple[Result, Measurement | Retracted | HoldCode]],
) -> dict[tuple[str, str], Measurement]:
    found: dict[tuple[str, str], Measurement] = {}
    for result, content in judged:
        if isinstance(content, Measurement) and content.analyte is Analyte.LEUKOCYTES and content.specimen:
            place = (result.version.patient, content.specimen)
            if place not in found or content.value > found[place].value:
                found[place] = content
    return found


def _is_above_leukocytes(
    content: Measurement, result: Result, leukocytes: dict[tuple[str, str], Measurement]
) -> bool:
    if content.analyte is not Analyte.EOSINOPHILS or not content.specimen:
        return False
    whole = leukocytes.get((result.version.patient, content.specimen))
    # A bound says too little to contradict anything.
    return (
        whole is not None
        and whole.comparator is None
        and content.comparator is None
        and content.value > whole.value
    )


def _hold(result: Result, code: HoldCode, intake: Intake, outcome: Outcome) -> FactArrived:
    digest = digest_of("\x1f".join((result.value_text, *result.units)).encode(errors="surrogatepass"))
    outcome.holds.append(Hold(code, result.path, digest))
    moment, said = result.moment, None
    if isinstance(moment, HoldCode) or code in TIME_HOLDS:
        moment = _at_arrival(result.envelope)
        at_arrival = _content(replace(result, moment=moment), intake)
        said = at_arrival if isinstance(at_arrival, Measurement) else None
    version = (
        result.version if result.status is not None else replace(result.version, status=Status.PRELIMINARY)
    )
    specimen = result.specimen.token if result.code.in_blood else None
    # Of codes that disagree nobody can say which was meant: no analyte, so no value can be stated for it.
    analyte = None if code is HoldCode.CONFLICTING_CODES else result.code.analyte
    held = Held(code, digest, analyte, specimen, said)
    return arrive(version, held, moment, result.envelope, result.path)


def _at_arrival(envelope: Envelope) -> Moment:
    return Moment(exactly(envelope.received_at), None)


@lru_cache(maxsize=1024)
def _unit_token(unit: str) -> str | None:
    # The spelling is our table's own or a UCUM code, never free text; a token holds no space.
    return _token(unit.strip().replace(" ", "_"))


def _token(text: str) -> str | None:
    return text if _TOKEN.fullmatch(text) else None
