"""Patient states as bytes: all of a state in one value. What is large stands in several records: `codec.segments`.

Facts are written as short arrays, since they are most of a state; what was told is written by field name. The same
state always gives the same bytes, and reading them gives the same state. The schema number is read back, so a
later version can still read this one.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter

from pv_stream.codec.canonical import decimal_text
from pv_stream.domain.codes import (
    Analyte,
    Comparator,
    DrugRole,
    EvidenceFlag,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    ReviewReason,
    Route,
    Status,
)
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Dose,
    Exposure,
    Fact,
    Finding,
    Held,
    Measurement,
    Provenance,
    Report,
    ReportedDrug,
    Retracted,
    Review,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.lineage import Lineage, Parts
from pv_stream.domain.published import PatientState, Published, Relevance
from pv_stream.domain.times import Instant, Interval

STATE_SCHEMA: Final = 1
#: Facts come last and are arrays, so the last place where this stands is where they begin.
_FACTS_BEGIN: Final = b',"facts":['
_NO_FACTS: Final = b"]}"
_PUBLISHED: Final[TypeAdapter[Published]] = TypeAdapter(Published)
_EMPTY: Final = Published()


@dataclass(frozen=True, slots=True)
class StateOutline:
    """Hold what a state's record says before its facts, and whether it has any; `into` is whom it was merged into."""

    published: Published
    due: Instant | None
    relevance: Relevance
    rulebook: str | None
    into: PatientId | None
    has_facts: bool


class WrittenFacts:
    """Remember how the facts of one patient are written, since most of them stay as they are from event to event.

    A fact never changes and is recognised by being the same object, so what is remembered is never of another
    version. Whoever asks for facts and does not keep them should forget it all.
    """

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[FactKey, tuple[Fact, bytes]] = {}

    def row(self, key: FactKey, fact: Fact) -> bytes:
        """Return the row of a fact in a state's record."""
        known = self._rows.get(key)
        if known is None or known[0] is not fact:
            known = self._rows[key] = (fact, json_bytes([key, *_fact_row(fact)]))
        return known[1]

    def forget(self, key: FactKey) -> None:
        """Forget a fact that is not kept any more."""
        self._rows.pop(key, None)


def encode_state(state: PatientState, written: WrittenFacts | None = None) -> bytes:
    """Write a patient's state; `written` is what is remembered of its facts."""
    facts = WrittenFacts() if written is None else written
    record = envelope(state, STATE_SCHEMA) | {"lineage": _lineage_value(state.lineage)}
    rows = b",".join(facts.row(key, state.facts[key]) for key in sorted(state.facts))
    return b'%b,"facts":[%b]}' % (json_bytes(record).removesuffix(b"}"), rows)


def envelope(state: PatientState, schema: int) -> dict[str, Any]:
    """Return what a state's record says before its facts, in JSON's own types; of merges nothing about single facts."""
    return {
        "schema": schema,
        "clock": state.clock,
        "due": state.due,
        "relevance": int(state.relevance),
        "rulebook": state.rulebook,
        "published": published_value(state.published),
        "lineage": _lineage_value(state.lineage, with_parts=False),
    }


def published_value(published: Published) -> dict[str, Any] | None:
    """Return what was told in JSON's own types, or None when that is nothing."""
    if published == _EMPTY:
        return None
    value: dict[str, Any] = _PUBLISHED.dump_python(published, mode="json")
    return value


def read_published(value: dict[str, Any] | None) -> Published:
    """Return what was told from JSON's own types. Raises ValueError when it cannot be read."""
    return _EMPTY if value is None else _PUBLISHED.validate_python(value)


def fact_bytes(key: FactKey, fact: Fact, written: WrittenFacts) -> int:
    """Return how many bytes of a state's record one fact takes."""
    return len(written.row(key, fact)) + 1


def part_bytes(key: FactKey, parts: Parts | None) -> int:
    """Return how many bytes of a state's record say who contributed to a key."""
    return 0 if parts is None else len(json_bytes(part_row(key, parts))) + 1


def published_bytes(published: Published) -> int:
    """Return how many bytes of a state's record go to what was told."""
    return 0 if published == _EMPTY else len(_PUBLISHED.dump_json(published))


def state_bytes(state: PatientState, written: WrittenFacts | None = None) -> int:
    """Return how many bytes facts and what was told take in a state's record."""
    known = WrittenFacts() if written is None else written
    facts = sum(fact_bytes(key, fact, known) for key, fact in state.facts.items())
    lineage = 0 if state.lineage.is_empty else len(json_bytes(_lineage_value(state.lineage)))
    return facts + published_bytes(state.published) + lineage


