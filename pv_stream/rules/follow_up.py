"""Follow-up: when to ask whether a reaction goes on, because nothing documents it, and what to measure after one.

The last item of RegiSCAR needs a sign documented active, or a resolution documented, around the fifteenth day. When
that day has passed and neither is there, silence is not persistence: somebody must look.
"""

from pv_stream.domain.assessment import Score
from pv_stream.domain.times import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE, Instant, local_day
from pv_stream.rules import regiscar
from pv_stream.rules.rulebook import Rulebook


def follow_up_at(
    onset: Instant, utc_offset_minutes: int, score: Score, resolved_at: Instant | None, rulebook: Rulebook
) -> Instant | None:
    """Return when the day of the resolution item has passed at the facility, or None when nothing is to be asked.

    That is so when the item is settled, or the reaction documented as resolved.
    """
    if resolved_at is not None or not any(
        item.item == regiscar.RESOLUTION.name and item.is_unknown for item in score.items
    ):
        return None
    day_after = local_day(onset, utc_offset_minutes) + rulebook.parameters.resolution_days.value + 1
    return Instant(day_after * MICROSECONDS_PER_DAY - utc_offset_minutes * MICROSECONDS_PER_MINUTE)


def follow_up_reason(rulebook: Rulebook) -> str:
    """Say why somebody must look, and what to measure from then on."""
    asked = (
        f"Day {rulebook.parameters.resolution_days.value} after the onset has passed and nothing documents whether the "
        "reaction goes on: look at the patient and record it."
    )
    advice = follow_up_advice(rulebook)
    return f"{asked} {advice}" if advice else asked


def follow_up_advice(rulebook: Rulebook) -> str:
    """Say what to measure after a reaction, and how often, in the words of the rulebook; nothing where it has none."""
    every = "; ".join(f"{entry.name} {entry.advice}" for entry in rulebook.follow_up)
    return f"Follow-up: {every}." if every else ""
