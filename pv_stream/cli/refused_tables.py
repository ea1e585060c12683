"""How `pv-stream dlq` shows what was refused: metadata only, never content."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from pv_stream.cli.terminal import short_id, stdout

#: The place of what ingest refused, where the others name a topic.
STORE: Final = "rejects"
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def _age(instant: str | None) -> str:
    if instant is None:
        return "unknown"
    seconds = max(0, int(time.time() - datetime.fromisoformat(instant).timestamp()))
    size, unit = next((each for each in _AGES if seconds >= each[0]), _AGES[-1])
    return f"{seconds // size} {unit}"


def _where(pointer: Mapping[str, Any] | None) -> str:
    if pointer is None:
        return "its log"
    if pointer["place"] == STORE:
        path = f" at {pointer['path']}" if pointer["path"] else ""
        return f"file {pointer['input']}, message {pointer['message']}{path}"
    if "kept_by" in pointer:
        return f"reject store of {pointer['kept_by']}{' at ' + pointer['path'] if pointer['path'] else ''}"
    return f"{pointer['place']} shard {pointer['shard']} position {pointer['position']}"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in {"id", "age", "code"}, overflow="fold")
    return table


def print_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print what was refused: id, code, age, size and where its bytes are."""
    table = _table("id", "code", "age", "bytes", "where")
    for row in rows:
        read = " (read since)" if row["settled_at"] else ""
        where = f"{_where(row['pointer'])}{read}"
        table.add_row(short_id(row["id"]), row["code"], _age(row["at"]), f"{row['bytes']:,}", escape(where))
    stdout().print(table)


def print_one(row: Mapping[str, Any]) -> None:
    """Print all that is known of one, without its content."""
    table = _table("", "")
    for name in ("id", "code", "at", "bytes", "digest", "patient_id", "settled_at"):
        if row[name] is not None:
            table.add_row(name.replace("_", " "), str(row[name]))
    table.add_row("where", escape(_where(row["pointer"])))
    stdout().print(table)


def print_told(told: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print how each reads today."""
    if as_json:
        typer.echo(json.dumps({"entries": told}, indent=2, sort_keys=True))
        return
    table = _table("id", "code", "today")
    for each in told:
        table.add_row(short_id(each["id"]), each["code"], each["said"])
    stdout().print(table)
