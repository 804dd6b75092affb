"""Project Gutenberg's licence before and after a book, and its notices inside the book."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from litegpt.text.cleaning.lines import ChangeLog, TextLine

HEADER_LINES = 500
FOOTER_LINES = 600
NOTICE_LINES = 12

_START = re.compile(r"\s*\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG|\s*\*END[* ]*THE SMALL PRINT", re.IGNORECASE)
_END = re.compile(
    r"\s*\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\s*End of (?:the |this )?Project Gutenberg(?:['\u2019]s| E-?(?:book|text))",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"[\s*]*(?:The |This is the )?Project Gutenberg(?:['\u2019]s)? (?:E-?text|E-?book)\b"
    r"|\s*This header should be the first thing seen\b"
    r"|\s*(?:Produced|\[?(?:This )?E-?(?:text|book) (?:was )?(?:prepared|produced)) by\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"Project\s+Gutenberg", re.IGNORECASE)


def remove_licence(lines: Sequence[TextLine], log: ChangeLog) -> list[TextLine]:
    """Keep only the books: remove the marks, everything before a start mark or after an end mark, and notices."""
    starts = [i for i, line in enumerate(lines) if _START.match(line.text)]
    ends = [i for i, line in enumerate(lines) if _END.match(line.text)]
    removed: set[int] = set()
    for start in starts:
        begin = max((end for end in ends if end < start), default=0)
        if start - begin <= (FOOTER_LINES if begin else 0) + HEADER_LINES:
            removed.update(range(begin, start + 1))
    for end in ends:
        next_start = next((start for start in starts if start > end), len(lines))
        removed.add(end)
        if next_start - end <= FOOTER_LINES:
            removed.update(range(end, next_start))
    if starts or ends:
        for begin in (-1, *starts):
            removed.update(_title_lines(lines, begin + 1))
    named = {*starts, *ends}
    for notice in _notices(lines):
        removed.update(notice)
        named.add(notice[0])
    for i in sorted(removed):
        log.note("gutenberg", lines[i], lines[i].text.strip() if i in named else "")
    return [line for i, line in enumerate(lines) if i not in removed]


def _title_lines(lines: Sequence[TextLine], begin: int) -> Iterator[int]:
    """Yield the lines of title and credits, in the first paragraphs of a book that begins at a line."""
    paragraph: list[int] = []
    for i in range(begin, min(begin + HEADER_LINES, len(lines))):
        if not lines[i].blank:
            paragraph.append(i)
        elif paragraph:
            if not _TITLE.match(lines[paragraph[0]].text):
                return
            yield from (*paragraph, i)
            paragraph = []


def _notices(lines: Sequence[TextLine]) -> Iterator[range]:
    """Yield the lines of notices in double angle brackets that name Project Gutenberg."""
    for begin, line in enumerate(lines):
        if not line.text.lstrip().startswith("<<"):
            continue
        for end in range(begin, min(begin + NOTICE_LINES, len(lines))):
            if lines[end].text.rstrip().endswith(">>"):
                if _NAME.search(" ".join(lines[i].text for i in range(begin, end + 1))):
                    is_followed_by_blank = end + 1 < len(lines) and lines[end + 1].blank
                    yield range(begin, end + 1 + is_followed_by_blank)
                break
