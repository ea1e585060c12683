"""`pv-stream report`: what was known when, what was said and by which rules, who noted it, what was corrected."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.dossier import Deed, Dossier, Selection, dossier_of
from pv_stream.audit.dossier_page import page_of
from pv_stream.audit.explain import alerts_of_log, find_alert
from pv_stream.audit.log import open_log
from pv_stream.audit.replay import ReplayPlan
from pv_stream.cli.options import CarryOption, ClockOption, RulebookOption
from pv_stream.cli.terminal import plural, progress, size_bytes, stderr
from pv_stream.domain.times import format_instant, parse_instant
from pv_stream.errors import UsageError
from pv_stream.rulebooks import carried_rulebooks, load_default, load_file

PAGE: Final = "report.html"
DATA: Final = "report.json"
MANIFEST: Final = "manifest.json"
_FILES: Final = frozenset({PAGE, DATA, MANIFEST})


def command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        Path,
        typer.Argument(metavar="LOG", readable=False, help="Canonical events (JSON lines), or an archive."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the page, the data and the manifest.")],
    patient: Annotated[
        str | None, typer.Option(metavar="PSEUDONYM", help="Everything about one patient.")
    ] = None,
    alert: Annotated[
        str | None, typer.Option(metavar="ALERT", help="One alert, by the beginning of its id.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="From here on, such as 2026-03-01T00:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT", help="Up to here, not included.")] = None,
    rulebook: RulebookOption = None,
    carry: CarryOption = None,
    clock: ClockOption = ClockMode.AUTO,
) -> None:
    """Write a report of a patient, of an alert, or of a period: one page that stands alone, its data, and a manifest.

    The same log and selection give the same bytes. The manifest holds the digests of the log and of both files.
    """
    if patient is None and alert is None and since is None and until is None:
        msg = "say what the report is about: --patient, --alert, or --since and --until"
        raise UsageError(msg)
    if patient is not None and alert is not None:
        msg = "--patient and --alert name two reports: make one at a time"
        raise UsageError(msg)
    if patient is not None and not patient.isprintable():
        msg = "--patient is no pseudonym: copy it from an alert"
        raise UsageError(msg)
    plan = ReplayPlan(
        open_log(source),
        load_default() if rulebook is None else load_file(rulebook),
        what_if=rulebook is not None,
        clock=clock,
        carried=carried_rulebooks(carry or ()),
    )
    _make_ready(out)
    if alert is not None:
        alert, patient = find_alert(alert, alerts_of_log(plan))
    selection = Selection(patient, alert, _instant("--since", since), _instant("--until", until))
    with progress("Reading", size_bytes(source)) as told:
        dossier = dossier_of(plan, selection, told)
    _write(out, dossier)
    counted = f"{plural(len(dossier.patients), 'patient')}, {plural(len(dossier.entries), 'line')}"
    stderr().print(f"{counted}: {escape(str(out / PAGE))}", soft_wrap=True)
    if all(entry.deed is Deed.IN_FORCE for entry in dossier.entries):
        stderr().print("Nothing in this log is of that selection.")
        raise typer.Exit(1)


def _instant(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return format_instant(parse_instant(text))
    except ValueError:
        msg = f"{option}: {text!r} is no instant; write it like 2026-03-01T00:00:00Z"
        raise UsageError(msg) from None


def _make_ready(out: Path) -> None:
    if out.exists() and not (out.is_dir() and {entry.name for entry in out.iterdir()} <= _FILES):
        msg = f"{out} holds other files: name a folder of its own for the report"
        raise UsageError(msg)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out}: {error.strerror}"
        raise UsageError(msg) from None


def _write(out: Path, dossier: Dossier) -> None:
    """Write the manifest last: a folder with one is whole."""
    (out / MANIFEST).unlink(missing_ok=True)
    manifest: dict[str, Any] = dossier.manifest()
    contents = {
        PAGE: page_of(dossier),
        DATA: _as_json({**manifest, "entries": [asdict(entry) for entry in dossier.entries]}),
    }
    manifest["files"] = {}
    for name, text in contents.items():
        (out / name).write_text(text, encoding="utf-8")
        manifest["files"][name] = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    (out / MANIFEST).write_text(_as_json(manifest), encoding="utf-8")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
