"""The demonstration: published cases, the published cohort and a synthetic ward, through the real replay.

Everybody in it is made up and named so. The log and the replay stay in a folder, so that every command that the demo
names can be tried on them.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.fact_view import FactView, view_of
from pv_stream.audit.log import open_log
from pv_stream.audit.published_cohort import (
    Cohort,
    Outcome,
    found_outcome,
    published_cohort,
    records_of_occurrence,
)
from pv_stream.audit.replay import ReplayPlan, replay
from pv_stream.audit.scenario import Case, Scenario, at_day
from pv_stream.audit.scenario_events import records_of
from pv_stream.audit.scenario_file import parse_scenario
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.audit.ward import LogLine, WardAssumptions, synthetic_ward
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.outputs import AlertKind
from pv_stream.errors import UsageError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream

IMATINIB_PATIENT: Final = PatientId("synthetic-imatinib-2021")
CASE_FILE: Final = "imatinib2021.yaml"
RECURRENCES_FILE: Final = "cyclosporine2023.yaml"
LOG_FILE: Final = "events.jsonl"
REPLAY_FOLDER: Final = "replay"
#: The ward begins so that the second reaction of the imatinib case falls into its days.
WARD_FIRST_DAY: Final = 90
#: The recurrences of the cohort take three years: they begin so early that they end with the others.
RECURRENCES_FIRST_DAY: Final = -800
SEED_DEFAULT: Final = 2026


@dataclass(frozen=True, slots=True)
class PublishedStory:
    """Hold one published case as it stands in its scenario, and when its day 0 was in the demo's log."""

    patient_id: PatientId
    scenario: Scenario
    case: Case
    first_day: int = 0


@dataclass(frozen=True, slots=True)
class ToldStory:
    """Hold one published case and all that was told of its patient, cases before alerts."""

    story: PublishedStory
    told: tuple[tuple[OutputStream, Mapping[str, Any]], ...]

    def of(self, stream: OutputStream) -> list[Mapping[str, Any]]:
        """Return what was told in one stream, in its order."""
        return [value for told_in, value in self.told if told_in is stream]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Hold what the demo ran and what came.

    `alerts` are the latest revisions, `imatinib` and the `recurrences_told` of the cohort are published cases in full,
    `outcomes` what was found for each row of the cohort.
    """

    directory: Path
    seed: int
    ward_patients: int
    manifest: Mapping[str, Any]
    alerts: tuple[Mapping[str, Any], ...]
    recurrences: tuple[Mapping[str, Any], ...]
    imatinib: ToldStory
    recurrences_told: tuple[ToldStory, ...]
    cohort: Cohort
    outcomes: Mapping[int, Outcome]
    facts: Mapping[tuple[str, str], FactView]

    def evidence(self, alert: Mapping[str, Any]) -> list[FactView]:
        """Return the statements that an alert names as evidence."""
        named = [(alert["patient_id"], evidence.partition("#")[0]) for evidence in alert["evidence"]]
        return [self.facts[name] for name in named if name in self.facts]

    @property
    def stories(self) -> tuple[ToldStory, ...]:
        """Return every published case that is told in full."""
        return (self.imatinib, *self.recurrences_told)

    @property
    def patients(self) -> int:
        """Return how many patients the log has."""
        return self.ward_patients + len(self.cohort.occurrences) + len(self.stories)

    @property
    def ward(self) -> list[Mapping[str, Any]]:
        """Return the alerts of the ward, in the order of all alerts."""
        rows = (row.patient_id for row in self.cohort.occurrences)
        published = {*rows, *(told.story.patient_id for told in self.stories)}
        return [alert for alert in self.alerts if alert["patient_id"] not in published]

    @property
    def imatinib_alert(self) -> Mapping[str, Any]:
        """Return the alert of suspected DRESS of the imatinib case, as it stands at the end."""
        return next(
            alert for alert in self.of_patient(IMATINIB_PATIENT) if alert["kind"] == AlertKind.SUSPECTED_DRESS
        )

    def of_patient(self, patient_id: str) -> list[Mapping[str, Any]]:
        """Return a patient's alerts, the most urgent first."""
        return [alert for alert in self.alerts if alert["patient_id"] == patient_id]


_URGENCY: Final = {"critical": 0, "warning": 1, "info": 2}


def founding_case() -> PublishedStory:
    """Return the published imatinib case, which ships as a scenario that a pharmacist can read."""
    scenario = parse_scenario(Path(CASE_FILE), _case_text(CASE_FILE))
    return PublishedStory(IMATINIB_PATIENT, scenario, scenario.cases[0])


def recurrence_stories() -> tuple[PublishedStory, ...]:
    """Return the recurrences of the published cohort, early enough for the demo's log."""
    text = re.sub(
        r"day (\d+)", lambda day: f"day {int(day[1]) + RECURRENCES_FIRST_DAY}", _case_text(RECURRENCES_FILE)
    )
    scenario = parse_scenario(Path(RECURRENCES_FILE), text)
    return tuple(
        PublishedStory(
            PatientId(f"synthetic-cyclosporine-2023-story-{number}"),
            scenario,
            # The clock of the demo ticks for all of its patients.
            replace(case, given=tuple(given for given in case.given if given.action != "clock")),
            RECURRENCES_FIRST_DAY,
        )
        for number, case in enumerate(scenario.cases, start=1)
    )


