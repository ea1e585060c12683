"""Rulebooks: variants of the shipped one, and the records that put them in force, for tests."""

from collections.abc import Iterable, Mapping
from typing import Final

from pv_stream.audit.scenario_rulebooks import variant_of
from pv_stream.domain.events import RulebookActivated
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.rules.rulebook import Rulebook
from tests.builders import RULEBOOK


def variant(name: str, **changes: str) -> Rulebook:
    """Return the shipped rulebook with some entries changed; two underscores stand for the dots of an entry."""
    return variant_of(RULEBOOK, name, {entry.replace("__", "."): value for entry, value in changes.items()})


LOWER: Final = variant(
    "lower",
    defaults__threshold_per_ul="700",
    drugs__imatinib__threshold_per_ul="700",
    parameters__eosinophils_low_per_ul="120",
    parameters__fever_sign_celsius="36.6",
    parameters__alt_organ_u_per_l="20",
    parameters__disease_free_days="40",
)
HIGHER: Final = variant(
    "higher",
    defaults__threshold_per_ul="2100",
    drugs__imatinib__threshold_per_ul="2100",
    parameters__critical_score_min="6",
    parameters__warning_score_min="5",
    parameters__disease_free_days="5",
    parameters__lost_to_observation_days="20",
)
WITHOUT_IMATINIB: Final = variant("without imatinib", drugs__imatinib="unwatched")
ALL: Final = (RULEBOOK, LOWER, HIGHER, WITHOUT_IMATINIB)


def by_digest(books: Iterable[Rulebook] = ALL) -> Mapping[str, Rulebook]:
    """Return rulebooks as a shard carries them."""
    return {book.digest: book for book in books}


def activation(rulebook: Rulebook) -> RulebookActivated:
    """Return the record that puts a rulebook in force."""
    return RulebookActivated(ENGINE_VERSION, rulebook.digest)
