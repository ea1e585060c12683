"""The effects of another rulebook as one page, for the person who has to approve it."""

from collections import Counter
from collections.abc import Iterator

from pv_stream.audit.page import heading, page, paragraph, table
from pv_stream.audit.rulebook_effects import Effects, Side, Told


def page_of(effects: Effects) -> str:
    """Return the page; it stands alone."""
    return page(f"Rulebook {effects.old.version} and {effects.new.version} on one log", _parts(effects))


def _parts(effects: Effects) -> Iterator[str]:
    yield paragraph(
        f"{effects.patients:,} patients. {len({each.patient_id for each in effects.differences}):,} of them would "
        "have been told otherwise. This is a what-if: the whole log was read under each rulebook."
    )
    yield table(
        ("", "version", "digest", "patients with an alert"),
        (_side("old", effects.old), _side("new", effects.new)),
        (3,),
    )
    yield heading("Alerts by kind and the highest tier they stood at")
    yield table(("kind", "tier", "old", "new"), _alerts(effects), (2, 3))
    yield heading("What was changed")
    yield table(("change", "patients that it alone makes differ"), _changes(effects), (1,))
    yield heading("Who differs")
    yield table(
        ("what", "patient", "kind", "old", "new", "because of"),
        (
            (
                each.what,
                each.patient_id,
                each.kind.replace("_", " "),
                told_text(each.old),
                told_text(each.new),
                ", ".join(each.because),
            )
            for each in effects.differences
        ),
    )


def _side(name: str, side: Side) -> tuple[object, ...]:
    return name, side.version, side.digest, f"{side.patients:,}"


def _alerts(effects: Effects) -> Iterator[tuple[object, ...]]:
    for kind in sorted({*effects.old.alerts, *effects.new.alerts}):
        for tier in ("critical", "warning", "info"):
            counts = [side.alerts.get(kind, {}).get(tier, 0) for side in (effects.old, effects.new)]
            if any(counts):
                yield kind.replace("_", " "), tier, *counts


def _changes(effects: Effects) -> Iterator[tuple[object, ...]]:
    counted = Counter(unit for each in effects.differences for unit in each.because)
    for unit in dict.fromkeys((*effects.changes, *counted)):
        yield unit, counted[unit]


def told_text(told: Told | None) -> str:
    """Write what a patient is told: a tier, and how many alerts when there are several."""
    if told is None:
        return "none"
    return told.tier if told.alerts == 1 else f"{told.tier} ({told.alerts} alerts)"