def head_bytes(state: PatientState) -> int:
    """Return how many bytes are not about single facts: what was told, and which records were merged."""
    if state.lineage.is_empty:
        return published_bytes(state.published)
    return published_bytes(state.published) + len(json_bytes(_lineage_value(state.lineage, with_parts=False)))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def json_bytes(value: object) -> bytes:
    """Return the JSON of a value, its fields in the order in which they were put in."""
    return _ENCODER.encode(value).encode()


def decode_state(value: bytes) -> PatientState:
    """Read a patient's state.

    Raises ValueError for a schema that this version does not know.
    """
    record = json.loads(value)
    _require_schema(record)
    return read_record(record)


def outline_of(state: PatientState) -> StateOutline:
    """Return what `read_outline` reads of a state's record."""
    return StateOutline(
        state.published, state.due, state.relevance, state.rulebook, state.lineage.into, bool(state.facts)
    )


def read_outline(value: bytes) -> StateOutline:
    """Read of a patient's state what stands before its facts, in a twentieth of the time that all of it takes.

    Raises ValueError for a schema that this version does not know.
    """
    before, facts_begin, facts = value.rpartition(_FACTS_BEGIN)
    record = json.loads(before + b"}" if facts_begin else value)
    _require_schema(record)
    if not facts_begin or not facts.endswith(_NO_FACTS):
        msg = "the facts of a state are cut off"
        raise ValueError(msg)
    lineage = record.get("lineage")
    return StateOutline(
        published=read_published(record["published"]),
        due=record["due"],
        relevance=Relevance(record["relevance"]),
        rulebook=record.get("rulebook"),
        into=None if lineage is None else lineage["into"],
        has_facts=facts != _NO_FACTS,
    )


def _require_schema(record: dict[str, Any]) -> None:
    if record["schema"] != STATE_SCHEMA:
        msg = f"state schema {record['schema']} is not known to this version, which reads {STATE_SCHEMA}"
        raise ValueError(msg)


def read_record(record: dict[str, Any]) -> PatientState:
    """Return the state that a record says in JSON's own types. Raises ValueError when it cannot be read."""
    facts = {FactKey(row[0]): _fact(row) for row in record["facts"]}
    return PatientState(
        facts=facts,
        published=read_published(record["published"]),
        clock=record["clock"],
        due=record["due"],
        relevance=Relevance(record["relevance"]),
        rulebook=record.get("rulebook"),
        lineage=_lineage(record.get("lineage"), facts),
    )


def _lineage_value(lineage: Lineage, *, with_parts: bool = True) -> dict[str, object] | None:
    """Return what merges made of a patient, perhaps without what they say of single facts."""
    if lineage.is_empty:
        return None
    parts = sorted(lineage.parts.items(), key=lambda item: item[0]) if with_parts else ()
    coming = {"coming": lineage.coming} if lineage.coming else {}
    return {
        "into": lineage.into,
        "absorbed": lineage.absorbed,
        "leaving": lineage.leaving,
        **coming,
        "parts": [part_row(key, of_key) for key, of_key in parts],
    }


def part_row(key: FactKey, parts: Parts) -> list[object]:
    """Return who contributed to a key; one that one other id alone contributed to names only that id."""
    if len(parts) == 1:
        return [key, parts[0][0]]
    return [key, [[origin, *_fact_row(fact)] for origin, fact in parts]]


def _lineage(value: dict[str, Any] | None, facts: dict[FactKey, Fact]) -> Lineage:
    if value is None:
        return Lineage()
    return Lineage(
        into=value["into"],
        absorbed=tuple((prior, into) for prior, into in value["absorbed"]),
        leaving=tuple(value["leaving"]),
        coming=tuple((giver, chunk) for giver, chunk in value.get("coming", ())),
        parts={
            FactKey(key): ((PatientId(parts), facts[FactKey(key)]),)
            if isinstance(parts, str)
            else tuple((PatientId(part[0]), _fact(part)) for part in parts)
            for key, parts in value["parts"]
        },
    )


def _fact_row(fact: Fact) -> list[object]:
    order = fact.order
    return [
        [order.source_version, int(order.status), order.reviewed_at, order.issued_at],
        [
            [
                _content_row(statement.content),
                *_interval_row(statement.effective),
                statement.utc_offset_minutes,
                _provenance_row(provenance),
            ]
            for statement, provenance in fact.statements
        ],
    ]


