"""Recorded drugs: which drugs a patient's believed facts name, watched or not, by the names of the rulebook.

These are what a clinician may name as culprit. A drug that no list knows is named by its code as sent. What a report
says was not administered is no such drug, and a treatment is never blamed.
"""

from collections.abc import Iterable, Mapping

from pv_stream.domain.codes import DrugRole
from pv_stream.domain.facts import UNLISTED_DRUG, Content, Exposure, Fact, Report
from pv_stream.domain.ids import FactKey
from pv_stream.rules.reports import ingredients_called
from pv_stream.rules.rulebook import Rulebook


def recorded_drugs(facts: Mapping[FactKey, Fact], rulebook: Rulebook) -> frozenset[str]:
    """Return the drugs of all orders, doses, dispenses, statements, stops and reports of a patient."""
    return frozenset(
        ingredient
        for fact in facts.values()
        for statement, _ in fact.statements
        for name in _named(statement.content)
        if name not in rulebook.treatment_names
        for ingredient in ingredients_called(name, rulebook)
    )


def _named(content: Content) -> Iterable[str]:
    match content:
        case Exposure():
            return content.drugs
        case Report():
            return [
                drug.ingredient
                for drug in content.drugs
                if drug.role is not DrugRole.NOT_ADMINISTERED and drug.ingredient != UNLISTED_DRUG
            ]
        case _:
            return ()
