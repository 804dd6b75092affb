"""A report as blocks, written as one HTML page or as Markdown with chart files."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from litegpt.display import inert

MARKER = "#010203"  # the colour of axes and text in charts
GREY = "#7d8590"  # legible on light and dark backgrounds
WRAP_CHARACTERS = 60  # longer text is wrapped


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Notes:
    """A list of points in plain text."""

    points: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table; the columns named in `wide` are text, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class ChartBlock:
    """A chart with a caption; its name becomes a file name."""

    name: str
    caption: str
    svg: str  # in MARKER colour

    @property
    def inline(self) -> str:
        """The chart in the colour of the surrounding text."""
        return self.svg.replace(MARKER, "currentColor")

    @property
    def file(self) -> str:
        """The chart as a file."""
        return '<?xml version="1.0" encoding="utf-8"?>\n' + self.svg.replace(MARKER, GREY)


Block = Heading | Paragraph | Notes | Grid | Listing | ChartBlock

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
    """Return one self-contained page."""
    body = "\n".join(map(_html, blocks))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_safe(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{_safe(title)}</h1>\n"
        f"{body}\n</body>\n</html>\n"
    )


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the report as Markdown that refers to `charts/<name>.svg`."""
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
    """Escape text for Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#$~])", r"\\\1", inert(text))
