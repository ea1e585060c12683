"""Next steps: what an alert of each kind asks of the medication-safety team. Suggestions for a person who decides.

What to measure after a reaction, and how often, stands in the rulebook with its source.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.rules.follow_up import follow_up_advice
from pv_stream.rules.rulebook import Rulebook

#: Of the unknown criteria, the ones that a ward can settle today come first.
_QUICK: Final = ("fever", "rash_suggestive", "rash_extent", "enlarged_lymph_nodes", "organs", "eosinophils")


def next_steps(alert: Mapping[str, Any], rulebook: Rulebook) -> Sequence[str]:
    """Return what to do about an alert, most urgent first, under the rulebook that it names."""
    if alert["status"] in OFF_THE_LIST:
        return ("Nothing is asked of you: this alert is off the worklist. Its reason says why.",)
    match alert["kind"]:
        case "suspected_dress":
            return (*_suspects(alert), *_unknown(alert), *_by_tier(alert, rulebook))
        case "culprit_restart":
            return (
                "Before the next dose: ask the prescriber whether the restart is meant, knowing the earlier reaction.",
                "If it is meant (desensitisation), plan blood counts, liver tests and skin checks for this course.",
            )
        case "data_review":
            return (
                "Look the value up in its source; confirm it with its unit or time, or discard it: `pv-stream holds`.",
                "Until then no rule uses it, and it may hide a reaction.",
            )
        case "follow_up_due":
            return (
                "Look at the patient today: document each sign as present or absent, or the reaction as resolved.",
                *_advice(rulebook),
            )
        case _:
            return ("Tell whoever runs pv_stream.",)


def _suspects(alert: Mapping[str, Any]) -> Sequence[str]:
    if not alert["culprits"]:
        return ("Ask for every drug of the last three months: no watched drug explains this reaction.",)
    running = [c["drug"] for c in alert["culprits"] if c["exposure"] != "stopped"]
    if not running:
        return ()
    drugs = " and ".join(running)
    return (f"Review with the prescriber whether {drugs} can be stopped: no stop is recorded.",)


def _unknown(alert: Mapping[str, Any]) -> Sequence[str]:
    score = alert["regiscar"]
    open_items = {item["item"] for item in score["items"] if len(item["levels"]) > 1} if score else set()
    quick = [item.replace("_", " ") for item in _QUICK if item in open_items]
    return (f"Document what the ward can settle today: {', '.join(quick)}.",) if quick else ()


def _by_tier(alert: Mapping[str, Any], rulebook: Rulebook) -> Sequence[str]:
    if alert["tier"] == "info":
        return ("Repeat the blood count; look for fever, rash, nodes and liver values.",)
    return _advice(rulebook)


def _advice(rulebook: Rulebook) -> Sequence[str]:
    advice = follow_up_advice(rulebook)
    return (advice,) if advice else ()
