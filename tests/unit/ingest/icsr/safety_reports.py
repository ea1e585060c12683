"""Builders of safety reports, in both versions of E2B. Every report here is synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

FIXTURES = Path(__file__).parents[3] / "fixtures" / "e2b"
DRESS = ("10073508", "Drug reaction with eosinophilia and systemic symptoms")
RASH = ("10037844", "")
LOINC = "2.16.840.1.113883.6.1"
MEDDRA = "2.16.840.1.113883.6.163"
ICH = "2.16.840.1.113883.3.989.2.1.1."


@dataclass(frozen=True)
class Onset:
    """A reaction: its MedDRA code and text, when it began, and how serious it is."""

    term: tuple[str, str] = DRESS
    low: str = "20260210"
    criteria: tuple[str, ...] = ("33",)
    highlighted: str = ""
    outcome: str = "3"
    more_times: str = ""


@dataclass(frozen=True)
class Given:
    """A drug: its name, role, dosages (as XML inside a dosage), rechallenge by number of reaction."""

    name: str = "Tegretol"
    role: str = "1"
    low: str = "20260105"
    high: str = "20260209"
    dose: str = '<doseQuantity value="200" unit="mg"/>'
    period: str = '<comp xsi:type="PIVL_TS"><period value="12" unit="h"/></comp>'
    route: str = "048"
    code: str = ""
    more: str = ""
    dosage_more: str = ""
    rechallenge: tuple[tuple[int, str], ...] = ()
    action: str = ""
    copies: int = 1


@dataclass(frozen=True)
class Version:
    """One version of one case."""

    case: str = "XX-SYNTH-0001"
    created: str = "20260301120000+0000"
    latest: str = "20260301"
    first: str = "20260228"
    kind: str = ""
    reactions: Sequence[Onset] = (Onset(),)
    drugs: Sequence[Given] = (Given(),)
    tests: Sequence[str] = ()
    weight: str = ""
    diagnosis: str = ""
    event_more: str = ""
    role_more: str = ""
    own_id: str = ""
    namespace: str = field(default="urn:hl7-org:v3")


def with_(version: Version, **changes: object) -> Version:
    return replace(version, **changes)  # type: ignore[arg-type]


def result(
    code: str = "711-2",
    value: str = '<center value="1690" unit="/uL"/>',
    *,
    system: str = LOINC,
    at: str = "20260211",
    kind: str = "IVL_PQ",
    name: str = "",
) -> str:
    coded = f'code="{code}" codeSystem="{system}"' if code else ""
    return (
        f'<observation classCode="OBS" moodCode="EVN"><code {coded}><originalText>{name}</originalText></code>'
        f'<effectiveTime value="{at}"/><value xsi:type="{kind}">{value}</value></observation>'
    )


def r3(*versions: Version, sent: str = "20260301130000+0000", batch: str = "BATCH-1") -> bytes:
    """Return a batch of reports."""
    namespace = versions[0].namespace if versions else "urn:hl7-org:v3"
    return "".join(
        (
            '<?xml version="1.0" encoding="utf-8"?>\n',
            f'<MCCI_IN200100UV01 xmlns="{namespace}" ITSVersion="XML_1.0" ',
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
            f'<id root="2.16.840.1.113883.3.989.2.1.3.22" extension="{batch}"/><creationTime value="{sent}"/>',
            *map(_message, versions),
            _device("receiver", "RCV", "14", "RECEIVER-B"),
            _device("sender", "SND", "13", "SENDER-B"),
            "</MCCI_IN200100UV01>",
        )
    ).encode()


def _device(name: str, kind: str, root: str, identifier: str) -> str:
    return (
        f'<{name} typeCode="{kind}"><device classCode="DEV" determinerCode="INSTANCE">'
        f'<id root="2.16.840.1.113883.3.989.2.1.3.{root}" extension="{identifier}"/></device></{name}>'
    )


def _message(version: Version) -> str:
    own = version.own_id or version.case
    worldwide = (
        f'<id root="2.16.840.1.113883.3.989.2.1.3.2" extension="{version.case}"/>' if version.case else ""
    )
    kind = ""
    if version.kind:
        kind = (
            f'<subjectOf2 typeCode="SUBJ"><investigationCharacteristic><code code="3" codeSystem="{ICH}23"/>'
            f'<value xsi:type="CE" code="{version.kind}" codeSystem="{ICH}5"/>'
            "</investigationCharacteristic></subjectOf2>"
        )
    latest = f'<availabilityTime value="{version.latest}"/>' if version.latest else ""
    own_id = f'<id root="2.16.840.1.113883.3.989.2.1.3.1" extension="{own}"/>' if own else ""
    return (
        f'<PORR_IN049016UV>{own_id}<creationTime value="{version.created}"/>'
        + _device("receiver", "RCV", "12", "RECEIVER-M")
        + _device("sender", "SND", "11", "SENDER-M")
        + f'<controlActProcess><effectiveTime value="{version.created}"/><subject typeCode="SUBJ">'
        + f"<investigationEvent>{own_id}{worldwide}"
        + "<text>Zyxwvut said on the ward that it itches</text>"
        + f'<effectiveTime><low value="{version.first}"/></effectiveTime>{latest}'
        + f"<component>{_assessment(version)}</component>{version.event_more}{kind}"
        + "</investigationEvent></subject></controlActProcess></PORR_IN049016UV>"
    )


def _assessment(version: Version) -> str:
    weight = ""
    if version.weight:
        weight = _subject(f'<value xsi:type="PQ" value="{version.weight}" unit="kg"/>', "7")
    tests = "".join(f"<component>{test}</component>" for test in version.tests)
    drugs = "".join(f"<component>{_drug(n, drug)}</component>" for n, drug in enumerate(version.drugs))
    roles = "".join(
        f'<component><causalityAssessment><code code="20" codeSystem="{ICH}19"/>'
        f'<value xsi:type="CE" code="{drug.role}" codeSystem="{ICH}13"/><subject2><productUseReference>'
        f'<id root="drug-{n}"/></productUseReference></subject2></causalityAssessment></component>'
        for n, drug in enumerate(version.drugs)
        if drug.role
    )
    diagnosis = ""
    if version.diagnosis:
        diagnosis = (
            f'<component1><observationEvent><code code="15" codeSystem="{ICH}19"/>'
            f'<value xsi:type="CE" code="{version.diagnosis}" codeSystem="{MEDDRA}"/></observationEvent></component1>'
        )
    return (
        "<adverseEventAssessment><subject1><primaryRole>"
        "<player1><name>Zyxwvut</name><birthTime value='19420229'/><asIdentifiedEntity>"
        '<id root="2.16.840.1.113883.3.989.2.1.3.9" extension="MRN8675309"/></asIdentifiedEntity></player1>'
        + weight
        + "".join(_reaction(n, reaction) for n, reaction in enumerate(version.reactions))
        + _organizer("3", tests)
        + _organizer("4", drugs)
        + version.role_more
        + f"</primaryRole></subject1>{roles}{diagnosis}</adverseEventAssessment>"
    )


def _subject(inside: str, code: str, *, before: str = "") -> str:
    return (
        f'<subjectOf2 typeCode="SBJ"><observation>{before}<code code="{code}" codeSystem="{ICH}19"/>{inside}'
        "</observation></subjectOf2>"
    )


def _organizer(code: str, inside: str) -> str:
    head = f'<subjectOf2 typeCode="SBJ"><organizer><code code="{code}" codeSystem="{ICH}20"/>'
    return f"{head}{inside}</organizer></subjectOf2>" if inside else ""


def _related(code: str, value: str) -> str:
    return (
        f'<outboundRelationship2 typeCode="PERT"><observation><code code="{code}" codeSystem="{ICH}19"/>'
        f"{value}</observation></outboundRelationship2>"
    )


def _reaction(number: int, reaction: Onset) -> str:
    code, text = reaction.term
    low = f'<low value="{reaction.low}"/>' if reaction.low else '<low nullFlavor="NASK"/>'
    highlighted = ""
    if reaction.highlighted:
        highlighted = _related(
            "37", f'<value xsi:type="CE" code="{reaction.highlighted}" codeSystem="{ICH}10"/>'
        )
    return _subject(
        f'<effectiveTime xsi:type="IVL_TS">{low}{reaction.more_times}</effectiveTime>'
        f'<value xsi:type="CE" code="{code}" codeSystem="{MEDDRA}"><originalText>{text}</originalText></value>'
        + "".join(_related(each, '<value xsi:type="BL" value="true"/>') for each in reaction.criteria)
        + highlighted
        + _related("27", f'<value xsi:type="CE" code="{reaction.outcome}" codeSystem="{ICH}11"/>'),
        "29",
        before=f'<id root="reaction-{number}"/>',
    )


def _drug(number: int, drug: Given) -> str:
    low = f'<low value="{drug.low}"/>' if drug.low else ""
    high = f'<high value="{drug.high}"/>' if drug.high else ""
    dosage = (
        '<outboundRelationship2 typeCode="COMP"><substanceAdministration>'
        f'<effectiveTime xsi:type="SXPR_TS">{drug.period}'
        f'<comp xsi:type="IVL_TS" operator="A">{low}{high}</comp></effectiveTime>'
        f'<routeCode code="{drug.route}" codeSystem="{ICH}14"/>{drug.dose}{drug.dosage_more}'
        "</substanceAdministration></outboundRelationship2>"
    )
    code = f'<code code="{drug.code}" codeSystem="2.16.840.1.113883.4.9"/>' if drug.code else ""
    rechallenges = "".join(
        _related(
            "31",
            f'<value xsi:type="CE" code="{outcome}" codeSystem="{ICH}16"/><outboundRelationship1><actReference>'
            f'<id root="reaction-{of}"/></actReference></outboundRelationship1>',
        )
        for of, outcome in drug.rechallenge
    )
    action = ""
    if drug.action:
        action = (
            f'<inboundRelationship typeCode="CAUS"><act><code code="{drug.action}" codeSystem="{ICH}15"/></act>'
            "</inboundRelationship>"
        )
    return (
        f'<substanceAdministration><id root="drug-{number}"/><consumable><instanceOfKind><kindOfProduct>'
        f"{code}<name>{drug.name}</name></kindOfProduct></instanceOfKind></consumable>"
        f"{dosage * drug.copies}{rechallenges}{drug.more}{action}</substanceAdministration>"
    )


def r2(  # one report; `patient` is the XML inside the patient
    patient: str,
    *,
    more: str = "",
    company: str = "XX-SYNTH-0001",
    received: str = "20260301",
    transmitted: str = "20260302",
    version: str = "1",
    doctype: str = '<!DOCTYPE ichicsr SYSTEM "ich-icsr-v2.1.dtd">\n',
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<ichicsr lang="en"><ichicsrmessageheader>'
        "<messagetype>ichicsr</messagetype><messagenumb>MSG-1</messagenumb>"
        "<messagesenderidentifier>SENDER</messagesenderidentifier>"
        "<messagereceiveridentifier>RECEIVER</messagereceiveridentifier>"
        "<messagedateformat>204</messagedateformat><messagedate>20260302093000</messagedate>"
        f"</ichicsrmessageheader><safetyreport><safetyreportversion>{version}</safetyreportversion>"
        f"<safetyreportid>SR-1</safetyreportid><transmissiondate>{transmitted}</transmissiondate>"
        f"<serious>1</serious><receivedate>20260228</receivedate><receiptdate>{received}</receiptdate>{more}"
        f"<companynumb>{company}</companynumb><patient><patientinitial>ZYX</patientinitial>{patient}</patient>"
        "</safetyreport></ichicsr>"
    ).encode()


R2_DRESS = (
    "<reaction><reactionmeddrapt>Drug reaction with eosinophilia and systemic symptoms</reactionmeddrapt>"
    "<reactionstartdateformat>102</reactionstartdateformat><reactionstartdate>20260210</reactionstartdate>"
    "<reactionoutcome>6</reactionoutcome></reaction>"
)
R2_CARBAMAZEPINE = (
    "<drug><drugcharacterization>1</drugcharacterization><medicinalproduct>TEGRETOL</medicinalproduct>"
    "<drugstructuredosagenumb>200</drugstructuredosagenumb><drugstructuredosageunit>003</drugstructuredosageunit>"
    "<drugseparatedosagenumb>2</drugseparatedosagenumb>"
    "<drugintervaldosageunitnumb>1</drugintervaldosageunitnumb>"
    "<drugintervaldosagedefinition>804</drugintervaldosagedefinition>"
    "<drugadministrationroute>048</drugadministrationroute>"
    "<drugstartdateformat>102</drugstartdateformat><drugstartdate>20260105</drugstartdate>"
    "<actiondrug>1</actiondrug><drugrecurreadministration>1</drugrecurreadministration></drug>"
)
