"""Wrapped lines joined to paragraphs. Verse, lists, tables and code keep their lines."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from litegpt.text.lines import PAGE, Line, Log, is_terminal, starts_lower
from litegpt.text.wrapping import Wrapping, is_code, is_item, is_kept, reach

Break = Literal["join", "line", "paragraph"]

PROSE_SHARE = 0.7  # of a block's line ends that are full: fewer, and it is verse
SHORT = 0.6  # of a full line: shorter ends a line of verse, or a heading, whatever follows
NEARLY = 0.85  # of a full line: where an indent begins a paragraph, a line without one goes on
CLOSING, OPENING = "\"'\u201d\u2019\u00bb", "\"'\u201c\u2018\u00ab"

_DASHED = re.compile("(?:--|\N{EM DASH})\\w")


def join_lines(
    lines: Sequence[Line], wrapping: Wrapping, words: Counter[str], log: Log, *, hyphens: bool
) -> list[Line]:
    """Return the lines with those of a paragraph joined; a blank line is between paragraphs.

    `words` tells what a word broken at a line's end is; with `hyphens` off, it stays in two.
    """
    joined: list[Line] = []
    fenced = _fenced(lines)
    for block in _blocks(lines):
        if joined or lines[0].blank:  # a part of a text begins with the blank line before it
            joined.append(Line(block[0].number, ""))
        joined += _join_block(block, wrapping, words, log, hyphens, fenced)
    return joined


def _fenced(lines: Sequence[Line]) -> set[int]:
    """Return the numbers of the lines in Markdown's fences."""
    inside = False
    fenced = set()
    for line in lines:
        fence = line.text.lstrip().startswith(("```", "~~~"))
        if fence or inside:
            fenced.add(line.number)
        inside ^= fence
    return fenced


def _blocks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield the runs of lines without a blank one; the end of a page, with the blank lines around it, ends none."""
    block: list[Line] = []
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
                block.append(Line(line.number, PAGE))
            block.append(line)
            gap = paged = False
    if block:
        yield block


def _join_block(
    block: Sequence[Line], wrapping: Wrapping, words: Counter[str], log: Log, hyphens: bool, fenced: set[int]
) -> list[Line]:
    lines = [line for line in block if line.text != PAGE]
    paged = {place - 1 for place, line in enumerate(_paged(block)) if line}
    keeps = _is_verse(lines, wrapping, paged, fenced)
    done: list[Line] = []
    current = Line(lines[0].number, _dedented(lines[0].text, wrapping))
    for place, (above, below) in enumerate(itertools.pairwise(lines)):
        if place in paged:
            heads = place + 2 == len(lines) and is_terminal(above.text) and not is_terminal(below.text)
            how = "paragraph" if heads else page_break(above.text, below.text, wrapping)
        elif keeps:
            how = "line"
        else:
            how = line_break(above.text, below.text, wrapping)
        text = _dedented(below.text, wrapping)
        if how == "join":
            current.text, current.joined = _joined(current, text.lstrip(), words, log, hyphens), True
            log.note("unwrap", below)
            log.note("unwrap", above, count=0)
            continue
        done.append(current)
        if how == "paragraph":
            done.append(Line(below.number, ""))
            text = text.lstrip()
        current = Line(below.number, text)
    done.append(current)
    for line in done:
        if line.joined or (len(done) == 1 and not is_kept(line.text) and not is_code([line.text])):
            line.text = line.text if is_item(line.text) else line.text.lstrip()
    return done


def _paged(block: Sequence[Line]) -> Iterator[bool]:
    """Yield for each line whether a page ended before it."""
    before = False
    for line in block:
        if line.text == PAGE:
            before = True
        else:
            yield before
            before = False


def _is_verse(lines: Sequence[Line], wrapping: Wrapping, paged: set[int], fenced: set[int]) -> bool:
    """Whether a block's lines end where their writer wanted: verse, or code that is set in."""
    if any(line.number in fenced for line in lines):
        return True
    if all(wrapping.indent(line.text) > 0 for line in lines) and is_code(line.text for line in lines):
        return True
    ends = [(a.text, b.text) for i, (a, b) in enumerate(itertools.pairwise(lines)) if i not in paged]
    if not ends or any(is_item(below) for _, below in ends):
        return False
    full = sum(wrapping.is_full(above, below) for above, below in ends)
    if wrapping.style == "spaced":
        return full < PROSE_SHARE * len(ends)
    sentences = sum(is_terminal(above) for above, _ in ends)
    return full == 0 and sentences < len(ends) / 2


def line_break(above: str, below: str, wrapping: Wrapping) -> Break:
    """Return what the end of a line within a block is."""
    if is_kept(above) or is_kept(below):
        return "line"
    if is_item(below) and (is_terminal(above) or is_item(above) or not wrapping.is_full(above, below)):
        return "line"
    if is_terminal(above) and below.isupper() and not is_terminal(below):
        return "line" if wrapping.style == "spaced" else "paragraph"
    full = wrapping.is_full(above, below)
    set_in = wrapping.indent(below)
    if wrapping.style == "indented":
        if set_in > 0 and not starts_lower(below):
            runs_on = full and not is_terminal(above) and wrapping.indent(above) > 0
            return "join" if runs_on else "paragraph"
        if full:
            return "join"
    elif full:
        talk = above.rstrip()[-1:] in CLOSING and is_terminal(above) and below.lstrip()[:1] in OPENING
        return "paragraph" if talk and wrapping.style == "plain" else "join"
    if not is_terminal(above):
        least = SHORT if starts_lower(below) else NEARLY if wrapping.style == "indented" else math.inf
        if reach(above, below) >= least * wrapping.full:
            return "join"
    return "paragraph" if wrapping.style == "plain" and is_terminal(above) else "line"


def page_break(above: str, below: str, wrapping: Wrapping) -> Break:
    """Return what the end of a page is to the paragraph it falls in."""
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
    talk = is_terminal(above) and below.lstrip()[:1] in OPENING
    return "paragraph" if talk and wrapping.style != "indented" else "join"


def _joined(current: Line, below: str, words: Counter[str], log: Log, hyphens: bool) -> str:
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
    """Whether a word broken after `head-` is written without the hyphen, going by what the text writes elsewhere."""
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
