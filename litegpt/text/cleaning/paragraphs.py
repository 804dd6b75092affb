"""Joining wrapped lines to paragraphs. Verse, lists, tables and code keep their lines."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from litegpt.text.cleaning.lines import PAGE, ChangeLog, TextLine, is_terminal, starts_lower
from litegpt.text.cleaning.wrapping import Wrapping, is_code, is_item, is_kept, reach

Break = Literal["join", "line", "paragraph"]

PROSE_SHARE = 0.7  # of a block's lines are full in prose; fewer in verse
SHORT = 0.6  # of a full line; a shorter line is a heading or a line of verse
NEARLY = 0.85  # of a full line, in a text whose paragraphs begin with an indent: the paragraph continues
CLOSING, OPENING = "\"'\u201d\u2019\u00bb", "\"'\u201c\u2018\u00ab"

_DASHED = re.compile("(?:--|\N{EM DASH})\\w")


def join_lines(
    lines: Sequence[TextLine], wrapping: Wrapping, words: Counter[str], log: ChangeLog, *, hyphens: bool
) -> list[TextLine]:
    """Join the lines of each paragraph and put a blank line between paragraphs.

    `words` counts the words of the text; it decides how a word broken at the end of a line is written. Without
    `hyphens`, such a word keeps its hyphen.
    """
    joined: list[TextLine] = []
    fenced = _fenced(lines)
    for block in _blocks(lines):
        # A part of a text begins with the blank line before its first block.
        if joined or lines[0].blank:
            joined.append(TextLine(block[0].number, ""))
        joined += _join_block(block, wrapping, words, log, hyphens, fenced)
    return joined


def _fenced(lines: Sequence[TextLine]) -> set[int]:
    """Return the numbers of the lines in Markdown code fences."""
    inside = False
    fenced = set()
    for line in lines:
        fence = line.text.lstrip().startswith(("```", "~~~"))
        if fence or inside:
            fenced.add(line.number)
        inside ^= fence
    return fenced


def _blocks(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Yield the runs of lines without a blank line. The end of a page, with its blank lines, does not end a run."""
    block: list[TextLine] = []
    gap = paged = False
    for line in lines:
        if line.text == PAGE:
            paged = True
        elif line.blank:
            gap = True
        else:
            if block and gap and not paged:
                yield block
                block = []
            elif block and paged:
                block.append(TextLine(line.number, PAGE))
            block.append(line)
            gap = paged = False
    if block:
        yield block


def _join_block(
    block: Sequence[TextLine], wrapping: Wrapping, words: Counter[str], log: ChangeLog, hyphens: bool, fenced: set[int]
) -> list[TextLine]:
    """Return the paragraphs and single lines of a block; a blank line separates paragraphs."""
    lines = [line for line in block if line.text != PAGE]
    # Indices of the lines after which a page ends.
    page_ends = {index - 1 for index, is_first in enumerate(_starts_page(block)) if is_first}
    keeps_lines = _is_verse(lines, wrapping, page_ends, fenced)
    done: list[TextLine] = []
    current = TextLine(lines[0].number, _dedented(lines[0].text, wrapping))
    for index, (above, below) in enumerate(itertools.pairwise(lines)):
        becomes: Break
        if index in page_ends:
            is_heading = index + 2 == len(lines) and is_terminal(above.text) and not is_terminal(below.text)
            becomes = "paragraph" if is_heading else page_break(above.text, below.text, wrapping)
        elif keeps_lines:
            becomes = "line"
        else:
            becomes = line_break(above.text, below.text, wrapping)
        text = _dedented(below.text, wrapping)
        if becomes == "join":
            current.text, current.joined = _joined(current, text.lstrip(), words, log, hyphens), True
            log.note("unwrap", below)
            log.note("unwrap", above, count=0)
            continue
        done.append(current)
        if becomes == "paragraph":
            done.append(TextLine(below.number, ""))
            text = text.lstrip()
        current = TextLine(below.number, text)
    done.append(current)
    # A paragraph begins without an indent. Code, tables and lines of verse keep theirs.
    for line in done:
        if line.joined or (len(done) == 1 and not is_kept(line.text) and not is_code([line.text])):
            line.text = line.text if is_item(line.text) else line.text.lstrip()
    return done


def _starts_page(block: Sequence[TextLine]) -> Iterator[bool]:
    """For each line, yield whether a page ended before it."""
    page_ended = False
    for line in block:
        if line.text == PAGE:
            page_ended = True
        else:
            yield page_ended
            page_ended = False


