"""An intake with a fixed key and clock, so that every test reads as of the same moment."""

import pytest

from pv_stream.domain.times import parse_instant
from pv_stream.ingest.drugs import DrugList
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.pseudonyms import Pseudonyms
from pv_stream.rulebooks import load_default
from pv_stream.rules.rulebook import Rulebook

NOW = "2026-11-21T12:00:00Z"


@pytest.fixture(scope="session")
def rulebook() -> Rulebook:
    """The shipped rulebook."""
    return load_default()


@pytest.fixture(scope="session")
def drugs(rulebook: Rulebook) -> DrugList:
    """Its drugs."""
    return DrugList(rulebook)


@pytest.fixture(scope="session")
def intake(rulebook: Rulebook, drugs: DrugList) -> Intake:
    """Everything that readers need, with a key of the tests' own."""
    return Intake(Pseudonyms(b"a key of the tests"), rulebook, drugs, parse_instant(NOW))
