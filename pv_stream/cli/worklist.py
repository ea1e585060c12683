"""`pv-stream worklist`: the alerts that stand, from the live topic; the sample consumer at a terminal."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pv_stream.stream import require_client

require_client("kafka")

#: Where the command that we suggest puts the log; numbered when there is one already.
LOG_NAME: Final = "live-log"


def command(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and print each change as it comes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print alert records as JSON lines.")] = False,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
) -> None:
    """Print the alerts that stand in the live topic, most urgent first."""
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.stream.consumer import Worklist, is_acknowledged, read_alerts  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    show = _show_json if as_json else _show_words()
    worklist = Worklist()
    suggested = as_json
    try:
        for alert in read_alerts(settings, follow=follow, say=_say):
            if worklist.upsert(alert) and follow:
                show(alert)
                if not suggested:
                    _say(next_line(alert, bootstrap_servers))
                    suggested = True
    except KeyboardInterrupt:
        return
    standing = worklist.open_alerts()
    noted = [alert for alert in standing if is_acknowledged(alert)]
    waiting = [alert for alert in standing if not is_acknowledged(alert)]
    for alert in waiting:
        show(alert)
    if noted and not as_json:
        typer.echo("Acknowledged, until the tier rises:")
    for alert in noted:
        show(alert)
    _say(f"{len(standing)} of {len(worklist.alerts)} alerts stand, {len(noted)} of them acknowledged")
    if standing and not as_json:
        _say(next_line((*waiting, *noted)[0], bootstrap_servers))


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _show_json(alert: Any) -> None:
    typer.echo(json.dumps(alert, sort_keys=True, ensure_ascii=False))


def _show_words() -> Callable[[Any], None]:
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.padding import Padding  # noqa: PLC0415

    from pv_stream.cli.terminal import kind_text, moment, noted_text, stdout, tier_text  # noqa: PLC0415

    console = stdout()

    def show(alert: Any) -> None:
        noted = alert.get("acknowledged")
        # What old records told late is nobody's emergency, and looks like one.
        status = (
            f"{alert['status']}, retrospective" if alert["timeliness"] == "retrospective" else alert["status"]
        )
        told = f"{kind_text(alert['kind'])}, {status}, patient {alert['patient_id']}"
        # soft_wrap: what somebody copies stays in one piece.
        console.print(f"{tier_text(alert['tier'])} {moment(alert['as_of'])}: {escape(told)}", soft_wrap=True)
        console.print(Padding(escape(alert["reason"]), (0, 0, 0, 4)))
        console.print(escape(f"    {alert['alert_id']} revision {alert['revision']}"), soft_wrap=True)
        if noted is not None:
            console.print(escape(f"    {noted_text(noted)}"), soft_wrap=True)

    return show


def next_line(alert: Any, bootstrap_servers: str | None) -> str:
    """Return the line that says how to explain an alert: it needs the log as a file."""
    from pv_stream.cli.terminal import program, short_id  # noqa: PLC0415 - see above

    log = _free_file()
    servers = [] if bootstrap_servers is None else ["--bootstrap-servers", bootstrap_servers]
    archive = shlex.join(["archive", "--out", log, *servers])
    explain = shlex.join(["explain", short_id(alert["alert_id"]), "--log", log])
    return f"Next: {program()} {archive} && {program()} {explain}"


def _free_file() -> str:
    """Return the name of a file that is not there yet: `archive` never writes over one."""
    name, number = f"{LOG_NAME}.jsonl", 1
    while Path(name).exists():
        number += 1
        name = f"{LOG_NAME}-{number}.jsonl"
    return name
