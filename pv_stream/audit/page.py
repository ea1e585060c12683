"""A report as one HTML page that stands alone: no script, no font, no picture from anywhere else.

Everything that is put in as text is escaped. The page names no time and no machine, so that the same report is the same
bytes.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
th { font-weight: 600; } td.number, th.number { text-align: right; }
.notice { border-left: .3rem solid #c60; padding: .4rem .8rem; background: #cc660018; }
.aside { opacity: .75; } code { overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
@media print { body { margin: 0; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page around parts that are HTML already."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return a heading."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is notice or aside."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> str:
    """Return a table; `numbers` are the columns that are aligned to the right."""
    right = frozenset(numbers)
    head = _row("th", headings, right)
    body = "\n".join(_row("td", row, right) for row in rows)
    return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _row(tag: str, cells: Sequence[object], right: frozenset[int]) -> str:
    kinds = (' class="number"' if place in right else "" for place in range(len(cells)))
    told = (f"<{tag}{kind}>{escape(str(cell))}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{''.join(told)}</tr>"
