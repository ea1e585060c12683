"""`pv-stream schemas`: the JSON Schemas of what goes in and comes out, written from the code."""

from pathlib import Path
from typing import Annotated

import typer

from pv_stream.codec.schemas import schema_documents
from pv_stream.errors import DataError, UsageError


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the documents.")] = Path("schemas"),
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the documents into the folder.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a document in the folder is stale.")
    ] = False,
) -> None:
    """Write the JSON Schemas of events and outputs, check them, or list their names."""
    if write and check:
        msg = "--write and --check: choose one"
        raise UsageError(msg)
    documents = schema_documents()
    if write:
        _write(documents, out)
        typer.echo(f"{len(documents)} documents written to {out}", err=True)
    elif check:
        stale = [name for name in sorted(documents) if _content(out / name) != documents[name]]
        for name in stale:
            typer.echo(f"{out / name} is stale: run `pv-stream schemas --write --out {out}`", err=True)
        raise typer.Exit(1 if stale else 0)
    else:
        typer.echo("\n".join(sorted(documents)))


def _write(documents: dict[str, bytes], out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in sorted(documents):
            (out / name).write_bytes(documents[name])
    except OSError as error:
        msg = f"{out}: {error.strerror}. Name a folder that can be written."
        raise DataError(msg) from None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
