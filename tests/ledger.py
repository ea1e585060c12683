"""A ledger of what was told: reads alerts and recurrences in their order and holds them to laws 4 and the tier latch.

It knows only the published contract, nothing of the engine: it is what a strict consumer would check.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

TIERS: Final = ("info", "warning", "critical")
#: What may be told of an alert after each status (None: it was never told of).
NEXT: Final[dict[str | None, frozenset[str]]] = {
    None: frozenset({"raised"}),
    "raised": frozenset({"revised", "withdrawn", "closed", "superseded", "transferred"}),
    "revised": frozenset({"revised", "withdrawn", "closed", "superseded", "transferred"}),
    "withdrawn": frozenset({"raised", "superseded"}),
    "closed": frozenset({"revised", "withdrawn", "superseded", "transferred"}),
    "superseded": frozenset(),
    "transferred": frozenset({"raised", "closed"}),
}
#: What may be told first of an alert that goes on from a merged patient record.
FIRST_OF_CONTINUING: Final = frozenset({"raised", "closed", "withdrawn"})
NEXT_RECURRENCE: Final[dict[str | None, frozenset[str]]] = {
    None: frozenset({"observed"}),
    "observed": frozenset({"reclassified", "withdrawn"}),
    "reclassified": frozenset({"reclassified", "withdrawn"}),
    "withdrawn": frozenset({"observed"}),
}
REPLACING: Final = frozenset({"correction", "retraction", "merge", "rulebook"})
OFF: Final = frozenset({"withdrawn", "transferred"})


@dataclass(slots=True)
class Ledger:
    """Remember the last of every alert and recurrence, and every record id."""

    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurrences: dict[str, dict[str, Any]] = field(default_factory=dict)
    cases: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    record_ids: set[str] = field(default_factory=set)

    def enter_all(self, values: Iterable[dict[str, Any]]) -> None:
        for value in values:
            self.enter(value)

    def enter(self, value: dict[str, Any]) -> None:
        """Take the next output, of whatever stream; what the laws forbid fails."""
        if "recurrence_id" in value:
            self._recurrence(value)
        elif "action_id" in value:
            self._new_record(value)
            assert value["alert_id"] in self.alerts, "nobody acts on what was not told"
        elif "alert_id" in value:
            self._alert(value)
        elif "state" in value:
            self._case(value)

    def _alert(self, alert: dict[str, Any]) -> None:
        last = self.alerts.get(alert["alert_id"])
        self._new_record(alert)
        assert alert["revision"] == (1 if last is None else last["revision"] + 1), "revisions grow by one"
        if alert["kind"] in {"suspected_dress", "culprit_restart"}:
            first = FIRST_OF_CONTINUING if alert["continues"] else NEXT[None]
            refuted = frozenset({"closed"}) if alert["closing"] == "refuted" else frozenset()
            assert alert["status"] in (first if last is None else NEXT[last["status"]] | refuted)
        if last is not None:
            assert alert["as_of"] >= last["as_of"], "as_of never goes back"
            self._keeps_identity(last, alert)
            self._keeps_tier(last, alert)
        if alert["status"] == "withdrawn":
            # A correction takes a basis away, and so does a late record, as of a drug that was stopped long ago.
            assert alert["cause"] != "clock", "time alone withdraws nothing"
        if alert["status"] == "closed" and alert["kind"] == "suspected_dress":
            by_time = alert["closing"] in {"resolved", "lost_to_observation"}
            assert by_time or alert["closing"] == "refuted"
            assert (alert["cause"] == "clock") == by_time or alert["continues"], (
                "only time or a person closes"
            )
        if alert["status"] == "transferred":
            on = [other for other in self.alerts.values() if alert["alert_id"] in other["continues"]]
            assert on, "an alert ends only when another continues it"
        if alert["status"] == "superseded":
            assert alert["superseded_by"] not in {None, alert["episode_id"]}
        self.alerts[alert["alert_id"]] = alert

    def _keeps_identity(self, last: dict[str, Any], alert: dict[str, Any]) -> None:
        assert (alert["kind"], alert["patient_id"]) == (last["kind"], last["patient_id"])
        if alert["kind"] == "suspected_dress":
            assert alert["episode_id"] == last["episode_id"]
        if alert["kind"] == "culprit_restart":
            drugs, before = (set(told["restart"]["drug"].split("/")) for told in (alert, last))
            assert drugs & before, "versions of one record may name more of a product, never another drug"

    def _keeps_tier(self, last: dict[str, Any], alert: dict[str, Any]) -> None:
        falls = TIERS.index(alert["tier"]) < TIERS.index(last["tier"])
        assert not falls or alert["cause"] in REPLACING or last["status"] in OFF, "a tier is latched"

    def _recurrence(self, record: dict[str, Any]) -> None:
        last = self.recurrences.get(record["recurrence_id"])
        self._new_record(record)
        assert record["revision"] == (1 if last is None else last["revision"] + 1)
        assert record["status"] in NEXT_RECURRENCE[None if last is None else last["status"]]
        if last is not None:
            assert record["episode_id"] == last["episode_id"]
        assert record["alert_id"] in self.alerts, "a recurrence comes after its alert"
        self.recurrences[record["recurrence_id"]] = record

    def _case(self, case: dict[str, Any]) -> None:
        key = (case["patient_id"], case["episode_id"])
        last = self.cases.get(key)
        assert case["revision"] == (1 if last is None else last["revision"] + 1)
        if last is not None:
            assert last["state"] != "superseded", "a superseded episode stays so"
        self.cases[key] = case

    def _new_record(self, value: dict[str, Any]) -> None:
        assert value["record_id"] not in self.record_ids, "a record id is used once"
        self.record_ids.add(value["record_id"])

    def settle(self) -> None:
        """Check what must hold at the end: alert and case of an episode agree, survivors live on."""
        dress = {
            (a["patient_id"], a["episode_id"]): a
            for a in self.alerts.values()
            if a["kind"] == "suspected_dress"
        }
        for subject, case in self.cases.items():
            alert = dress.get(subject)
            if case["state"] in {"open", "closed"}:
                assert alert is not None
                assert (
                    alert["status"] == "closed"
                    if case["state"] == "closed"
                    else alert["status"] in {"raised", "revised"}
                )
            elif alert is not None:
                assert alert["status"] in {"withdrawn", "superseded", "transferred"}
            if case["state"] == "superseded":
                assert (case["patient_id"], case["superseded_by"]) in self.cases
