"""`pv-stream schemas`: the JSON Schemas of what goes in and comes out, written from the code."""

from pathlib import Path
from typing import Annotated

import typer

from pv_stream.codec.schemas import schema_documents
from pv_stream.errors import DataError


def command(
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the documents into this folder.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a file in DIR is stale.")] = False,
) -> None:
    """Write the JSON Schemas of events and outputs, or list them."""
    documents = schema_documents()
    if out is None:
        for name in sorted(documents):
            typer.echo(name)
        return
    if check:
        stale = [name for name in sorted(documents) if _content(out / name) != documents[name]]
        for name in stale:
            typer.echo(f"{out / name} is stale: run `pv-stream schemas --out {out}`", err=True)
        raise typer.Exit(1 if stale else 0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in sorted(documents):
            (out / name).write_bytes(documents[name])
    except OSError as error:
        msg = f"{out}: {error.strerror}. Name a folder that can be written."
        raise DataError(msg) from None
    typer.echo(f"{len(documents)} documents in {out}", err=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
