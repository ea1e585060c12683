"""Counts of what a replay wrote, as the summary and the manifest tell them.

Alerts are counted as a reader of the worklist counts them: one for each alert id, at its latest revision.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pv_stream.shard.fold import OutputStream

#: The statuses under which an alert stands on nobody's worklist any more.
OFF_THE_LIST = frozenset({"withdrawn", "closed", "superseded", "transferred"})


@dataclass(slots=True)
class Tally:
    """Count outputs as they are written."""

    written: Counter[OutputStream] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    _alerts: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    _recurrences: dict[str, tuple[str, str]] = field(default_factory=dict)
    _cases: dict[str, str] = field(default_factory=dict)

    def add(self, stream: OutputStream, output: bytes) -> None:
        """Count one output."""
        self.written[stream] += 1
        value = json.loads(output)
        match stream:
            case OutputStream.ALERTS:
                self._alerts[value["alert_id"]] = (value["kind"], value["tier"], value["status"])
            case OutputStream.RECURRENCES:
                self._recurrences[value["recurrence_id"]] = (value["primary"], value["status"])
            case OutputStream.CASES:
                self._cases[value["episode_id"]] = value["state"]
            case OutputStream.ACTIONS:
                self.actions[value["action"]] += 1
            case OutputStream.DEAD_LETTERS:
                self.dead_letters[value["code"]] += 1
            case OutputStream.EVENTS:
                pass  # no output of the replay: it goes back to the log

    def counts(self) -> dict[str, Any]:
        """Return the counts in plain values, every name in order."""
        return {
            "alerts": {
                "records": self.written[OutputStream.ALERTS],
                "alerts": len(self._alerts),
                "open": sum(status not in OFF_THE_LIST for _, _, status in self._alerts.values()),
                "by_kind_and_tier": _nested(self._alerts.values()),
            },
            "recurrences": {
                "records": self.written[OutputStream.RECURRENCES],
                "by_class": _counted(
                    primary for primary, status in self._recurrences.values() if status != "withdrawn"
                ),
            },
            "cases": {
                "records": self.written[OutputStream.CASES],
                "by_state": _counted(self._cases.values()),
            },
            "actions": {
                "records": self.written[OutputStream.ACTIONS],
                "by_action": dict(sorted(self.actions.items())),
            },
            "dead_letters": {
                "records": self.written[OutputStream.DEAD_LETTERS],
                "by_code": dict(sorted(self.dead_letters.items())),
            },
        }


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _nested(alerts: Any) -> dict[str, dict[str, int]]:
    """Count by kind, then by tier, then `off_the_list` for what is withdrawn, closed or superseded."""
    nested: dict[str, Counter[str]] = {}
    for kind, tier, status in alerts:
        nested.setdefault(kind, Counter())["off_the_list" if status in OFF_THE_LIST else tier] += 1
    return {kind: dict(sorted(tiers.items())) for kind, tiers in sorted(nested.items())}
