"""lxml reads the same safety reports by the paths of ICH: each element becomes its fact, or is named here with why not.

Nothing of our reader is used but its answer. A reaction or dosage that says what another one says needs no place of its
own: such twins are found here by their text.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree

from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Retracted
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.messages import FIXTURES

HERE: Final = sorted((FIXTURES / "e2b").iterdir())
SAMPLES: Final = ("e2b_r2", "e2b_r3")
_V3: Final = {"h": "urn:hl7-org:v3"}
_DRESS: Final = ("10073508", "Drug reaction with eosinophilia and systemic symptoms")
#: Tests of the samples on our list, by LOINC (ICH F.r.2.2b allows it) or by their whole name.
_TESTS: Final = ("711-2", "eosinophils")
#: What a dosage of E2B(R2) says that we keep; the form and the reason of giving are not.
_DOSAGE: Final = (
    "medicinalproduct",
    "drugstartdate",
    "drugenddate",
    "drugstructuredosagenumb",
    "drugstructuredosageunit",
    "drugseparatedosagenumb",
    "drugadministrationroute",
)
#: Reports of which nothing stands, by file and number, and why.
_NOTHING: Final = {
    ("batch", 2): "nullified (C.1.11.1): all that was said is taken back",
    ("batch", 3): "incomplete, and refused",
}
#: What becomes no fact although its element is there, by file and place, and why.
_NO_FACT: Final = {
    ("FAERS2022Scenario6_attachments_removed", "G.k[1].4.r[1]"): "given to a parent (G.k.4.r.10.1)",
    ("batch", "F.r[3]"): "a result in words",
}


@dataclass(frozen=True)
class Demand:
    """Hold the places that must become facts, with the text that makes two of them twins."""

    reactions: dict[str, str]
    dosages: dict[str, str]
    tests: dict[str, str]


def _text(element: Any, *paths: str) -> str:
    return "|".join(str(each) for path in paths for each in element.xpath(path, namespaces=_V3))


def _r2(report: Any) -> Demand:
    """ICH ICSR 2.1: B.2 reactions, B.4 drugs with a start (B.4.k.12), B.3 tests."""
    reactions, drugs, tests = (report.xpath(f"patient/{name}") for name in ("reaction", "drug", "test"))
    own = (
        "reactionstartdate/text()",
        "reactionenddate/text()",
        "reactionoutcome/text()",
        "termhighlighted/text()",
    )
    came_back = ("drugrecurrence/drugrecuraction/text()",)
    return Demand(
        {
            f"B.2[{number}]": _text(each, *own)
            + str(any(name in _text(each, "*/text()") for name in _DRESS))
            + str(_text(each, "reactionmeddrapt/text()") in [_text(drug, *came_back) for drug in drugs])
            for number, each in enumerate(reactions, start=1)
        },
        {
            f"B.4[{number}]": _text(each, *(f"{name}/text()" for name in _DOSAGE), "activesubstance/*/text()")
            for number, each in enumerate(drugs, start=1)
            if _text(each, "drugstartdate/text()") and _text(each, "drugcharacterization/text()") != "4"
        },
        {
            f"B.3[{number}]": ""
            for number, each in enumerate(tests, start=1)
            if _text(each, "testname/text()") in _TESTS and _text(each, "testresult/text()")
        },
    )


def _r3(report: Any) -> Demand:
    """ICH E2B(R3): E.i by the code 29, G.k in the organizer 4, G.k.4.r with a start, F.r in the organizer 3."""
    part = ".//h:primaryRole/h:subjectOf2/"
    reactions = report.xpath(f"{part}h:observation[h:code/@code='29']", namespaces=_V3)
    drugs = report.xpath(
        f"{part}h:organizer[h:code/@code='4']/h:component/h:substanceAdministration", namespaces=_V3
    )
    tests = report.xpath(f"{part}h:organizer[h:code/@code='3']/h:component/h:observation", namespaces=_V3)
    inside = "h:outboundRelationship2[@typeCode='COMP']/h:substanceAdministration"
    start = ".//h:effectiveTime//h:low/@value"
    return Demand(
        {f"E.i[{number}]": f"{number}" for number, _ in enumerate(reactions, start=1)},
        {
            f"G.k[{number}].4.r[{line}]": f"{number}.{line}"
            for number, drug in enumerate(drugs, start=1)
            for line, each in enumerate(drug.xpath(inside, namespaces=_V3), start=1)
            if _text(each, start)
        },
        {
            f"F.r[{number}]": ""
            for number, each in enumerate(tests, start=1)
            if _text(each, "h:code/@code") in _TESTS
        },
    )


def _reports(content: bytes) -> list[Demand]:
    """Return what each report of a file demands; names of SGML have no case."""
    content = re.sub(rb"<!DOCTYPE[^>]*>", b"", content)
    if b"<ICHICSR" in content:
        content = re.sub(rb"</?[A-Z]+", lambda name: name[0].lower(), content)
    root: Any = etree.fromstring(content, etree.XMLParser(resolve_entities=False, huge_tree=False))
    third = root.xpath("//h:PORR_IN049016UV", namespaces=_V3)
    return [_r3(each) for each in third] or [_r2(each) for each in root.xpath("//safetyreport")]


def _told(path: Path, intake: Intake, folder: Path) -> list[Counter[str]]:
    """Return the places that were told, report by report."""
    found: list[Counter[str]] = []
    feed = Feed(intake, RejectStore(folder / "rejects"), 1 << 20)
    feed.on_message = lambda _form, _position, outcome: found.append(
        Counter(
            event.version.provenance.path
            for event in outcome.events
            if isinstance(event, FactArrived) and not isinstance(event.version.statement.content, Retracted)
        )
    )
    list(feed.read([path]))
    return found


def _differences(demand: Demand, told: Counter[str], name: str) -> tuple[set[str], set[str]]:
    """Return the places that must be told and are not, and those that are told and must not be."""
    missing: set[str] = set()
    demanded: set[str] = {"D.3"} if "D.3" in told else set()
    for places in (demand.reactions, demand.dosages, demand.tests):
        due = {place: said for place, said in places.items() if (name, place) not in _NO_FACT}
        demanded |= set(due)
        said = {due[place] for place in due if place in told}
        missing |= {place for place in due if place not in told and due[place] not in said}
    return missing, {place for place, count in told.items() if place not in demanded or count > 1}


def _agree(path: Path, intake: Intake, folder: Path) -> int:
    stamped = replace(intake, utc_offset_minutes=0)
    demands, told = _reports(path.read_bytes()), _told(path, stamped, folder)
    for number, (demand, places) in enumerate(zip(demands, told, strict=True), start=1):
        if (path.stem, number) in _NOTHING:
            assert not places
            continue
        assert _differences(demand, places, path.stem) == (set(), set())
        for place in places - Counter({"D.3": 1}):
            # The oracle itself: a fact that is dropped is missed, one that is made up is noticed.
            twins = [each for kind in (demand.reactions, demand.dosages) for each in kind if each != place]
            alone = not any(_said(demand, each) == _said(demand, place) for each in twins)
            dropped, doubled = places - Counter([place]), places + Counter([place])
            assert not alone or _differences(demand, dropped, path.stem) == ({place}, set())
            assert _differences(demand, doubled, path.stem) == (set(), {place})
    return sum(told, Counter[str]()).total()


def _said(demand: Demand, place: str) -> str | None:
    return {**demand.reactions, **demand.dosages, **demand.tests}.get(place)


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.name)
def test_every_element_of_the_fixtures_becomes_its_fact(intake: Intake, tmp_path: Path, path: Path) -> None:
    assert _agree(path, intake, tmp_path) >= 4


def test_every_element_of_the_samples_becomes_its_fact(
    sample_data: Path, intake: Intake, tmp_path: Path
) -> None:
    paths = [path for name in SAMPLES for path in sorted((sample_data / name).glob("*.xml"))]
    assert sum(_agree(path, intake, tmp_path) for path in paths) > 20
