"""Why each version of a safety report speaks of every place: nothing in a report tells that it is the first."""

from itertools import permutations

from pv_stream.domain.facts import Fact, Report, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.engine.join import join_fact
from pv_stream.ingest.icsr.facts import DOSAGES_MAX, MEASUREMENTS_MAX, REACTIONS_MAX
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from tests.unit.ingest.icsr.safety_reports import RASH, Onset, Version, r3
from tests.unit.ingest.messages import facts, is_retraction

PLACES = DOSAGES_MAX + MEASUREMENTS_MAX + REACTIONS_MAX
#: The date of the first and that of the most recent information are one and the same day (C.1.4, C.1.5).
DAY = "20260301"
INITIAL = Version(first=DAY, latest=DAY, reactions=[Onset(), Onset(RASH)])
#: An amendment brings no new information, so it changes neither date (C.1.11.1 = 2).
AMENDED = Version(first=DAY, latest=DAY, kind="2", created="20260301180000+0000", reactions=[Onset(RASH)])


def _reports(*outcomes: Outcome, with_retractions: bool = True) -> list[Report]:
    """Return the reactions that stand after some versions came."""
    joined: dict[FactKey, Fact] = {}
    for number, outcome in enumerate(outcomes):
        for event in facts(outcome):
            if with_retractions or number == 0 or not is_retraction(event):
                joined[event.version.key] = join_fact(joined.get(event.version.key), event.version)
    contents = [each.content for fact in joined.values() for each, _ in fact.statements]
    return [content for content in contents if isinstance(content, Report)]


def _read(version: Version, intake: Intake) -> Outcome:
    return read_e2b(r3(version, sent=version.created), intake)


def test_each_version_says_something_of_every_place(intake: Intake) -> None:
    outcome = _read(INITIAL, intake)
    assert len(facts(outcome)) == PLACES
    empty = [event for event in facts(outcome) if isinstance(event.version.statement.content, Retracted)]
    assert len(empty) == PLACES - 3


def test_an_amendment_of_the_day_of_the_first_version_withdraws_in_any_order(intake: Intake) -> None:
    for versions in permutations((INITIAL, AMENDED)):
        (report,) = _reports(*(_read(version, intake) for version in versions))
        assert report.reaction.value == "other"


def test_a_version_that_looks_like_the_first_would_leave_a_withdrawn_reaction_standing(
    intake: Intake,
) -> None:
    """Its two dates are equal, as those of a first version are; without its retractions DRESS would stay reported."""
    initial, amended = _read(INITIAL, intake), _read(AMENDED, intake)
    assert len(_reports(initial, amended, with_retractions=False)) == 2
