"""`pv-stream docs`: the documents that are written from the rules and their tests, so that they cannot go stale."""

from pathlib import Path
from typing import Annotated

import typer

from pv_stream.audit.rules_doc import rules_document
from pv_stream.audit.traceability import shipped_traceability, traceability_document
from pv_stream.errors import DataError, UsageError
from pv_stream.rulebooks import load_default


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the documents.")] = Path("docs"),
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the documents into the folder.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a document in the folder is stale.")
    ] = False,
) -> None:
    """Write the rules and their traceability as Markdown, check them, or print them."""
    if write and check:
        msg = "--write and --check: choose one"
        raise UsageError(msg)
    documents = rule_documents(out)
    if write:
        _write(documents)
        typer.echo(f"{len(documents)} documents written to {out}", err=True)
    elif check:
        stale = [path for path, text in documents.items() if _content(path) != text]
        for path in stale:
            typer.echo(f"{path} is stale: run `pv-stream docs --write --out {out}`", err=True)
        raise typer.Exit(1 if stale else 0)
    else:
        typer.echo("\n".join(documents.values()))


def rule_documents(folder: Path) -> dict[Path, str]:
    """Return the text of each document by its path in a folder."""
    rulebook = load_default()
    traced = shipped_traceability()
    return {
        folder / "rules.md": rules_document(rulebook),
        folder / "traceability.md": traceability_document(traced, rulebook),
    }


def _write(documents: dict[Path, str]) -> None:
    for path, text in documents.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            msg = f"{path}: {error.strerror}. Name a folder that can be written."
            raise DataError(msg) from None


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
