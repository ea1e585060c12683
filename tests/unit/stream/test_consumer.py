"""The sample consumer keeps what the contract says."""

from typing import Any

from pv_stream.stream.consumer import Worklist, notifies


def _alert(alert_id: str = "al_1", revision: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "revision": revision,
        "status": "raised",
        "tier": "info",
        "timeliness": "live",
        "as_of": "2026-03-02T08:10:00Z",
    } | changes


def test_a_duplicate_is_not_news() -> None:
    """The same revision twice changes nothing."""
    worklist = Worklist()
    assert worklist.upsert(_alert())
    assert not worklist.upsert(_alert())
    assert len(worklist.alerts) == 1


def test_an_older_revision_that_comes_late_is_dropped() -> None:
    """The highest revision stays, whatever the order of arrival."""
    worklist = Worklist()
    worklist.upsert(_alert(revision=3, tier="critical"))
    assert not worklist.upsert(_alert(revision=2))
    assert worklist.alerts["al_1"]["tier"] == "critical"


def test_only_alerts_that_stand_are_on_the_list_most_urgent_first() -> None:
    """Withdrawn, closed and superseded alerts leave the list."""
    worklist = Worklist()
    worklist.upsert(_alert("al_info"))
    worklist.upsert(_alert("al_old", tier="critical", as_of="2026-03-01T00:00:00Z"))
    worklist.upsert(_alert("al_new", tier="critical", as_of="2026-03-03T00:00:00Z"))
    for status in ("withdrawn", "closed", "superseded"):
        worklist.upsert(_alert(f"al_{status}", status=status))
    assert [alert["alert_id"] for alert in worklist.open_alerts()] == ["al_new", "al_old", "al_info"]


def test_a_backfill_never_notifies() -> None:
    """A retrospective alert is kept, but calls nobody; a closed one calls nobody either."""
    assert notifies(_alert())
    assert not notifies(_alert(timeliness="retrospective"))
    assert not notifies(_alert(status="closed"))


def test_an_alert_that_somebody_took_note_of_stands_but_calls_nobody_until_it_rises() -> None:
    """`acknowledged` is null again on the revision whose tier has risen."""
    noted = _alert(revision=2, status="revised", acknowledged={"by": "actor_1"})
    worklist = Worklist()
    worklist.upsert(noted)
    assert worklist.open_alerts() == [noted]
    assert not notifies(noted)
    assert notifies(_alert(revision=3, status="revised", tier="warning", acknowledged=None))