def published_scenarios() -> list[Scenario]:
    """Return the published cases that ship as scenarios: the imatinib case, and the recurrences of the cohort."""
    return [parse_scenario(Path(name), _case_text(name)) for name in (CASE_FILE, RECURRENCES_FILE)]


def _case_text(name: str) -> str:
    return resources.files("pv_stream.audit").joinpath("cases", name).read_text(encoding="utf-8")


def demo_log(seed: int, ward: WardAssumptions) -> list[bytes]:
    """Return the lines of the demo's log in the order in which they are received."""
    lines = [
        LogLine(record.received, story.patient_id, record.value)
        for story in (founding_case(), *recurrence_stories())
        for record in records_of(story.scenario, story.case, story.patient_id)
    ]
    cohort = published_cohort()
    lines += [
        LogLine(record.received, row.patient_id, record.value)
        for row in cohort.occurrences
        for record in records_of_occurrence(cohort, row)
    ]
    lines += synthetic_ward(seed=seed, start=at_day(WARD_FIRST_DAY, 0, 0), assumptions=ward)
    lines.sort(key=lambda line: line.received)
    return [line.value for line in lines]


def demonstrate(directory: Path, rulebook: Rulebook, *, seed: int = SEED_DEFAULT) -> Demonstration:
    """Write the demo's log, replay it, and return what came.

    Raises UsageError when the folder holds something that no demo wrote.
    """
    _make_ready(directory)
    ward = WardAssumptions()
    values = demo_log(seed, ward)
    log = directory / LOG_FILE
    (directory / CASE_FILE).write_text(_case_text(CASE_FILE), encoding="utf-8")
    log.write_bytes(b"".join(value + b"\n" for value in values))
    manifest = replay(ReplayPlan(open_log(log), rulebook), directory / REPLAY_FOLDER)
    alerts = _read(directory, OutputStream.ALERTS)
    latest = sorted(
        {alert["alert_id"]: alert for alert in alerts}.values(),
        key=lambda a: (a["status"] in OFF_THE_LIST, _URGENCY[a["tier"]], a["as_of"], a["alert_id"]),
    )
    cases = _read(directory, OutputStream.CASES)
    told = {OutputStream.CASES: cases, OutputStream.ALERTS: alerts}
    cohort = published_cohort()
    return Demonstration(
        directory=directory,
        seed=seed,
        ward_patients=ward.patients,
        manifest=manifest,
        alerts=tuple(latest),
        recurrences=tuple(_read(directory, OutputStream.RECURRENCES)),
        imatinib=_told(founding_case(), told),
        recurrences_told=tuple(_told(story, told) for story in recurrence_stories()),
        cohort=cohort,
        outcomes={
            row.row: found_outcome(case for case in cases if case["patient_id"] == row.patient_id)
            for row in cohort.occurrences
        },
        facts=_facts(values, {alert["patient_id"] for alert in latest}),
    )


def _told(story: PublishedStory, told: Mapping[OutputStream, Sequence[Mapping[str, Any]]]) -> ToldStory:
    """Return what was told of the patient of a story."""
    of_patient = (
        (stream, value)
        for stream, values in told.items()
        for value in values
        if value["patient_id"] == story.patient_id
    )
    return ToldStory(story, tuple(of_patient))


def _make_ready(directory: Path) -> None:
    if directory.exists() and not _may_write_into(directory):
        msg = (
            f"{directory} holds files that no demo wrote, or that were edited: name another folder with --out"
        )
        raise UsageError(msg)
    try:
        shutil.rmtree(directory / REPLAY_FOLDER, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{directory}: {error.strerror}. Name a folder that can be written with --out."
        raise UsageError(msg) from None


def _may_write_into(directory: Path) -> bool:
    """Tell whether a folder is empty, or a demo's whose case, which readers are told to edit, is as it was."""
    if not directory.is_dir():
        return False
    names = {entry.name for entry in directory.iterdir()}
    if not names:
        return True
    case = directory / CASE_FILE
    return (
        names <= {LOG_FILE, CASE_FILE, REPLAY_FOLDER}
        and case.is_file()
        and case.read_bytes() == _case_text(CASE_FILE).encode()
    )


def _read(directory: Path, stream: OutputStream) -> list[Mapping[str, Any]]:
    with (directory / REPLAY_FOLDER / FILE_OF[stream]).open("rb") as lines:
        return [json.loads(line) for line in lines]


def _facts(values: Sequence[bytes], patients: Iterable[str]) -> dict[tuple[str, str], FactView]:
    """Return the statements of some patients by (patient, `<fact key>@<digest>`), as evidence names them."""
    wanted = set(patients)
    views: dict[tuple[str, str], FactView] = {}
    for value in values:
        event = decode_event(value)
        if not isinstance(event, FactArrived) or event.patient_id not in wanted:
            continue
        version = event.version
        fact = Fact(version.order, ((version.statement, version.provenance),))
        view = view_of(FactKey(version.key), fact, version.statement, version.provenance)
        digest = version.provenance.message_digest.removeprefix("sha256:")[:12]
        views[event.patient_id, f"{version.key}@{digest}"] = view
    return views
