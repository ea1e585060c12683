"""The criteria beside RegiSCAR, and the reasons of a rank, as tables of the rules document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.criteria import SuspectReason
from pv_stream.rules import bocquet, jscar, naranjo, who_umc
from pv_stream.rules.rulebook import Parameters

_REASON: Final[Mapping[SuspectReason, str]] = {
    SuspectReason.LATENCY_CORE: "the onset lies in the core of the drug's window",
    SuspectReason.LATENCY_SHOULDER: "the onset lies in a shoulder of the window: inside, and ranked lower",
    SuspectReason.REEXPOSURE: "the drug was given in an earlier course; the core then begins on day 0",
    SuspectReason.LATENCY_UNKNOWN: "the first dose is not known to the day, or only orders are known",
    SuspectReason.BEGAN_AFTER_ONSET: "the drug was begun after the onset, and something else was seen under it",
    SuspectReason.ROUTE_UNSURE: "the drug counts by some routes only, and no record names the route",
    SuspectReason.POSITIVE_RECHALLENGE: "the reaction came back when the drug was given again",
    SuspectReason.NEGATIVE_RECHALLENGE: "given again after an improvement, and documented as tolerated for "
    "`rechallenge_days`",
    SuspectReason.EARLIER_REACTION: "the drug was suspect in an earlier episode",
    SuspectReason.CROSS_REACTIVE_WITH_EARLIER_CULPRIT: "the drug is of the class of an earlier suspect",
    SuspectReason.POSITIVE_DECHALLENGE: "an improvement is documented after the stop and before a restart",
    SuspectReason.NEGATIVE_DECHALLENGE: "a sign is documented `dechallenge_days` after the stop, and no improvement",
    SuspectReason.EXPOSURE_ONGOING: "the drug went on at the last evidence, as far as records tell",
    SuspectReason.COMBINATION_PRODUCT: "it was given as a product of several ingredients",
    SuspectReason.AMBIGUOUS_PAIR: "another ingredient of the same product is suspect too: it may be either",
    SuspectReason.PRODRUG: "it was given as a prodrug",
}
_JSCAR_SAYS: Final = (
    "Seven criteria, each met, unmet or unknown. Typical is all seven, atypical the first five without the whole; a "
    "category is named only when it is determined. Where several drugs share the first rank, a criterion about the "
    "drug is settled only if it is the same for each."
)
_BOCQUET_SAYS: Final = (
    "All three parts must be met. Transaminases are compared with `bocquet_transaminase_factor` times "
    "`alt_upper_limit_u_per_l` or `ast_upper_limit_u_per_l`."
)
_NARANJO_SAYS: Final = (
    "For each suspect drug; unknown gives no point. 9 and more is definite, 5 to 8 probable, 1 to 4 possible, less "
    "doubtful. Only what happened up to the closing of the episode counts."
)
_WHO_SAYS: Final = "For each suspect drug; the first row that holds, from the top."
_REASONS_SAY: Final = (
    "Why a drug is suspect. A rank follows the beginning after onset, then latency, then the route; among equals a "
    "positive rechallenge, then an earlier reaction, then cross-reactivity. The others move no rank."
)


@dataclass(frozen=True, slots=True)
class RuleTable:
    """Hold one table of the document with its title and what is said before it."""

    title: str
    says: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def criteria_tables(parameters: Parameters) -> Iterator[RuleTable]:
    """Yield the tables of J-SCAR, Bocquet, Naranjo, WHO-UMC and the reasons of a rank, with a rulebook's numbers."""
    criteria = [
        ("J-SCAR / DIHS", _JSCAR_SAYS, jscar.TABLE),
        ("Bocquet 1996", _BOCQUET_SAYS, bocquet.TABLE),
    ]
    for title, says, table in criteria:
        rows = [(f"`{row.name}`", row.title(parameters)) for row in table]
        yield RuleTable(title, says, ("name", "criterion"), rows)
    yield RuleTable(
        "Naranjo",
        _NARANJO_SAYS,
        ("name", "question", "yes", "no"),
        [(f"`{q.name}`", q.title, f"{q.yes:+d}", f"{q.no:+d}" if q.no else "0") for q in naranjo.TABLE],
    )
    yield RuleTable(
        "WHO-UMC",
        _WHO_SAYS,
        ("category", "meaning"),
        [(f"`{row.category.value}`", row.title) for row in who_umc.ROWS],
    )
    yield RuleTable(
        "Reasons of a rank",
        _REASONS_SAY,
        ("name", "meaning"),
        [(f"`{reason.value}`", _REASON[reason]) for reason in SuspectReason],
    )


def criteria_names() -> Sequence[str]:
    """Return the names of these rules as a statement names them, each kind in its own order."""
    return (
        *(f"jscar:{row.name}" for row in jscar.TABLE),
        *(f"bocquet:{row.name}" for row in bocquet.TABLE),
        *(f"naranjo:{question.name}" for question in naranjo.TABLE),
        *(f"who_umc:{row.category.value}" for row in who_umc.ROWS),
        *(f"reason:{reason.value}" for reason in SuspectReason),
    )
