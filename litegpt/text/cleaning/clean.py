"""The cleaning rules in their order, applied to a text of any length.

A text is cleaned in parts of a million characters, cut where a paragraph ends. The rules measure line width, pages and
words in each part, because a large text often consists of many books with different layouts. The rules are applied
again until they find nothing to change, so that cleaning a cleaned text changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from litegpt.text.cleaning.capitals import restore_capitals
from litegpt.text.cleaning.characters import CHARACTER_RULES, plain_spaces, single_spaces
from litegpt.text.cleaning.gutenberg import remove_licence
from litegpt.text.cleaning.headers import find_headers
from litegpt.text.cleaning.lines import (
    PAGE,
    ChangeLog,
    TextLine,
    UnfinishedLine,
    is_terminal,
    read_lines,
    starts_lower,
    words_of,
)
from litegpt.text.cleaning.paragraphs import join_lines
from litegpt.text.cleaning.spacing import single_spaced, unjustified, without_gutter
from litegpt.text.cleaning.wrapping import CODE_SHARE, PAGED_CODE_SHARE, has_two_columns, is_code, is_kept, measure

RULES = {
    "gutenberg": "remove Project Gutenberg's licence and notices",
    "mojibake": "repair text that was decoded with the wrong encoding",
    "unicode": "compose letters, split ligatures, remove invisible characters",
    "quotes": "straighten quotes",
    "dashes": "write dashes as hyphens and an ellipsis as three full stops",
    "headers": "remove running headers, footers and page numbers",
    "capitals": "put drop capitals back in front of their words",
    "unwrap": "join the lines of paragraphs; verse, lists, tables and code stay",
    "hyphens": "rejoin words that were broken at the end of a line",
    "spaces": "plain and single spaces, at most two blank lines",
}
"""The rules in the order in which they are applied, with what each one does."""

PART_CHARACTERS = 1_000_000
READ_CHARACTERS = 1 << 20
ROUNDS = 6
BLANK_LINES = 2

ShowChanges = Callable[[Sequence[TextLine], Sequence[TextLine], ChangeLog], None]
"""Called for each part that changes, with its lines before and after, and the rules that changed them."""

ReportProgress = Callable[[int, int], None]
"""Called after each part, with the number of the round and the characters that this round has processed."""


@dataclass
class CleaningResult:
    """The changes made to a text, and its size before and after."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    lines: tuple[int, int] = (0, 0)  # before, after
    characters: tuple[int, int] = (0, 0)
    column_lines: int = 0  # lines with two columns of prose side by side, which were not joined


def clean_file(
    lines: Iterable[str],
    rules: Collection[str],
    folder: Path,
    show: ShowChanges | None = None,
    report: ReportProgress | None = None,
    part_characters: int = PART_CHARACTERS,
) -> tuple[Path, CleaningResult]:
    """Clean a text into a file in `folder`; return the file and what was changed. Memory holds one part at a time."""
    result = CleaningResult()
    source: Iterable[str] = lines
    for number in range(1, ROUNDS + 1):
        target = folder / f"round-{number}.txt"
        parts = _reported(_parts(source, part_characters), number, report)
        changed, before, after = _clean_round(parts, rules, target, result, show)
        result.lines = (result.lines[0] or before[0], after[0])
        result.characters = (result.characters[0] or before[1], after[1])
        if not changed:
            break
        source = _read(target)
    return target, result


def clean_text(text: str, rules: Collection[str] = tuple(RULES)) -> str:
    """Clean a text that is in memory."""
    for _ in range(ROUNDS):
        part = [TextLine(number, line) for number, line in enumerate(split_lines(text), 1)]
        cleaned = "".join(f"{line}\n" for line in _written(clean_part(part, rules, ChangeLog()), rules))
        if cleaned == text:
            break
        text = cleaned
    return text


def cleaning_changes(text: str) -> ChangeLog:
    """Return what cleaning would change in the first PART_CHARACTERS of a text."""
    log = ChangeLog()
    beginning = split_lines(text[:PART_CHARACTERS])
    clean_part([TextLine(number, line) for number, line in enumerate(beginning, 1)], tuple(RULES), log)
    return log


