"""One E2B document in, one outcome out: which version of the standard it is, and each report in it.

A file is cut into messages of one report each (`batch`); a document that comes whole may hold several.
"""

from collections.abc import Iterator
from typing import Final

from pv_stream.ingest.icsr import r2, r3_rest
from pv_stream.ingest.icsr.facts import tell
from pv_stream.ingest.icsr.r2 import read_r2
from pv_stream.ingest.icsr.r3 import components, observations, read_r3, role_of, sender_diagnoses
from pv_stream.ingest.icsr.report import SafetyReport
from pv_stream.ingest.icsr.syntax import (
    R2_BATCH,
    R3_BATCH,
    R3_MESSAGE,
    Element,
    child,
    name_of,
    r2_children,
    read_tree,
)
from pv_stream.ingest.intake import Envelope, Intake, digest_of
from pv_stream.ingest.outcomes import Fate, Outcome, Reject, RejectCode, rejected

#: Each drug says something of each reaction; the longest reports have some hundred of both.
PAIRS_MAX: Final = 100_000

_REPORT: Final = "safetyreport"
_IDENTIFICATION: Final = "C.1 report"


def read_e2b(content: bytes, intake: Intake) -> Outcome:
    """Read one document."""
    root = read_tree(content)
    if isinstance(root, RejectCode):
        return rejected(root)
    reports = list(reports_of(root))
    if not reports:
        is_e2b = name_of(root) in {R2_BATCH, R3_BATCH, R3_MESSAGE}
        return rejected(RejectCode.INCOMPLETE_REPORT if is_e2b else RejectCode.UNSUPPORTED_TYPE)
    outcome = Outcome()
    digest = digest_of(content)
    for number, element in enumerate(reports, start=1):
        path = f"report[{number}]/" if len(reports) > 1 else ""
        _read_report(element, root, path, digest, intake, outcome)
    return outcome


def reports_of(root: Element) -> Iterator[Element]:
    """Yield the reports of a document."""
    kind = name_of(root)
    if kind == R2_BATCH:
        yield from r2_children(root, _REPORT)
    elif kind == R3_BATCH:
        yield from (each for each in root if name_of(each) == R3_MESSAGE)
    elif kind == R3_MESSAGE:
        yield root


def _read_report(  # noqa: PLR0913 - a report and what is around it
    element: Element, root: Element, path: str, digest: str, intake: Intake, outcome: Outcome
) -> None:
    is_r2 = name_of(element) == _REPORT
    offset = intake.utc_offset_minutes
    if (_r2_pairs if is_r2 else _r3_pairs)(element) > PAIRS_MAX:
        outcome.rejects.append(Reject(RejectCode.TOO_COMPLEX, path.rstrip("/")))
        outcome.note(_IDENTIFICATION, Fate.REJECTED)
        return
    report: SafetyReport | str
    report = read_r2(element, root, path, offset) if is_r2 else read_r3(element, _batch(root), path, offset)
    if isinstance(report, str):
        outcome.rejects.append(Reject(RejectCode.INCOMPLETE_REPORT, f"{path}{report}"))
        outcome.note(_IDENTIFICATION, Fate.REJECTED)
        return
    received_at = intake.received(report.sent_at)
    if isinstance(received_at, RejectCode):
        outcome.rejects.append(Reject(received_at, path.rstrip("/")))
        outcome.note(_IDENTIFICATION, Fate.REJECTED)
        return
    outcome.note(_IDENTIFICATION, Fate.CONTEXT)
    (r2 if is_r2 else r3_rest).note_rest(element, outcome)
    tell(report, intake, Envelope(report.form, digest, received_at), outcome)


def _batch(root: Element) -> Element | None:
    return root if name_of(root) == R3_BATCH else None


def _r2_pairs(element: Element) -> int:
    patient = next(r2_children(element, "patient"), None)
    return len(list(r2_children(patient, "reaction"))) * len(list(r2_children(patient, "drug")))


def _r3_pairs(element: Element) -> int:
    event = child(element, "controlActProcess/subject/investigationEvent")
    role = role_of(event)
    reactions = len(observations(role, "29")) + len(sender_diagnoses(event))
    return reactions * len(components(role, "4", "substanceAdministration"))
