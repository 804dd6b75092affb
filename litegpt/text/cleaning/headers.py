"""Running headers, footers and page numbers: lines that recur page by page, even in the middle of a sentence.

A line is not removed for being short or in capitals: the speakers of a play and the refrain of a song recur too. The
text must first show that it has pages, in one of three ways: form feeds that interrupt sentences; numbers that count
up at the distance of a page and interrupt sentences; or one line that recurs at a regular distance and interrupts
sentences.
"""

from __future__ import annotations

import itertools
import re
import statistics
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from litegpt.text.cleaning.lines import PAGE, TextLine, is_terminal, starts_lower

LONGEST_HEADER = 80  # characters
PAGE_LINES = (10, 150)  # fewest and most lines of a page, without blank ones
SKIPPED_PAGES = 4  # pages in a row without a number, as at the beginning of a chapter
PAGES_MIN = 3
INTERRUPTING_SHARE = 0.25  # of the page breaks interrupt a sentence; the others fall between paragraphs
EDGE_SHARE = 0.6  # of a header's occurrences are at the edge of a page; it may also occur as a heading
FULL_SHARE = 0.6  # of the usual line length: a longer line continues on the next
HEADER_SHARE = 0.8  # of the usual line length: a longer line is only a header if it recurs
SENTENCE_SHARE = 0.3  # of the pages must show a header that looks like a sentence
STACKED = 3  # headers on top of each other
REGULAR = 0.3  # share by which the length of pages varies

