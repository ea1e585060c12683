"""How a fact is shown to a reader: what was sent, what was used, when, and from which message it came."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.codec.canonical import decimal_text
from pv_stream.domain.codes import UNIT_OF, ExposureKind, ReportedReaction
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    Content,
    Exposure,
    Fact,
    Finding,
    Held,
    Measurement,
    Provenance,
    Report,
    Retracted,
    Review,
    Statement,
)
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval, format_instant
from pv_stream.engine.believe import believe
from pv_stream.engine.join import join_fact
from pv_stream.errors import DataError
from pv_stream.rules.rulebook import Rulebook

_DIGEST_PREFIX: Final = "sha256:"
_DIGEST_SHOWN: Final = 12
_ACRONYMS: Final = frozenset({"alt", "ast", "alp", "ana"})
_UNIT_WORDS: Final = {"/uL": "/µL", "Cel": "°C"}
_GIVEN: Final = {
    ExposureKind.ORDER: "ordered",
    ExposureKind.DISPENSE: "dispensed",
    ExposureKind.STATEMENT: "stated as taken",
    ExposureKind.ADMINISTRATION: "given",
}
_REACTION: Final = {ReportedReaction.DRESS: "DRESS", ReportedReaction.OTHER: "another reaction"}
_SERIOUS: Final = {True: "serious", False: "not serious", None: "seriousness not stated"}


@dataclass(frozen=True, slots=True)
class FactView:
    """Show one statement as a reader checks it: what was sent, what was used, when, and from which message.

    `review` says what a person decided when the value was held.
    """

    fact: str
    what: str
    as_sent: str | None
    used: str
    when: str
    received_at: str
    status: str
    source: str
    flags: tuple[str, ...]
    review: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold a patient's facts as the engine believes them, and what the latest message under each key said."""

    facts: Mapping[FactKey, Fact]
    said: Mapping[FactKey, Statement]

    def views(self, key: FactKey) -> tuple[FactView, ...]:
        """Return what stands under a key, statement by statement. Raises DataError when nothing does."""
        fact = self.facts.get(key)
        if fact is None:
            msg = f"the alert names the fact {key}, which this log does not hold"
            raise DataError(msg)
        return tuple(
            self._view(key, fact, statement, provenance) for statement, provenance in fact.statements
        )

    def _view(self, key: FactKey, fact: Fact, statement: Statement, provenance: Provenance) -> FactView:
        view = view_of(key, fact, statement, provenance)
        said = self.said.get(key)
        if said is None:
            return view
        before = view_of(key, fact, said, provenance)
        match statement.content:
            case Retracted():
                how = "taken back" if provenance.review is None else "discarded"
                return replace(before, used=f"{before.used}, {how}", review=view.review)
            case Held():
                return replace(view, as_sent=before.as_sent)
            case _:
                return view


def chart_of(events: Iterable[FactArrived], rulebook: Rulebook) -> Chart:
    """Join a patient's events into a chart; what is not plausible is held, as the engine holds it."""
    facts: dict[FactKey, Fact] = {}
    said: dict[FactKey, Statement] = {}
    for event in events:
        version = event.version
        if not isinstance(version.statement.content, Retracted):
            said[version.key] = version.statement
        facts[version.key] = join_fact(facts.get(version.key), believe(version, rulebook))
    return Chart(facts, said)


def view_of(key: FactKey, fact: Fact, statement: Statement, provenance: Provenance) -> FactView:
    """Return one statement of a fact as a reader checks it."""
    what, used = _used(statement.content)
    digest = provenance.message_digest.removeprefix(_DIGEST_PREFIX)[:_DIGEST_SHOWN]
    return FactView(
        fact=key,
        what=what,
        as_sent=_as_sent(statement.content),
        used=used,
        when=_when(statement.effective),
        received_at=format_instant(Instant(provenance.received_at)),
        status="reviewed" if fact.order.reviewed_at else fact.order.status.name.lower(),
        source=f"{provenance.format} message {digest} at {provenance.path}",
        flags=(
            *(flag.value for flag in getattr(statement.content, "flags", ())),
            *(("conflicting",) if fact.is_conflicting else ()),
        ),
        review=None if provenance.review is None else _decided(statement.content, provenance.review),
    )


def _decided(content: Content, review: Review) -> str:
    """Say what a person decided about a held value, who, and why."""
    deed = "discarded" if isinstance(content, Retracted) else "confirmed"
    known = ", although it is not plausible" if review.even_if_implausible else ""
    return f"{deed} by {review.actor} ({_words(review.reason)}{known})"


def _used(content: Content) -> tuple[str, str]:
    match content:
        case Measurement(analyte=analyte, value=value, comparator=comparator):
            unit = _UNIT_WORDS.get(UNIT_OF[analyte], UNIT_OF[analyte])
            return _words(analyte), f"{comparator or ''}{decimal_text(value)} {unit}"
        case Finding(code=code, presence=presence):
            return _words(code), f"{presence}{_extent(content)}"
        case Exposure(kind=kind, ingredients=ingredients, is_stop=is_stop):
            drugs = " and ".join(ingredients) or "drug not recognised"
            return drugs, "stopped" if is_stop else _GIVEN[kind]
        case Report(reaction=reaction, serious=serious):
            return "adverse event report", f"{_REACTION[reaction]}, {_SERIOUS[serious]}"
        case Held(code=code, analyte=analyte):
            return _words(analyte or "value"), f"held: {_words(code)}"
        case _:
            return "statement", "taken back"


def _extent(finding: Finding) -> str:
    stated = [
        (finding.body_surface_percent, "% of body surface"),
        (finding.sites, "sites"),
        (finding.size_cm, "cm"),
    ]
    return "".join(f", {value} {unit}" for value, unit in stated if value is not None)


def _words(name: str) -> str:
    return str(name).upper() if name in _ACRONYMS else str(name).replace("_", " ")


def _as_sent(content: Content) -> str | None:
    sent = getattr(content, "as_sent", None)
    if sent is None:
        return None
    value = " ".join(part for part in (sent.value, sent.unit) if part is not None)
    return f"{value} (code {sent.code}, {sent.system})" if value else f"code {sent.code}, {sent.system}"


def _when(effective: Interval) -> str:
    if effective.is_exact:
        return format_instant(effective.earliest)
    return f"{format_instant(effective.earliest)} to {format_instant(effective.latest)}"
