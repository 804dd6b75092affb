"""A report as blocks, and the two ways to write it: one HTML page, and Markdown with charts beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from litegpt.display import inert

MARKER = "#010203"  # what a chart draws in besides the colours of its data
GREY = "#7d8590"  # legible on light and dark
WRAP_CHARACTERS = 60  # a longer text breaks its line


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain words."""

    text: str


@dataclass(frozen=True)
class Notes:
    """Plain words, one point each."""

    points: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table; columns whose name is in `wide` are text, the others figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Text as it is."""

    text: str


@dataclass(frozen=True)
class Chart:
    """A chart: its name makes a file name, its caption says what is on it."""

    name: str
    caption: str
    svg: str  # in MARKER colour

    @property
    def inline(self) -> str:
        """The chart in the colour of the text around it."""
        return self.svg.replace(MARKER, "currentColor")

    @property
    def file(self) -> str:
        """The chart as a file of its own."""
        return '<?xml version="1.0" encoding="utf-8"?>\n' + self.svg.replace(MARKER, GREY)


Block = Heading | Paragraph | Notes | Grid | Listing | Chart

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --faint: #d0d7de; --dim: #59636e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --dim: #9198a1; }
}
body { margin: 2rem auto; max-width: 68rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; display: block; }
figcaption, .dim { color: var(--dim); font-size: .875rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; margin: .75rem 0; }
th, td { padding: .25rem .75rem .25rem 0; text-align: right; white-space: nowrap; vertical-align: top;
  border-bottom: 1px solid var(--faint); font-variant-numeric: tabular-nums; }
.word, .text { text-align: left; }
td.word, td.text { white-space: normal; }
td.text { overflow-wrap: anywhere; min-width: 16rem; }
pre { overflow-x: auto; border: 1px solid var(--faint); padding: .75rem; font-size: .8125rem; }
""".strip()


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return one page that needs nothing but itself."""
    body = "\n".join(map(_html, blocks))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_safe(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{_safe(title)}</h1>\n"
        f"{body}\n</body>\n</html>\n"
    )


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the same as Markdown; charts are at `charts/<name>.svg` beside it."""
    return "\n\n".join([f"# {_marked(title)}", *map(_markdown, blocks)]) + "\n"


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{_safe(text)}</h2>"
        case Paragraph(text):
            return f"<p>{_safe(text)}</p>"
        case Notes(points):
            return '<ul class="dim">' + "".join(f"<li>{_safe(point)}</li>" for point in points) + "</ul>"
        case Grid(head, rows, wide):
            top = "".join(f"<th{_kind(name, name in wide)}>{_safe(name)}</th>" for name in head)
            lines = []
            for row in rows:
                cells = (
                    f"<td{_kind(cell, name in wide)}>{_safe(cell)}</td>" for name, cell in zip(head, row, strict=True)
                )
                lines.append(f"<tr>{''.join(cells)}</tr>")
            return f'<div class="scroll"><table>\n<tr>{top}</tr>\n' + "\n".join(lines) + "\n</table></div>"
        case Listing(text):
            return f"<pre>{html.escape(inert(text, newlines=True))}</pre>"
        case _:
            return f"<figure>\n{block.inline}\n<figcaption>{_safe(block.caption)}</figcaption>\n</figure>"


def _kind(cell: str, is_text: bool) -> str:
    if not is_text:
        return ""
    return ' class="text"' if len(cell) > WRAP_CHARACTERS else ' class="word"'


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {_marked(text)}"
        case Paragraph(text):
            return _marked(text)
        case Notes(points):
            return "\n".join(f"- {_marked(point)}" for point in points)
        case Grid(head, rows, wide):
            rule = [":--" if name in wide else "--:" for name in head]
            lines = [map(_marked, head), rule, *(map(_marked, row) for row in rows)]
            return "\n".join("| " + " | ".join(line) + " |" for line in lines)
        case Listing(text):
            longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{inert(text, newlines=True)}\n{fence}"
        case _:
            return f"![{_marked(block.caption)}](charts/{block.name}.svg)"


def _safe(text: str) -> str:
    return html.escape(inert(text))


def _marked(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#$~])", r"\\\1", inert(text))
