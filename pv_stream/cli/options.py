"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

CarryOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--carry",
        metavar="FILE",
        readable=False,
        help="A rulebook of your own that the log may activate, besides the shipped ones; may be repeated.",
    ),
]
