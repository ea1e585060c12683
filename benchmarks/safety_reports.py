"""E2B(R3) reports that the reader is measured on, made up as `messages` are: one to a document, or in batches."""

from collections.abc import Sequence
from typing import Final

from benchmarks.messages import CHEMISTRY, COUNTS, DRUGS, OID, Case, case, hl7_time

_ICH: Final = f"{OID}.3.989.2.1.1."
_IDS: Final = f"{OID}.3.989.2.1.3."


def e2b_report(number: int, *, seed: int) -> bytes:
    """Return a document of one report."""
    return e2b_batch(range(number, number + 1), seed=seed)


def e2b_batch(numbers: Sequence[int], *, seed: int) -> bytes:
    """Return a batch of reports, sent when the last of them was written."""
    drawn = case(numbers[-1], seed=seed, kind="batch")
    return "".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<MCCI_IN200100UV01 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0" ',
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
            f'<id root="{_IDS}22" extension="BATCH-{numbers[0]}"/>',
            f'<creationTime value="{hl7_time(drawn.at())}"/>',
            *(_report(case(number, seed=seed, kind="report")) for number in numbers),
            _device("receiver", "RCV", "14"),
            _device("sender", "SND", "13"),
            "</MCCI_IN200100UV01>\n",
        )
    ).encode()


def _device(name: str, kind: str, root: str) -> str:
    return (
        f'<{name} typeCode="{kind}"><device classCode="DEV" determinerCode="INSTANCE">'
        f'<id root="{_IDS}{root}" extension="NORTH"/></device></{name}>'
    )


def _report(drawn: Case) -> str:
    made, day = hl7_time(drawn.at()), drawn.sent.strftime("%Y%m%d")
    own = f"XX-NORTH-{drawn.number:07d}"
    identity = "".join(f'<id root="{_IDS}{root}" extension="{own}"/>' for root in "12")
    drugs = [drawn.one_of(DRUGS) for _ in range(drawn.between(1, 5))]
    roles = "".join(
        f'<component><causalityAssessment><code code="20" codeSystem="{_ICH}19"/><value xsi:type="CE" '
        f'code="{1 if place == 0 else 2}" codeSystem="{_ICH}13"/><subject2><productUseReference>'
        f'<id root="drug-{place}"/></productUseReference></subject2></causalityAssessment></component>'
        for place in range(len(drugs))
    )
    return (
        f'<PORR_IN049016UV><id root="{_IDS}1" extension="{own}"/><creationTime value="{made}"/>'
        f"{_device('receiver', 'RCV', '12')}{_device('sender', 'SND', '11')}"
        f'<controlActProcess><effectiveTime value="{made}"/><subject typeCode="SUBJ"><investigationEvent>'
        f"{identity}<text>{'Seen on the ward, with a rash that began on the trunk. ' * 8}</text>"
        f'<effectiveTime><low value="{day}"/></effectiveTime><availabilityTime value="{day}"/>'
        "<component><adverseEventAssessment><subject1><primaryRole><player1><name>P. P.</name>"
        f'<birthTime value="19310203"/><asIdentifiedEntity><id root="{_IDS}9" extension="{drawn.patient:07d}"/>'
        f"</asIdentifiedEntity></player1>"
        + _observed(f'<value xsi:type="PQ" value="{drawn.between(48, 99)}" unit="kg"/>', "7")
        + "".join(_reaction(place, drawn) for place in range(drawn.between(1, 4)))
        + _organizer("3", "".join(_test(drawn) for _ in range(drawn.between(2, 10))))
        + _organizer("4", "".join(_drug(place, drug, drawn) for place, drug in enumerate(drugs)))
        + f"</primaryRole></subject1>{roles}</adverseEventAssessment></component></investigationEvent></subject>"
        "</controlActProcess></PORR_IN049016UV>"
    )


