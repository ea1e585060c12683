"""Why no watched drug is suspect: what the records say of the drugs of an episode that has no suspect.

No medication data is not "no drug", and a drug that is not on the list may be the culprit all the same. A drug that
was not recognised may be a watched one, so it is told apart from one that is known and not on the list.
"""

from pv_stream.domain.assessment import EpisodeFlag
from pv_stream.domain.times import local_day
from pv_stream.rules.episodes import Courses, Span
from pv_stream.rules.rulebook import Rulebook


def exposure_flags(span: Span, courses: Courses, rulebook: Rulebook) -> frozenset[EpisodeFlag]:
    """Return what to say of the exposures of an episode without a suspect: at least one flag."""
    flags: set[EpisodeFlag] = set()
    last = span.last.at.latest
    if any(course.first.earliest <= last for drug in courses for course in courses[drug]):
        flags.add(EpisodeFlag.OUTSIDE_WINDOW)
    opening = span.opening
    first_day = (
        local_day(opening.at.earliest, opening.utc_offset_minutes)
        - rulebook.parameters.latency_max_days.value
    )
    for dated in span.timeline.exposures:
        if (
            dated.at.earliest <= last
            and local_day(dated.at.latest, dated.utc_offset_minutes) >= first_day
            and not dated.content.is_stop
            and _is_unlisted(dated.content.drugs, rulebook)
        ):
            is_recognised = bool(dated.content.ingredients)
            flags.add(EpisodeFlag.UNLISTED_DRUG if is_recognised else EpisodeFlag.UNRECOGNISED_DRUG)
    return frozenset(flags or {EpisodeFlag.NO_EXPOSURE_RECORD})


def _is_unlisted(names: tuple[str, ...], rulebook: Rulebook) -> bool:
    """Tell whether a product holds anything that is neither watched nor a treatment; not recognised counts."""
    return not names or any(
        rulebook.drug_called(name) is None and name not in rulebook.treatment_names for name in names
    )
