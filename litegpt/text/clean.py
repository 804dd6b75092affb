"""The cleaning rules in their order, over a text of any length.

A text goes through in parts of a megabyte, cut where a paragraph ends; what the rules measure (width, pages, words) is
measured in each, because a large text is many books, each typeset in its own way. The rules go over the text again
until they find nothing to do, so that a text that has been cleaned stays as it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from litegpt.text.capitals import restore_capitals
from litegpt.text.characters import CHARACTER_RULES, plain_spaces, single_spaces
from litegpt.text.furniture import find_furniture
from litegpt.text.gutenberg import remove_licence
from litegpt.text.lines import PAGE, Line, Log, Unfinished, is_terminal, read_lines, starts_lower, words_of
from litegpt.text.paragraphs import join_lines
from litegpt.text.spacing import single_spaced, unjustified, without_gutter
from litegpt.text.wrapping import CODE_SHARE, PAGED_CODE_SHARE, is_code, is_kept, measure

RULES = {
    "gutenberg": "remove Project Gutenberg's licence before and after a book",
    "mojibake": "repair what was decoded wrongly",
    "unicode": "compose letters, part ligatures, remove invisible characters",
    "quotes": "straighten quotes",
    "dashes": "write dashes as hyphens, an ellipsis as three points",
    "headers": "remove running headers, footers and page numbers",
    "capitals": "put drop capitals back to their words",
    "unwrap": "join the lines of paragraphs; verse, lists, tables and code stay",
    "hyphens": "put words together that a line's end broke",
    "spaces": "plain and single blanks, at most two blank lines",
}
"""What each rule does, in the order in which they are applied."""

PART_CHARACTERS = 1_000_000
ROUNDS = 6
BLANK_LINES = 2

Show = Callable[[Sequence[Line], Sequence[Line], Log], None]
"""Called for each part that changes: its lines before and after, and what touched them."""

Report = Callable[[int, int], None]
"""Called after each part: the number of the round, and how many characters it has been through."""


@dataclass
class Cleaned:
    """What came of a text."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    lines: tuple[int, int] = (0, 0)  # before, after
    characters: tuple[int, int] = (0, 0)


def clean_file(
    lines: Iterable[str],
    rules: Collection[str],
    folder: Path,
    show: Show | None = None,
    report: Report | None = None,
    part_characters: int = PART_CHARACTERS,
) -> tuple[Path, Cleaned]:
    """Clean a text into a file in `folder`; return the file and what was done. Memory holds a part of it at a time."""
    cleaned = Cleaned()
    source: Iterable[str] = lines
    for number in range(1, ROUNDS + 1):
        target = folder / f"round-{number}.txt"
        parts = _reported(_parts(source, part_characters), number, report)
        changed, before, after = _clean_round(parts, rules, target, cleaned, show)
        cleaned.lines = (cleaned.lines[0] or before[0], after[0])
        cleaned.characters = (cleaned.characters[0] or before[1], after[1])
        if not changed:
            break
        source = _read(target)
    return target, cleaned


def clean_text(text: str, rules: Collection[str] = tuple(RULES)) -> str:
    """Return a text that is in memory cleaned."""
    for _ in range(ROUNDS):
        part = [Line(number, line) for number, line in enumerate(split_lines(text), 1)]
        rounded = "".join(f"{line}\n" for line in _written(clean_part(part, rules, Log()), rules))
        if rounded == text:
            break
        text = rounded
    return text


