"""`pv-stream topics`: what the topics are, what they should be, and making them so."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.stream import require_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pv_stream.settings import Settings
    from pv_stream.stream.acls import Role
    from pv_stream.stream.topics import Difference

require_client("kafka")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Plan and create the topics: partitions, retention, compaction, replication and message sizes.",
)

Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]"),
]
Partitions = Annotated[
    int | None, typer.Option("--partitions", min=1, help="Shards, fixed for the life of the log. [4]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")]


@app.command()
def plan(
    bootstrap_servers: Servers = None, partitions: Partitions = None, *, as_json: AsJson = False
) -> None:
    """Show what differs; exit code 1 when something does. Changes nothing."""
    from pv_stream.stream import topics  # noqa: PLC0415 - `--help` must not pay for it

    rows = topics.plan(_settings(bootstrap_servers, partitions))
    _print(rows, as_json=as_json)
    if any(row.action is not topics.Action.OK for row in rows):
        if not as_json and not any(row.action is topics.Action.REFUSE for row in rows):
            typer.echo("Next: pv-stream topics apply")
        raise typer.Exit(1)


@app.command()
def apply(
    bootstrap_servers: Servers = None, partitions: Partitions = None, *, as_json: AsJson = False
) -> None:
    """Create the topics that are missing and set what differs; a partition count is never changed."""
    from pv_stream.stream import topics  # noqa: PLC0415

    rows = topics.apply(_settings(bootstrap_servers, partitions))
    _print(rows, as_json=as_json)


@app.command()
def acls(
    bootstrap_servers: Servers = None,
    partitions: Partitions = None,
    principal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=USER",
            help="Who has a role, unless a user of the role's name; may be repeated. [worker=worker, ...]",
        ),
    ] = None,
    *,
    give: Annotated[bool, typer.Option("--give", help="Give the rights; nothing is taken away.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rights as JSON.")] = False,
) -> None:
    """Show which role needs which rights in Kafka (docs/security.md); asks no broker unless --give."""
    from pv_stream.stream import acls as rights  # noqa: PLC0415 - see above

    settings = _settings(bootstrap_servers, partitions)
    users = _principals(principal or ())
    if give:
        new, all_of_them = rights.give(settings, users)
        typer.echo(f"{new} rights given; the roles have all {all_of_them}", err=True)
        return
    rows = rights.table(rights.grants(settings))
    if as_json:
        found = [
            {"role": row.role, "users": users[rights.Role(row.role)], "resource": row.resource}
            | {"name": row.name, "operations": row.operations.split(", ")}
            for row in rows
        ]
        typer.echo(json.dumps(found, indent=2))
        return
    _print_table(
        ("role", "resource", "name", "may"),
        [(row.role, row.resource, row.name, row.operations) for row in rows],
        whole="name",
    )


def _principals(given: "Sequence[str]") -> "Mapping[Role, list[str]]":
    from pv_stream.errors import UsageError  # noqa: PLC0415 - see above
    from pv_stream.stream.acls import Role  # noqa: PLC0415

    named: dict[Role, list[str]] = {}
    for words in given:
        role, _, user = words.partition("=")
        if role not in set(Role) or not user:
            message = f"--principal {words}: say ROLE=USER, where ROLE is one of {', '.join(Role)}"
            raise UsageError(message)
        named.setdefault(Role(role), []).append(user)
    return {role: named.get(role, [role.value]) for role in Role}


def _settings(bootstrap_servers: str | None, partitions: int | None) -> "Settings":
    from pv_stream.settings import load_settings  # noqa: PLC0415

    return load_settings(bootstrap_servers=bootstrap_servers, partitions=partitions)


def _print(rows: "Sequence[Difference]", *, as_json: bool) -> None:
    from pv_stream.stream.topics import as_json as to_json  # noqa: PLC0415

    if as_json:
        typer.echo(json.dumps(to_json(rows), indent=2))
        return
    _print_table(
        ("topic", "setting", "has", "wanted", "action"),
        [(row.topic, row.setting, row.has, row.wanted, row.action.value) for row in rows],
        whole="topic",
    )


def _print_table(headings: "Sequence[str]", rows: "Sequence[Sequence[str]]", *, whole: str) -> None:
    """Print rows; the column `whole` is never broken into lines."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading == whole)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table)