_NUMBER = r"(\d{1,4}|[clxvi]{1,9})"
_TOTAL = r"(?:\s*(?:/|of)\s*\d+)?"  # the number of pages
_SEPARATOR = r"[\s|\u2022\u00b7\u2013\u2014-]+"  # between number and header; some PDFs have none
_NUMBER_ALONE = re.compile(rf"[\W_]*(?i:page\s+)?{_NUMBER}{_TOTAL}[\W_]*")
_NUMBER_FIRST = re.compile(rf"{_NUMBER}(?:{_SEPARATOR}|(?<=\d)(?=[A-Z]))(\S.*)")
_NUMBER_LAST = re.compile(rf"(\S.*?)(?:{_SEPARATOR}(?i:page\s+)?|(?<=[^\W\d_])(?=\d)){_NUMBER}{_TOTAL}")
_SPACE = re.compile(r"\s+")
_WIDE_GAP = re.compile(r"^\d{1,4}\s{3,}\S|\S\s{3,}\d{1,4}$")
_ROMAN = re.compile("(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
_ROMAN_DIGITS = {"c": 100, "l": 50, "x": 10, "v": 5, "i": 1}


@dataclass(frozen=True)
class Candidate:
    """A line that is not blank, as a possible header."""

    index: int  # among all lines
    text: str
    key: str  # the text without number and case; empty for a number alone and for lines that cannot be headers
    number: int | None  # the number at its edge
    is_sentence: bool = False  # it looks like a sentence or a part of one: only a header if many pages show it


def read_candidate(index: int, text: str) -> Candidate:
    """Split a line into its page number and the text that recurs."""
    text = _SPACE.sub(" ", text.strip())
    if len(text) > LONGEST_HEADER:
        return Candidate(index, text, "", None)
    for pattern, number, key in ((_NUMBER_ALONE, 1, 0), (_NUMBER_FIRST, 1, 2), (_NUMBER_LAST, 2, 1)):
        matched = pattern.fullmatch(text)
        if matched and (value := _number_value(matched[number])) is not None:
            return Candidate(index, text, _key(matched[key]) if key else "", value)
    is_sentence = starts_lower(text) or (is_terminal(text) and not text.isupper())
    return Candidate(index, text, _key(text), None, is_sentence)


def _number_value(number: str) -> int | None:
    """Return the value of a decimal or small roman number; None for a word."""
    if number.isdecimal():
        return int(number)
    if not _ROMAN.fullmatch(number):
        return None
    values = [_ROMAN_DIGITS[digit] for digit in number]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _key(text: str) -> str:
    """Return a header's text for comparison. A single letter gives an empty key, because it may be a drop capital."""
    key = text.casefold().strip(" -|\u2022\u00b7\u2013\u2014*_[](){}")
    return key if sum(character.isalpha() for character in key) > 1 else ""


def _numbered_page_tops(lines: Sequence[TextLine]) -> set[int]:
    """Return the first lines of pages with a text, a wide gap and a page number that counts the form feeds.

    The gap distinguishes them from the numbered headings of chapters. Sentences need not continue on the next page.
    """
    tops: list[tuple[int, int]] = []  # index, number
    counting: set[int] = set()
    pages = 0
    is_top = True
    for i, line in enumerate(lines):
        if line.text == PAGE:
            pages += 1
            is_top = True
        elif is_top and not line.blank:
            is_top = False
            number = read_candidate(i, line.text).number
            if number is None or not _WIDE_GAP.search(line.text.strip()):
                continue
            if tops and number == tops[-1][1] + 1:
                counting |= {tops[-1][0], i}
            tops.append((i, number))
    return counting if len(counting) >= max(PAGES_MIN, EDGE_SHARE * pages) else set()


class HeaderFinder:
    """Finds the headers of a text. Positions count the lines that are not blank, so that pages have equal lengths."""

    def __init__(self, lines: Sequence[TextLine]) -> None:
        filled = ((i, line) for i, line in enumerate(lines) if not line.blank and line.text != PAGE)
        self.candidates = [read_candidate(i, line.text) for i, line in filled]
        self.headers: set[int] = set()  # positions in `candidates`
        self._regular: list[int] = []  # positions of a header that only one side of the pages shows, ascending
        self._after_page: set[int] = set()  # positions that follow a form feed
        self._positions: defaultdict[str, list[int]] = defaultdict(list)  # key -> positions

        position = 0
        for i, line in enumerate(lines):
            if line.text == PAGE:
                self._after_page.add(position)
            elif position < len(self.candidates) and self.candidates[position].index == i:
                position += 1

        # Lines that continue on the next line show how long a line of this text usually is.
        pairs = zip(self.candidates, self.candidates[1:], strict=False)
        flowing = [len(above.text) for above, below in pairs if starts_lower(below.text)]
        usual = statistics.median(flowing) if flowing else LONGEST_HEADER
        self._full = FULL_SHARE * usual

        recurring = Counter(candidate.key for candidate in self.candidates)
        edges = Counter(candidate.key for position, candidate in enumerate(self.candidates) if self._is_edge(position))
        sentence_min = max(PAGES_MIN, SENTENCE_SHARE * len(self._after_page))
        for position, candidate in enumerate(self.candidates):
            is_short = len(candidate.text) <= HEADER_SHARE * usual or recurring[candidate.key] >= PAGES_MIN
            is_on_many_pages = self._is_edge(position) and edges[candidate.key] >= sentence_min
            if candidate.key and is_short and (not candidate.is_sentence or is_on_many_pages):
                self._positions[candidate.key].append(position)

        # Form feeds between chapters are not page breaks.
        if not self._form_feeds_interrupt_sentences():
            self._after_page.clear()

    def find(self) -> set[int]:
        """Return the indices of the lines that are running headers, footers or page numbers."""
        self._take_numbers()
        self._take_regular()
        if self.headers or self._after_page:
            while self._take_neighbours():
                pass
            self._take_interrupting()
        return {self.candidates[position].index for position in self.headers}

    def _take_numbers(self) -> None:
        """Take the sequences of numbers that count the pages, one sequence per book."""
        numbered = [position for position, candidate in enumerate(self.candidates) if candidate.number is not None]
        period = self._period(numbered)
        if period is None:
            return
        for chain in self._chains(numbered, period):
            keys = Counter(self.candidates[position].key for position in chain)
            links = set(chain)
            sure = {p for p in chain if keys[self.candidates[p].key] > 1 or self._interrupts(p, links)}
            interruptions = sum(self._interrupts(position, sure) for position in sure)
            edges = sum(any(map(self._is_edge, (position - 1, position, position + 1))) for position in sure)
            is_proven = interruptions >= max(2, INTERRUPTING_SHARE * len(sure)) or edges >= EDGE_SHARE * len(sure)
            if len(sure) >= PAGES_MIN and is_proven:
                self.headers |= sure

    def _period(self, numbered: Sequence[int]) -> float | None:
        """Return the most common distance between consecutive numbers, which is the length of a page."""
        latest: dict[int, int] = {}  # number -> its latest position
        distances: Counter[int] = Counter()
        for position in numbered:
            number = self.candidates[position].number
            assert number is not None
            if number - 1 in latest and PAGE_LINES[0] <= position - latest[number - 1] <= PAGE_LINES[1]:
                distances[position - latest[number - 1]] += 1
            latest[number] = position
        if distances.total() < PAGES_MIN - 1:
            return None
        return max(distances, key=lambda d: sum(n for o, n in distances.items() if abs(o - d) <= REGULAR / 2 * d))

    def _chains(self, numbered: Sequence[int], period: float) -> Iterator[list[int]]:
        """Yield sequences of positions whose numbers grow with the pages between them, the longest first."""
        # The longest chain that ends at each position, and its last but one position.
        length: dict[int, int] = {}
        before: dict[int, int | None] = {}
        for order, position in enumerate(numbered):
            number = self.candidates[position].number or 0
            length[position], before[position] = 1, None
            for earlier in reversed(numbered[max(0, order - 100) : order]):
                growth = number - (self.candidates[earlier].number or 0)
                distance = position - earlier
                if distance > (SKIPPED_PAGES + 1.5) * period:
                    break
                fits = (
                    1 <= growth <= SKIPPED_PAGES and (growth - 1) * 0.6 * period < distance <= (growth + 1.3) * period
                )
                if fits and length[earlier] >= length[position]:
                    length[position], before[position] = length[earlier] + 1, earlier
        used: set[int] = set()
        for end in sorted(length, key=lambda position: -length[position]):
            if length[end] < PAGES_MIN:
                break
            chain: list[int] = []
            link: int | None = end
            while link is not None and link not in used:
                chain.append(link)
                link = before[link]
            used.update(chain)
            if len(chain) >= PAGES_MIN:
                yield chain[::-1]

    def _take_regular(self) -> None:
        """Take the line without a number that recurs most often at a regular distance."""
        best: list[int] = []
        for positions in self._positions.values():
            if len(positions) <= max(PAGES_MIN, len(best)) or not self.headers.isdisjoint(positions):
                continue
            distances = [b - a for a, b in itertools.pairwise(positions)]
            usual = statistics.median(distances)
            regular = sum(abs(distance - usual) <= REGULAR * usual for distance in distances)
            interruptions = sum(self._interrupts(position, set()) for position in positions)
            is_on_pages = PAGE_LINES[0] <= usual <= 2 * PAGE_LINES[1] and regular >= EDGE_SHARE * len(distances)
            if is_on_pages and interruptions >= max(2, INTERRUPTING_SHARE * len(positions)):
                best = positions
        self._regular = [position for position in best if not self._is_heading(position)]
        self.headers |= set(self._regular)

    def _take_neighbours(self) -> bool:
        """Take lines that recur beside headers or the end of a page. True if there were any."""
        count_before = len(self.headers)
        for key, positions in self._positions.items():
            edges = [position for position in positions if self._is_edge(position) or self._is_between(position)]
            recurs = len(positions) > 1 or self.candidates[positions[0]].number is not None
            interrupting = [position for position in positions if self._interrupts(position, self.headers)]
            is_at_edges = len(edges) >= max(2, EDGE_SHARE * len(positions))
            is_interrupting = len(interrupting) >= max(2, len(positions) / 2)
            if recurs and (is_at_edges or is_interrupting):
                chosen = edges if len(edges) >= len(interrupting) else [*edges, *interrupting]
                self.headers |= {p for p in chosen if not self._is_heading(p) or self._occurs_before(key, p)}
        # A number alone, or beside a header that recurs, is a page number if its neighbours count the same pages.
        self.headers |= {
            position
            for position, candidate in enumerate(self.candidates)
            if position not in self.headers
            and candidate.number is not None
            and (not candidate.key or len(self._positions.get(candidate.key, ())) > 1)
            and self._is_numbered_edge(position)
        }
        return len(self.headers) > count_before

    def _take_interrupting(self) -> None:
        """Take a title that is a heading once and later interrupts a sentence or stands beside a header."""
        for positions in self._positions.values():
            if len(positions) > 1 and not is_terminal(self.candidates[positions[0]].text):
                repeated = (position for position in positions[1:] if position not in self.headers)
                self.headers |= {p for p in repeated if self._is_edge(p) or self._interrupts(p, self.headers)}

    def _form_feeds_interrupt_sentences(self) -> bool:
        """Whether sentences continue after form feeds. If only chapters end there, a number is part of a heading."""
        interrupted = 0
        for position in self._after_page:
            above, below = position - 1, position
            while above >= 0 and (self.candidates[above].number is not None or self._recurs(above)):
                above -= 1
            while below < len(self.candidates) and (self.candidates[below].number is not None or self._recurs(below)):
                below += 1
            if above >= 0 and below < len(self.candidates):
                ends, continues = self.candidates[above].text, self.candidates[below].text
                interrupted += not is_terminal(ends) and starts_lower(continues)
        return interrupted >= max(PAGES_MIN - 1, INTERRUPTING_SHARE * len(self._after_page))

    def _is_edge(self, position: int) -> bool:
        """Whether a page begins or ends here, or only headers are between."""
        return (
            position in self._after_page
            or position + 1 in self._after_page
            or position - 1 in self.headers
            or position + 1 in self.headers
        )

    def _is_numbered_edge(self, position: int) -> bool:
        """Whether the number here continues the count of the nearest page numbers."""
        number = self.candidates[position].number
        for step in (-1, 1):
            for other in range(position + step, position + step * PAGE_LINES[1], step):
                if other in self.headers and self.candidates[other].number is not None:
                    growth = (number or 0) - (self.candidates[other].number or 0)
                    if 0 < growth * -step <= 2 and (self._is_edge(position) or not self.candidates[position].key):
                        return True
                    break
        return False

    def _is_heading(self, position: int) -> bool:
        """Whether this first occurrence is a heading: it follows the end of a sentence or another heading."""
        is_first = self._positions[self.candidates[position].key][0] == position
        return is_first and self.candidates[position].number is None and not self._interrupts(position, self.headers)

    def _occurs_before(self, key: str, position: int) -> bool:
        return any(other < position for other in self._positions[key])

    def _interrupts(self, position: int, headers: set[int]) -> bool:
        """Whether a sentence continues past this line: a full line comes before it and a small letter after it."""
        above, below = position - 1, position + 1
        while above in headers or (above >= position - STACKED and self._recurs(above)):
            above -= 1
        while below in headers or (below <= position + STACKED and self._recurs(below)):
            below += 1
        if above < 0 or below >= len(self.candidates):
            return False
        text = self.candidates[above].text
        return len(text) >= self._full and not is_terminal(text) and starts_lower(self.candidates[below].text)

    def _recurs(self, position: int) -> bool:
        """Whether this line recurs as often as a header, so that it may be one itself."""
        if not 0 <= position < len(self.candidates):
            return False
        return len(self._positions.get(self.candidates[position].key, ())) >= PAGES_MIN

    def _is_between(self, position: int) -> bool:
        """Whether this line is halfway between two regular headers, where facing pages have the other header."""
        following = bisect_left(self._regular, position)
        if not 0 < following < len(self._regular):
            return False
        before, after = position - self._regular[following - 1], self._regular[following] - position
        return before + after >= 2 * PAGE_LINES[0] and abs(before - after) <= REGULAR * (before + after)


def find_headers(lines: Sequence[TextLine]) -> set[int]:
    """Return the indices of the lines that are running headers, footers or page numbers."""
    return HeaderFinder(lines).find() | _numbered_page_tops(lines)