def _observed(content: str, code: str, identity: str = "") -> str:
    return (
        f'<subjectOf2 typeCode="SBJ"><observation>{identity}<code code="{code}" codeSystem="{_ICH}19"/>{content}'
        "</observation></subjectOf2>"
    )


def _organizer(code: str, components: str) -> str:
    return (
        f'<subjectOf2 typeCode="SBJ"><organizer><code code="{code}" codeSystem="{_ICH}20"/>{components}'
        "</organizer></subjectOf2>"
    )


def _day(drawn: Case, days_ago: int) -> str:
    return drawn.at(minutes_ago=days_ago * 1440).strftime("%Y%m%d")


def _reaction(place: int, drawn: Case) -> str:
    code, name = drawn.one_of(
        (
            ("10037844", "Rash"),
            ("10037660", "Pyrexia"),
            ("10073508", "Drug reaction with eosinophilia and systemic symptoms"),
            ("10028813", "Nausea"),
        )
    )
    serious = "".join(
        f'<outboundRelationship2 typeCode="PERT"><observation><code code="{each}" codeSystem="{_ICH}19"/>'
        f'<value xsi:type="BL" value="{"true" if each == "33" else "false"}"/></observation></outboundRelationship2>'
        for each in ("34", "21", "33", "35", "12", "26")
    )
    outcome = (
        f'<outboundRelationship2 typeCode="PERT"><observation><code code="27" codeSystem="{_ICH}19"/>'
        f'<value xsi:type="CE" code="{drawn.between(1, 3)}" codeSystem="{_ICH}11"/></observation>'
        "</outboundRelationship2>"
    )
    return _observed(
        f'<effectiveTime xsi:type="IVL_TS"><low value="{_day(drawn, 9)}"/></effectiveTime><value xsi:type="CE" '
        f'code="{code}" codeSystem="{OID}.6.163"><originalText>{name}</originalText></value>{serious}{outcome}',
        "29",
        f'<id root="reaction-{place}"/>',
    )


def _test(drawn: Case) -> str:
    test = drawn.one_of(COUNTS + CHEMISTRY)
    return (
        f'<component><observation classCode="OBS" moodCode="EVN"><code code="{test[0]}" codeSystem="{OID}.6.1"/>'
        f'<effectiveTime value="{_day(drawn, drawn.between(1, 12))}"/><value xsi:type="IVL_PQ">'
        f'<center value="{drawn.value(test)}" unit="{test[2]}"/></value></observation></component>'
    )


def _drug(place: int, drug: tuple[str, str, int], drawn: Case) -> str:
    _, name, mg = drug
    rechallenge = (
        f'<outboundRelationship2 typeCode="PERT"><observation><code code="31" codeSystem="{_ICH}19"/>'
        f'<value xsi:type="CE" code="{drawn.between(1, 4)}" codeSystem="{_ICH}16"/><outboundRelationship1>'
        '<actReference><id root="reaction-0"/></actReference></outboundRelationship1></observation>'
        "</outboundRelationship2>"
    )
    return (
        f'<component><substanceAdministration><id root="drug-{place}"/><consumable><instanceOfKind><kindOfProduct>'
        f"<name>{name}</name></kindOfProduct></instanceOfKind></consumable>"
        '<outboundRelationship2 typeCode="COMP"><substanceAdministration><effectiveTime xsi:type="SXPR_TS">'
        '<comp xsi:type="PIVL_TS"><period value="12" unit="h"/></comp><comp xsi:type="IVL_TS" operator="A">'
        f'<low value="{_day(drawn, 40)}"/><high value="{_day(drawn, 8)}"/></comp></effectiveTime>'
        f'<routeCode code="048" codeSystem="{_ICH}14"/><doseQuantity value="{mg}" unit="mg"/>'
        f"</substanceAdministration></outboundRelationship2>{rechallenge if place == 0 else ''}"
        f'<inboundRelationship typeCode="CAUS"><act><code code="1" codeSystem="{_ICH}15"/></act>'
        "</inboundRelationship></substanceAdministration></component>"
    )
