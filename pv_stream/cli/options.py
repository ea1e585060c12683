"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pv_stream.audit.clock import ClockMode

CarryOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--carry",
        metavar="FILE",
        readable=False,
        help="A rulebook of your own that the log may activate, besides the shipped ones; may be repeated.",
    ),
]

RulebookOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", readable=False, help="What if this rulebook had been in force?"),
]

ClockOption = Annotated[
    ClockMode,
    typer.Option(help="Where time comes from; auto: the log's clock records, or daily without any."),
]