def clean_part(part: Sequence[TextLine], rules: Collection[str], log: ChangeLog) -> Sequence[TextLine]:
    """Apply the rules once to a part of a text. In code and in two columns, only single characters are cleaned."""
    lines = remove_licence(part, log) if "gutenberg" in rules else part
    lines = _with_plain_characters(lines, rules, log)
    paged = any(line.text == PAGE for line in lines)
    if is_code((line.text for line in lines), PAGED_CODE_SHARE if paged else CODE_SHARE):
        return lines
    if has_two_columns(lines):
        log.column_lines = len(lines)
        return lines
    if "spaces" in rules:
        lines = unjustified(lines, log)
    if "headers" in rules:
        lines = _without_headers(lines, log)
    words = words_of(lines)
    if "capitals" in rules:
        lines = restore_capitals(lines, words, log)
    wrapping = None
    if "unwrap" in rules:
        single = single_spaced(without_gutter(lines))
        wrapping = measure(single)
        lines = lines if wrapping is None else single
    if wrapping is not None:
        lines = join_lines(lines, wrapping, words, log, hyphens="hyphens" in rules)
    elif "headers" in rules:
        lines = _without_pages(lines, log, join="unwrap" in rules)
    if "spaces" in rules:
        lines = _with_single_spaces(lines, log)
    return lines