def clean_part(part: Sequence[Line], rules: Collection[str], log: Log) -> Sequence[Line]:
    """Return a part of a text after one round of the rules; of code, only the characters are cleaned."""
    lines = remove_licence(part, log) if "gutenberg" in rules else part
    lines = _with_plain_characters(lines, rules, log)
    paged = any(line.text == PAGE for line in lines)
    if is_code((line.text for line in lines), PAGED_CODE_SHARE if paged else CODE_SHARE):
        return lines
    if "spaces" in rules:
        lines = unjustified(lines, log)
    if "headers" in rules:
        lines = _without_furniture(lines, log)
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
    """Return a text's lines; the end of a page is one of its own."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [piece for line in lines for piece in _pages_apart(line)]


def _pages_apart(line: str) -> list[str]:
    if PAGE not in line:
        return [line]
    first, *rest = line.split(PAGE)
    pieces = [first] if first else []
    for piece in rest:
        pieces += [PAGE, piece] if piece else [PAGE]
    return pieces


def _clean_round(
    parts: Iterable[list[Line]], rules: Collection[str], target: Path, cleaned: Cleaned, show: Show | None
) -> tuple[bool, tuple[int, int], tuple[int, int]]:
    """Clean once; return whether anything changed, and lines and characters before and after."""
    changed = False
    before, after = [0, 0], [0, 0]
    with target.open("w", encoding="utf-8", newline="\n", errors="surrogatepass") as file:
        for part in parts:
            log = Log(cleaned.counts, cleaned.examples, defaultdict(set) if show else None)
            whole = not isinstance(part[-1].text, Unfinished)
            lines = clean_part(part, rules, log) if whole else _with_plain_characters(part, rules, log)
            written = list(_written(lines, rules, first=not after[1]))
            same = written == list(_written(part, ()))
            changed |= not same
            if show and not same:
                show(part, lines, log)
            file.write("\n".join(written) + "\n" * (whole and bool(written)))
            before = [before[0] + len(part) * whole, before[1] + sum(len(line.text) + whole for line in part)]
            after = [after[0] + len(written) * whole, after[1] + sum(len(line) + whole for line in written)]
    return changed, (before[0], before[1]), (after[0], after[1])


def _reported(parts: Iterable[list[Line]], number: int, report: Report | None) -> Iterator[list[Line]]:
    characters = 0
    for part in parts:
        yield part
        characters += sum(len(line.text) + 1 for line in part)
        if report:
            report(number, characters)


def _parts(source: Iterable[str], part_characters: int) -> Iterator[list[Line]]:
    """Yield the text in parts, each cut where a blank line follows a sentence, or anywhere where none does for long."""
    part: list[Line] = []
    characters = 0
    number = 0
    for whole in source:
        if isinstance(whole, Unfinished):
            if part:
                yield part
            yield [Line(number + 1, whole)]
            part, characters = [], 0
            continue
        for text in _pages_apart(whole):
            number += 1
            line = Line(number, text)
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
        yield from read_lines(file)


def _written(lines: Iterable[Line], rules: Collection[str], first: bool = True) -> Iterator[str]:
    """Yield the lines as they are written: the end of a page begins the next line, blank lines do not pile up."""
    tidy = "spaces" in rules
    blanks, page = 0, ""
    started = not (first and tidy)
    for line in lines:
        if line.text == PAGE:
            page += PAGE
        elif tidy and not line.text and not page:
            blanks += 1
        else:
            yield from [""] * (min(blanks, BLANK_LINES) if started else 0)
            yield page + line.text
            blanks, page, started = 0, "", True
    if page:
        yield page


def _with_plain_characters(lines: Iterable[Line], rules: Collection[str], log: Log) -> list[Line]:
    chosen = [(name, rule) for name, rule in CHARACTER_RULES.items() if name in rules]
    if "spaces" in rules:
        chosen.append(("spaces", plain_spaces))
    changed: list[Line] = []
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
            changed += [Line(line.number, piece) for piece in text.split("\n")]
    return changed


def _difference(before: str, after: str) -> str:
    """Return where two lines begin to differ, a word or two of each."""
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    start = max(before.rfind(" ", 0, at) + 1, at - 12)
    return f"{before[start : at + 12].strip()} -> {after[start : at + 12].strip()}"


def _without_furniture(lines: Sequence[Line], log: Log) -> list[Line]:
    """Return the lines without running headers, footers and page numbers; the end of a page is in their place."""
    furniture = find_furniture(lines)
    for i in sorted(furniture):
        shown = lines[i].text.strip()
        log.note("headers", lines[i], shown if len(shown) > 4 else "")
    return [Line(line.number, PAGE) if i in furniture else line for i, line in enumerate(lines)]


def _without_pages(lines: Sequence[Line], log: Log, join: bool) -> list[Line]:
    """Return lines that are not wrapped without the ends of pages; with `join`, a sentence that one parts is joined."""
    kept: list[Line] = []
    paged: Line | None = None
    for line in lines:
        if line.text == PAGE:
            paged = line
        elif paged is None or line.blank:
            kept.append(line)
        else:
            log.note("headers", paged, count=0)
            above = next((other for other in reversed(kept) if not other.blank), None)
            gap = bool(kept) and kept[-1].blank
            if above and join and not is_terminal(above.text) and starts_lower(line.text) and not is_kept(above.text):
                while kept[-1].blank:
                    kept.pop()
                log.note("unwrap", line)
                kept[-1] = Line(above.number, f"{above.text.rstrip()} {line.text.lstrip()}")
            elif gap:
                while kept and kept[-1].blank:
                    kept.pop()
                kept += [Line(line.number, ""), line]
            else:
                kept.append(line)
            paged = None
    return kept


def _with_single_spaces(lines: Iterable[Line], log: Log) -> list[Line]:
    changed: list[Line] = []
    for line in lines:
        text, count = single_spaces(line.text, prose=line.joined)
        if count:
            log.note("spaces", line, count=count)
        changed.append(Line(line.number, text) if count else line)
    return changed
