"""`pv-stream doctor`: what is wrong with the cluster, the log or the group, and what to do about it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.cli.options import CarryOption
from pv_stream.cli.public_keys import PublicKeysOption, read_public_keys
from pv_stream.stream import require_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pv_stream.stream.doctor.judgements import Row

require_client("kafka")


def command(
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
    group_id: Annotated[
        str | None, typer.Option(help="Consumer group that the workers share. [pv-stream]")
    ] = None,
    carry: CarryOption = None,
    public_key: PublicKeysOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
) -> None:
    """Check broker, topics, partitions, retention, replication, rulebook, clocks, offsets, and who signed tree heads.

    Changes nothing. Every finding comes with what to do. Exit codes: 0 all is well, 1 something was found or could
    not be checked, 3 Kafka does not answer.
    """
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.stream.connection import require_broker  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers, group_id=group_id)
    keys = read_public_keys(public_key)
    require_broker(settings)

    from pv_stream.rulebooks import carried_rulebooks  # noqa: PLC0415 - only when Kafka is there
    from pv_stream.stream.doctor.examination import examine  # noqa: PLC0415
    from pv_stream.stream.doctor.judgements import Outcome  # noqa: PLC0415

    rows = examine(settings, carried_rulebooks(carry or ()), keys)
    if as_json:
        from dataclasses import asdict  # noqa: PLC0415

        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows)
    if any(row.outcome is not Outcome.OK for row in rows):
        raise typer.Exit(1)


def _print(rows: "Sequence[Row]") -> None:
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415

    from pv_stream.cli.terminal import stderr, stdout  # noqa: PLC0415
    from pv_stream.stream.doctor.judgements import Outcome  # noqa: PLC0415

    styles = {Outcome.OK: "green", Outcome.FINDING: "bold red", Outcome.UNKNOWN: "bold yellow"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("what was seen, and what to do")
    for row in rows:
        word = "FINDING" if row.outcome is Outcome.FINDING else row.outcome.value
        said = f"{row.subject}: {row.saw}" + (f"\ndo: {row.fix}" if row.fix else "")
        table.add_row(row.check, f"[{styles[row.outcome]}]{word}[/]", escape(said))
    stdout().print(table)
    findings = sum(row.outcome is Outcome.FINDING for row in rows)
    unknown = sum(row.outcome is Outcome.UNKNOWN for row in rows)
    stderr().print(
        f"{len(rows)} rows: {findings} with a finding, {unknown} that could not be checked (unknown)",
        soft_wrap=True,
    )
