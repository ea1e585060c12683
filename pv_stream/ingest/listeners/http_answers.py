"""What the HTTP listener answers: OperationOutcomes (FHIR R4), and the statement of what it takes.

An answer names codes, counts and paths inside the message, never anything that was sent. Codes of issues are those of
the FHIR value set issue-type; our own code stands in `details.text`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, Final

from pv_stream.ingest.outcomes import MessageOutcome, Outcome, RejectCode

FHIR_JSON: Final = "application/fhir+json"
FHIR_VERSION: Final = "4.0.1"
#: An answer lists no more issues than this, and then says how many are left out.
ISSUES_MAX: Final = 1_000
RETRY_SECONDS: Final = 5
_BUSY_SECONDS: Final = 1
_OK: Final = 200
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a status, a body, and headers beside those of the body."""

    status: int
    content: bytes
    media_type: str = FHIR_JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Meaning:
    status: int
    issue: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


_CLOSE: Final = ("connection", "close")
_BEARER: Final = 'Bearer realm="pv-stream"'


class Refusal(Enum):
    """Say why a request is refused before it counts as a message: status, issue code, sentence, headers."""

    TOKEN_MISSING = _Meaning(
        401, "login", "send Authorization: Bearer and your token", (("www-authenticate", _BEARER),)
    )
    TOKEN_UNKNOWN = _Meaning(
        401,
        "login",
        "this token is not one of ours",
        (("www-authenticate", f'{_BEARER}, error="invalid_token"'),),
    )
    NOT_FOUND = _Meaning(404, "not-found", "there is nothing here")
    METHOD_NOT_ALLOWED = _Meaning(405, "not-supported", "this method does nothing here")
    BODY_TIMEOUT = _Meaning(408, "timeout", "the body took too long", (_CLOSE,))
    LENGTH_AMBIGUOUS = _Meaning(
        400, "invalid", "a length and chunks: a request states its length once", (_CLOSE,)
    )
    BODY_INCOMPLETE = _Meaning(400, "incomplete", "the body ended before its length", (_CLOSE,))
    GZIP_MALFORMED = _Meaning(400, "structure", "the body is not one gzip stream")
    KEY_MALFORMED = _Meaning(400, "invalid", "an Idempotency-Key has 1 to 255 printable ASCII characters")
    TYPE_DIFFERS = _Meaning(400, "invalid", "the resource is of another type than the address")
    BODY_TOO_LARGE = _Meaning(413, "too-long", "larger than one message may be: send smaller ones")
    MEDIA_TYPE = _Meaning(415, "not-supported", "this content type is not read here")
    CONTENT_ENCODING = _Meaning(
        415, "not-supported", "of content encodings only gzip is read", (("accept-encoding", "gzip"),)
    )
    KEY_REUSED = _Meaning(422, "duplicate", "this Idempotency-Key came before with another body")
    FAULT = _Meaning(500, "exception", "a fault of pv-stream: please report it")
    BUSY = _Meaning(
        503, "throttled", "too many requests at once: send it again", (("retry-after", str(_BUSY_SECONDS)),)
    )
    UNAVAILABLE = _Meaning(
        503,
        "transient",
        "nothing was written, Kafka is away: send it again",
        (("retry-after", str(RETRY_SECONDS)),),
    )
    OUTCOME_UNKNOWN = _Meaning(
        503,
        "incomplete",
        "it is not known whether the events were written: send it again",
        (("retry-after", str(RETRY_SECONDS)),),
    )
    NOT_KEPT = _Meaning(
        503,
        "no-store",
        "what is refused could not be kept: send it again",
        (("retry-after", str(RETRY_SECONDS)),),
    )

    @property
    def code(self) -> str:
        """Return our own code."""
        return self.name.lower()