def split_lines(text: str) -> list[str]:
    """Split a text into lines; the end of a page is a line of its own."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [piece for line in lines for piece in _split_pages(line)]


def _split_pages(line: str) -> list[str]:
    if PAGE not in line:
        return [line]
    first, *rest = line.split(PAGE)
    pieces = [first] if first else []
    for piece in rest:
        pieces += [PAGE, piece] if piece else [PAGE]
    return pieces


def _clean_round(
    parts: Iterable[list[TextLine]],
    rules: Collection[str],
    target: Path,
    result: CleaningResult,
    show: ShowChanges | None,
) -> tuple[bool, tuple[int, int], tuple[int, int]]:
    """Apply the rules once; return whether anything changed, and (lines, characters) before and after."""
    changed = False
    before, after = [0, 0], [0, 0]
    result.column_lines = 0
    with target.open("w", encoding="utf-8", newline="\n", errors="surrogatepass") as file:
        for part in parts:
            log = ChangeLog(result.counts, result.examples, defaultdict(set) if show else None)
            whole = not isinstance(part[-1].text, UnfinishedLine)
            lines = clean_part(part, rules, log) if whole else _with_plain_characters(part, rules, log)
            result.column_lines += log.column_lines
            written = list(_written(lines, rules, first=not after[1]))
            same = written == list(_written(part, ()))
            changed |= not same
            if show and not same:
                show(part, lines, log)
            file.write("\n".join(written) + "\n" * (whole and bool(written)))
            before = [before[0] + len(part) * whole, before[1] + sum(len(line.text) + whole for line in part)]
            after = [after[0] + len(written) * whole, after[1] + sum(len(line) + whole for line in written)]
    return changed, (before[0], before[1]), (after[0], after[1])


def _reported(parts: Iterable[list[TextLine]], number: int, report: ReportProgress | None) -> Iterator[list[TextLine]]:
    characters = 0
    for part in parts:
        yield part
        characters += sum(len(line.text) + 1 for line in part)
        if report:
            report(number, characters)


def _parts(source: Iterable[str], part_characters: int) -> Iterator[list[TextLine]]:
    """Yield the text in parts, cut at a blank line after a sentence, or anywhere if a part becomes too long."""
    part: list[TextLine] = []
    characters = 0
    number = 0
    for source_line in source:
        if isinstance(source_line, UnfinishedLine):
            if part:
                yield part
            yield [TextLine(number + 1, source_line)]
            part, characters = [], 0
            continue
        for text in _split_pages(source_line):
            number += 1
            line = TextLine(number, text)
            ends = line.blank and bool(part) and is_terminal(part[-1].text)
            if (characters > part_characters and ends) or characters > 1.2 * part_characters:
                yield part
                part, characters = [], 0
            part.append(line)
            characters += len(text) + 1
    if part:
        yield part


def _read(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n", errors="surrogatepass") as file:
        yield from read_lines(iter(lambda: file.read(READ_CHARACTERS), ""))


def _written(lines: Iterable[TextLine], rules: Collection[str], first: bool = True) -> Iterator[str]:
    """Yield the lines as they are written: a form feed starts the next line, and blank lines do not pile up."""
    limits_blanks = "spaces" in rules
    blanks = 0
    page = ""
    started = not (first and limits_blanks)
    for line in lines:
        if line.text == PAGE:
            page += PAGE
        elif limits_blanks and not line.text and not page:
            blanks += 1
        else:
            yield from [""] * (min(blanks, BLANK_LINES) if started else 0)
            yield page + line.text
            blanks, page, started = 0, "", True
    if page:
        yield page


def _with_plain_characters(lines: Iterable[TextLine], rules: Collection[str], log: ChangeLog) -> list[TextLine]:
    chosen = [(name, rule) for name, rule in CHARACTER_RULES.items() if name in rules]
    if "spaces" in rules:
        chosen.append(("spaces", plain_spaces))
    changed: list[TextLine] = []
    for line in lines:
        text = line.text
        if text != PAGE:
            for name, rule in chosen:
                before = text
                text, count = rule(text)
                if count:
                    log.note(name, line, "" if name in log.examples else _difference(before, text), count)
        if text == line.text:
            changed.append(line)
        else:
            changed += [TextLine(line.number, piece) for piece in text.split("\n")]
    return changed


def _difference(before: str, after: str) -> str:
    """Return the words around the first difference, as `before -> after`."""
    pairs = enumerate(zip(before, after, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(before), len(after)))
    start = max(before.rfind(" ", 0, first) + 1, first - 12)
    return f"{before[start : first + 12].strip()} -> {after[start : first + 12].strip()}"


def _without_headers(lines: Sequence[TextLine], log: ChangeLog) -> list[TextLine]:
    """Replace running headers, footers and page numbers by the end of a page."""
    headers = find_headers(lines)
    for i in sorted(headers):
        text = lines[i].text.strip()
        log.note("headers", lines[i], text if len(text) > 4 else "")
    return [TextLine(line.number, PAGE) if i in headers else line for i, line in enumerate(lines)]


def _without_pages(lines: Sequence[TextLine], log: ChangeLog, join: bool) -> list[TextLine]:
    """Remove the ends of pages from lines that are not wrapped; with `join`, rejoin the sentences they interrupt."""
    kept: list[TextLine] = []
    page_end: TextLine | None = None
    for line in lines:
        if line.text == PAGE:
            page_end = line
        elif page_end is None or line.blank:
            kept.append(line)
        else:
            log.note("headers", page_end, count=0)
            above = next((other for other in reversed(kept) if not other.blank), None)
            gap = bool(kept) and kept[-1].blank
            if above and join and not is_terminal(above.text) and starts_lower(line.text) and not is_kept(above.text):
                while kept[-1].blank:
                    kept.pop()
                log.note("unwrap", line)
                kept[-1] = TextLine(above.number, f"{above.text.rstrip()} {line.text.lstrip()}")
            elif gap:
                while kept and kept[-1].blank:
                    kept.pop()
                kept += [TextLine(line.number, ""), line]
            else:
                kept.append(line)
            page_end = None
    return kept


def _with_single_spaces(lines: Iterable[TextLine], log: ChangeLog) -> list[TextLine]:
    changed: list[TextLine] = []
    for line in lines:
        text, count = single_spaces(line.text, prose=line.joined)
        if count:
            log.note("spaces", line, count=count)
        changed.append(TextLine(line.number, text) if count else line)
    return changed