def _fact(row: list[Any]) -> Fact:
    _, (source_version, status, reviewed_at, issued_at), statements = row
    return Fact(
        VersionOrder(source_version, Status(status), reviewed_at, issued_at),
        tuple(
            (
                Statement(
                    _content(content),
                    Interval(Instant(earliest), Instant(latest)),
                    offset,
                ),
                _provenance(provenance),
            )
            for content, earliest, latest, offset, provenance in statements
        ),
    )


def _provenance_row(provenance: Provenance) -> list[object]:
    """Return where a content comes from; only one that a person decided says more."""
    row: list[object] = [
        provenance.received_at,
        provenance.message_digest,
        provenance.path,
        provenance.format,
    ]
    if provenance.review is not None:
        review = provenance.review
        row.append([review.actor, review.reason, review.even_if_implausible])
    return row


def _provenance(row: list[Any]) -> Provenance:
    received_at, message_digest, path, source_format, *reviews = row
    review = None
    for actor, reason, even_if_implausible in reviews:
        review = Review(actor, ReviewReason(reason), even_if_implausible)
    return Provenance(Instant(received_at), message_digest, path, source_format, review)


def _content_row(content: Content) -> list[object]:
    match content:
        case Measurement():
            return [
                "m",
                content.analyte,
                decimal_text(content.value),
                content.comparator,
                content.specimen,
                _as_sent_row(content.as_sent),
                content.flags,
            ]
        case Finding():
            return [
                "f",
                content.code,
                content.presence,
                _text(content.body_surface_percent),
                content.sites,
                _text(content.size_cm),
            ]
        case Exposure():
            return [
                "x",
                content.kind,
                content.ingredients,
                content.route,
                None if content.end is None else _interval_row(content.end),
                content.is_stop,
                _as_sent_row(content.as_sent),
                content.flags,
                _dose_row(content.dose),
            ]
        case Report():
            drugs = [[drug.ingredient, drug.role, drug.rechallenge] for drug in content.drugs]
            return ["a", content.reaction, content.serious, content.outcome, drugs]
        case Held():
            said = None if content.said is None else _content_row(content.said)
            return ["h", content.code, content.value_digest, content.analyte, content.specimen, said]
        case Retracted():
            return ["r"]


def _content(row: list[Any]) -> Content:
    match row:
        case ["m", analyte, value, comparator, specimen, as_sent, flags]:
            return Measurement(
                Analyte(analyte),
                Decimal(value),
                None if comparator is None else Comparator(comparator),
                specimen,
                _as_sent(as_sent),
                tuple(map(EvidenceFlag, flags)),
            )
        case ["f", code, presence, percent, sites, size]:
            return Finding(
                FindingCode(code),
                Presence(presence),
                _decimal(percent),
                sites,
                _decimal(size),
            )
        case ["x", kind, ingredients, route, end, is_stop, as_sent, flags, dose]:
            return Exposure(
                ExposureKind(kind),
                tuple(ingredients),
                Route(route),
                None if end is None else Interval(Instant(end[0]), Instant(end[1])),
                is_stop,
                _as_sent(as_sent),
                tuple(map(EvidenceFlag, flags)),
                None if dose is None else Dose(*map(_decimal, dose)),
            )
        case ["a", reaction, serious, outcome, drugs]:
            return Report(
                ReportedReaction(reaction),
                serious,
                ReportOutcome(outcome),
                tuple(ReportedDrug(name, DrugRole(role), RechallengeOutcome(r)) for name, role, r in drugs),
            )
        case ["h", code, digest, analyte, *more]:
            specimen, said = more or (None, None)
            return Held(
                HoldCode(code),
                digest,
                None if analyte is None else Analyte(analyte),
                specimen,
                None if said is None else _said(said),
            )
        case ["r"]:
            return Retracted()
        case _:
            msg = "a state holds a fact of a kind that this version does not know"
            raise ValueError(msg)


def _said(row: list[Any]) -> Measurement | Finding | Exposure | Report:
    content = _content(row)
    if isinstance(content, Held | Retracted):
        msg = "a held value cannot have said that"
        raise ValueError(msg)  # noqa: TRY004 - what is wrong is the state, not a type
    return content


def _interval_row(interval: Interval) -> list[int]:
    return [interval.earliest, interval.latest]


def _dose_row(dose: Dose | None) -> list[str | None] | None:
    return (
        None if dose is None else [_text(dose.amount_mg), _text(dose.amount_mg_per_kg), _text(dose.per_day)]
    )


def _as_sent_row(as_sent: AsSent | None) -> list[str | None] | None:
    return None if as_sent is None else [as_sent.system, as_sent.code, as_sent.value, as_sent.unit]


def _as_sent(row: list[Any] | None) -> AsSent | None:
    return None if row is None else AsSent(*row)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
