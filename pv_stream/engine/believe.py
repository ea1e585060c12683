"""Believe: whether a version of a fact may be used, or must wait for a person.

Ingest holds what is not plausible before the log; a log may have been written by others, so the same rule is asked
again when it is read. What a person decided is asked too: a value that is not plausible is believed only when it was
confirmed with that known, and a time in the future never.
"""

import hashlib
from dataclasses import replace
from typing import Final

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.facts import FactVersion, Held, Measurement, Retracted, Statement
from pv_stream.rules.plausibility import why_held
from pv_stream.rules.rulebook import Rulebook

_SAYS_NOTHING: Final = (Held, Retracted)


def believe(version: FactVersion, rulebook: Rulebook) -> FactVersion:
    """Return the version, with its content held when it may not be used."""
    code = why_not_believed(version, rulebook)
    if code is None:
        return version
    return hold(version, code, _digest_of(version.statement))


def why_not_believed(version: FactVersion, rulebook: Rulebook) -> HoldCode | None:
    """Return why a version must wait for a person, or None when it may be used or holds nothing."""
    statement, provenance = version.statement, version.provenance
    if isinstance(statement.content, _SAYS_NOTHING):
        return None
    code = why_held(statement.content, statement.effective, provenance.received_at, rulebook)
    review = provenance.review
    if review is not None and review.even_if_implausible and code is not HoldCode.TIME_IN_FUTURE:
        return None
    return code


def hold(version: FactVersion, code: HoldCode, value_digest: str) -> FactVersion:
    """Return a version whose content is held; what the time alone puts in doubt stays with it, for a person."""
    content = version.statement.content
    if isinstance(content, _SAYS_NOTHING):
        return version
    said = content if code is HoldCode.TIME_IN_FUTURE else None
    held = Held(code, value_digest, said=said)
    if isinstance(content, Measurement):
        held = Held(code, value_digest, content.analyte, content.specimen, said)
    return replace(version, statement=replace(version.statement, content=held))


def _digest_of(statement: Statement) -> str:
    """Return a digest of what was said, the same whichever message said it."""
    content = statement.content
    value = format(content.value, "f") if isinstance(content, Measurement) else type(content).__name__
    said = f"{value} {statement.effective.earliest} {statement.effective.latest}"
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"