def _is_verse(lines: Sequence[TextLine], wrapping: Wrapping, page_ends: set[int], fenced: set[int]) -> bool:
    """Whether the writer chose the line ends of a block: verse, or indented code."""
    if any(line.number in fenced for line in lines):
        return True
    if all(wrapping.indent(line.text) > 0 for line in lines) and is_code(line.text for line in lines):
        return True
    ends = [(a.text, b.text) for i, (a, b) in enumerate(itertools.pairwise(lines)) if i not in page_ends]
    if not ends or any(is_item(below) for _, below in ends):
        return False
    full = sum(wrapping.is_full(above, below) for above, below in ends)
    if wrapping.style == "spaced":
        return full < PROSE_SHARE * len(ends)
    sentences = sum(is_terminal(above) for above, _ in ends)
    return full == 0 and sentences < len(ends) / 2


def line_break(above: str, below: str, wrapping: Wrapping) -> Break:
    """Decide what a line break inside a block becomes."""
    if is_kept(above) or is_kept(below):
        return "line"
    if is_item(below) and (is_terminal(above) or is_item(above) or not wrapping.is_full(above, below)):
        return "line"
    if is_terminal(above) and below.isupper() and not is_terminal(below):
        return "line" if wrapping.style == "spaced" else "paragraph"
    full = wrapping.is_full(above, below)
    indent = wrapping.indent(below)
    if wrapping.style == "indented":
        if indent > 0 and not starts_lower(below):
            runs_on = full and not is_terminal(above) and wrapping.indent(above) > 0
            return "join" if runs_on else "paragraph"
        if full:
            return "join"
    elif full:
        is_dialogue = above.rstrip()[-1:] in CLOSING and is_terminal(above) and below.lstrip()[:1] in OPENING
        return "paragraph" if is_dialogue and wrapping.style == "plain" else "join"
    if not is_terminal(above):
        least = SHORT if starts_lower(below) else NEARLY if wrapping.style == "indented" else math.inf
        if reach(above, below) >= least * wrapping.full:
            return "join"
    return "paragraph" if wrapping.style == "plain" and is_terminal(above) else "line"


def page_break(above: str, below: str, wrapping: Wrapping) -> Break:
    """Decide what the end of a page becomes."""
    if is_kept(above) or is_kept(below):
        return "line"
    if starts_lower(below) and not is_terminal(above):
        return "join"
    if is_terminal(above) and (is_item(below) or (below.isupper() and not is_terminal(below))):
        return "paragraph"
    if wrapping.style == "indented" and wrapping.indent(below) > 0:
        return "paragraph"
    if not wrapping.is_full(above, below):
        return "paragraph"
    is_dialogue = is_terminal(above) and below.lstrip()[:1] in OPENING
    return "paragraph" if is_dialogue and wrapping.style != "indented" else "join"


def _joined(current: TextLine, below: str, words: Counter[str], log: ChangeLog, hyphens: bool) -> str:
    above = current.text.rstrip()
    if above.endswith("-") and not above.endswith("--") and above[-2:-1].isalpha() and below[:1].isalpha():
        if not hyphens:
            return above + below
        head = above[:-1].rpartition(" ")[2]
        tail = below.partition(" ")[0]
        if _is_one_word(head, tail, words):
            log.note("hyphens", current, f"{head}- {tail} -> {head}{tail}")
            return above[:-1] + below
        return above + below
    if above.endswith(("--", "\N{EM DASH}")) and not above.endswith((" --", " \N{EM DASH}")) and below[:1].isalpha():
        return above + below
    return above + below if _DASHED.match(below) and above[-1:].isalnum() else f"{above} {below}"


def _is_one_word(head: str, tail: str, words: Counter[str]) -> bool:
    """Whether a word broken after `head-` is written without the hyphen, as elsewhere in the text."""
    head = "".join(c for c in head.casefold() if c.isalpha() or c == "-")
    end = next((i for i, c in enumerate(tail) if not (c.isalpha() or c == "-")), len(tail))
    if tail[:1].isupper() and not head.isupper():
        return False
    rest = tail[:end].casefold()
    whole, compound = words[head + rest], words[f"{head}-{rest}"]
    if whole or compound:
        return whole >= compound
    return not (words[head] > 0 and words[rest] > 1 and min(len(head), len(rest)) > 2)


def _dedented(text: str, wrapping: Wrapping) -> str:
    return text[min(wrapping.margin, len(text) - len(text.lstrip())) :].rstrip()