#: The issue-type of each reason to refuse a message or a part of it, where it is not "processing".
_ISSUE_OF: Final[Mapping[RejectCode, str]] = {
    RejectCode.EMPTY: "required",
    RejectCode.TOO_LARGE: "too-long",
    RejectCode.UNREADABLE_CHARACTERS: "structure",
    RejectCode.MALFORMED_JSON: "structure",
    RejectCode.MALFORMED_HL7: "structure",
    RejectCode.MALFORMED_XML: "structure",
    RejectCode.BATCH_NOT_TAKEN: "not-supported",
    RejectCode.DOCTYPE_REFUSED: "security",
    RejectCode.TOO_COMPLEX: "too-costly",
    RejectCode.TOO_MANY_REPEATS: "too-costly",
    RejectCode.INCOMPLETE_REPORT: "required",
    RejectCode.INVALID_RESOURCE: "structure",
    RejectCode.UNSUPPORTED_TYPE: "not-supported",
    RejectCode.UNSUPPORTED_VERSION: "not-supported",
    RejectCode.MISSING_PATIENT: "required",
    RejectCode.MISSING_PRIOR: "required",
    RejectCode.CONFLICTING_IDENTIFIERS: "conflict",
    RejectCode.NO_RECEIVED_AT: "required",
    RejectCode.RECEIVED_IN_FUTURE: "value",
    RejectCode.INTERNAL_ERROR: "exception",
}
#: The status of a message that is refused whole, where it is not 422.
_STATUS_OF: Final[Mapping[RejectCode, int]] = {
    RejectCode.EMPTY: 400,
    RejectCode.UNREADABLE_CHARACTERS: 400,
    RejectCode.MALFORMED_JSON: 400,
    RejectCode.MALFORMED_HL7: 400,
    RejectCode.MALFORMED_XML: 400,
    RejectCode.TOO_LARGE: 413,
    RejectCode.INTERNAL_ERROR: 500,
}


def refusal(reason: Refusal, *headers: tuple[str, str]) -> Answer:
    """Return the answer to a request that is no message."""
    meaning = reason.value
    issue = _issue("error", meaning.issue, reason.code, meaning.text)
    return Answer(meaning.status, _outcome([issue]), headers=(*meaning.headers, *headers))


def verdict(outcome: Outcome) -> Answer:
    """Return the answer to a message: 200 when anything of it was written or nothing was refused."""
    return Answer(status_of(outcome), _outcome(_issues(outcome)))


def status_of(outcome: Outcome) -> int:
    """Return the status of a message; the first refusal decides about one that is refused whole."""
    if outcome.message is not MessageOutcome.REJECTED:
        return _OK
    return _STATUS_OF.get(outcome.rejects[0].code, _UNPROCESSABLE)


def _issues(outcome: Outcome) -> Iterator[dict[str, Any]]:
    is_refused = outcome.message is MessageOutcome.REJECTED
    if not is_refused:
        counts = f"events {len(outcome.events)}, held {len(outcome.holds)}, refused {len(outcome.rejects)}"
        yield _issue("information", "informational", "taken_in", f"durably written: {counts}")
    severity = "error" if is_refused else "warning"
    for reject in outcome.rejects:
        code = _ISSUE_OF.get(reject.code, "processing")
        yield _issue(severity, code, reject.code.value, "refused, not written; kept aside", reject.path)
    for hold in outcome.holds:
        why = "read, but not believed: written as held for review"
        yield _issue("warning", "business-rule", hold.code.value, why, hold.path)


def _issue(severity: str, code: str, ours: str, diagnostics: str, path: str = "") -> dict[str, Any]:
    issue = {"severity": severity, "code": code, "details": {"text": ours}, "diagnostics": diagnostics}
    return issue | ({"expression": [path]} if path else {})


def _outcome(issues: Iterable[dict[str, Any]]) -> bytes:
    remaining = iter(issues)
    told = list(islice(remaining, ISSUES_MAX))
    left_out = sum(1 for _ in remaining)
    if left_out:
        told.append(_issue("warning", "incomplete", "issues_left_out", f"{left_out} more issues"))
    return encoded({"resourceType": "OperationOutcome", "issue": told})


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return JSON, as ASCII."""
    return json.dumps(value, separators=(",", ":")).encode()


def capability_statement(resource_types: Iterable[str], *, since: str) -> bytes:
    """Return the FHIR CapabilityStatement: resources are taken in, and nothing can be read, searched or changed."""
    documentation = (
        "Takes resources in as messages: POST a Bundle, or one resource, to this address. Answers with an "
        "OperationOutcome after what was read is durably written. No resource is stored under an id, so none can be "
        "read, searched, updated or deleted; a transaction Bundle is taken in entry by entry."
    )
    resources = [{"type": name} for name in sorted(resource_types)]
    return encoded(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": since,
            "kind": "instance",
            "software": {"name": "pv-stream"},
            "implementation": {"description": "pv-stream ingest-http"},
            "fhirVersion": FHIR_VERSION,
            "format": [FHIR_JSON, "application/json"],
            "rest": [{"mode": "server", "documentation": documentation, "resource": resources}],
        }
    )
