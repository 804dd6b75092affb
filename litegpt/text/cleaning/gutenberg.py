"""Project Gutenberg's licence, before and after a book."""

from __future__ import annotations

import re
from collections.abc import Sequence

from litegpt.text.cleaning.lines import ChangeLog, TextLine

HEADER_LINES = 500
FOOTER_LINES = 600

_START = re.compile(r"\s*\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG|\s*\*END[* ]*THE SMALL PRINT", re.IGNORECASE)
_END = re.compile(
    r"\s*\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\s*End of (?:the |this )?Project Gutenberg(?:['\u2019]s| E-?(?:book|text))",
    re.IGNORECASE,
)


def remove_licence(lines: Sequence[TextLine], log: ChangeLog) -> list[TextLine]:
    """Keep only the books: remove the start and end marks, the text before a start and the text after an end."""
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
    for i in sorted(removed):
        log.note("gutenberg", lines[i], lines[i].text.strip() if i in starts or i in ends else "")
    return [line for i, line in enumerate(lines) if i not in removed]
