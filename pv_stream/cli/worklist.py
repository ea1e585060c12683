"""`pv-stream worklist`: the alerts that stand, from the live topic; the sample consumer at a terminal."""

import json
from typing import Annotated, Any

import typer

from pv_stream.stream import require_client

require_client("kafka")


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
    from pv_stream.stream.consumer import Worklist, read_alerts  # noqa: PLC0415

    worklist = Worklist()
    try:
        for alert in read_alerts(load_settings(bootstrap_servers=bootstrap_servers), follow=follow):
            if worklist.upsert(alert) and follow:
                _print(alert, as_json=as_json)
    except KeyboardInterrupt:
        return
    standing = worklist.open_alerts()
    for alert in standing:
        _print(alert, as_json=as_json)
    typer.echo(f"{len(standing)} of {len(worklist.alerts)} alerts stand", err=True)


def _print(alert: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(alert, sort_keys=True, ensure_ascii=False))
        return
    typer.echo(
        f"{alert['tier']:<8} {alert['status']:<10} {alert['as_of']}  {alert['patient_id']}\n"
        f"         {alert['reason']}\n"
        f"         {alert['alert_id']} revision {alert['revision']}"
    )
