"""Believe: whether a version of a fact may be used, or must wait for a person.

Ingest holds what is not plausible before the log; a log may have been written by others, so the same rule is asked
again when it is read. A decision that a person has made is believed.
"""

import hashlib
from dataclasses import replace

from pv_stream.domain.codes import Status
from pv_stream.domain.facts import FactVersion, Held, Measurement, Retracted, Statement
from pv_stream.rules.plausibility import why_held
from pv_stream.rules.rulebook import Rulebook


def believe(version: FactVersion, rulebook: Rulebook) -> FactVersion:
    """Return the version, with its content held when it may not be used."""
    statement = version.statement
    code = why_held(statement.content, statement.effective, version.provenance.received_at, rulebook)
    if code is None or version.order.status is Status.REVIEWED:
        return version
    if isinstance(statement.content, Held | Retracted):
        return version
    analyte = statement.content.analyte if isinstance(statement.content, Measurement) else None
    held = Held(code, _digest_of(statement), analyte)
    return replace(version, statement=replace(statement, content=held))


def _digest_of(statement: Statement) -> str:
    """Return a digest of what was said, the same whichever message said it."""
    content = statement.content
    value = format(content.value, "f") if isinstance(content, Measurement) else type(content).__name__
    said = f"{value} {statement.effective.earliest} {statement.effective.latest}"
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"
