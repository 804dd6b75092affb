"""Running headers, footers and page numbers: lines that recur page by page, whatever sentence they interrupt.

Nothing is taken for one because it is short or in capitals: speakers of a play and refrains recur too. There has to be
evidence of pages first, which is one of: form feeds that part sentences; numbers that count up at a page's distance
and interrupt sentences; one line that recurs at a regular distance and interrupts sentences.
"""

from __future__ import annotations

import itertools
import statistics
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from litegpt.text.entries import LONGEST, read_entry
from litegpt.text.lines import PAGE, Line, is_terminal, starts_lower

PAGE_LINES = (10, 150)  # that are not blank, the least and the most on a page
SKIPPED_PAGES = 4  # a page without a number, where a chapter begins
PAGES_MIN = 3
INTERRUPTING_SHARE = 0.25  # of page breaks: paragraphs, not sentences, end at the others
EDGE_SHARE = 0.6  # of a header's occurrences: it may stand once more, as a heading
FULL_SHARE = 0.6  # of a common line's length: a line that has run on
HEADER_SHARE = 0.8  # of the same: more is no header, unless it recurs
SENTENCE_SHARE = 0.3  # of the pages: with what is a header though it looks like a sentence
STACKED = 3  # headers over one another
REGULAR = 0.3  # by which share a page's length varies


class Pages:
    """The entries of a text, and which of them are furniture."""

    def __init__(self, lines: Sequence[Line]) -> None:
        filled = ((i, line) for i, line in enumerate(lines) if not line.blank and line.text != PAGE)
        self.entries = [read_entry(i, line.text) for i, line in filled]
        self.furniture: set[int] = set()  # places in `entries`
        self._regular: list[int] = []  # of one side of the pages alone, in order
        self._after_page: set[int] = set()
        place = 0
        for i, line in enumerate(lines):
            if line.text == PAGE:
                self._after_page.add(place)
            elif place < len(self.entries) and self.entries[place].index == i:
                place += 1
        flowing = [len(a.text) for a, b in zip(self.entries, self.entries[1:], strict=False) if starts_lower(b.text)]
        middle = statistics.median(flowing) if flowing else LONGEST
        self._full = FULL_SHARE * middle
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        recurring = Counter(entry.key for entry in self.entries)
        edges = Counter(entry.key for place, entry in enumerate(self.entries) if self._is_edge(place))
        sentence_min = max(PAGES_MIN, SENTENCE_SHARE * len(self._after_page))
        for place, entry in enumerate(self.entries):
            short = len(entry.text) <= HEADER_SHARE * middle or recurring[entry.key] >= PAGES_MIN
            said = entry.is_sentence and not (self._is_edge(place) and edges[entry.key] >= sentence_min)
            if entry.key and short and not said:
                self._places[entry.key].append(place)
        if not self._parts_sentences():
            self._after_page.clear()

    def find(self) -> set[int]:
        """Return the indices of the lines that are furniture."""
        self._take_numbers()
        self._take_regular()
        if self.furniture or self._after_page:
            while self._take_neighbours():
                pass
            self._take_interrupting()
        return {self.entries[place].index for place in self.furniture}

    def _take_numbers(self) -> None:
        """Take the runs of numbers that count the pages: one a book."""
        numbered = [place for place, entry in enumerate(self.entries) if entry.number is not None]
        period = self._period(numbered)
        if period is None:
            return
        for chain in self._chains(numbered, period):
            keys = Counter(self.entries[place].key for place in chain)
            links = set(chain)
            sure = {p for p in chain if keys[self.entries[p].key] > 1 or self._interrupts(p, links)}
            cuts = sum(self._interrupts(place, sure) for place in sure)
            edges = sum(any(map(self._is_edge, (place - 1, place, place + 1))) for place in sure)
            shown = cuts >= max(2, INTERRUPTING_SHARE * len(sure)) or edges >= EDGE_SHARE * len(sure)
            if len(sure) >= PAGES_MIN and shown:
                self.furniture |= sure

    def _period(self, numbered: Sequence[int]) -> float | None:
        """Return how far apart consecutive numbers commonly are."""
        last: dict[int, int] = {}  # number -> its latest place
        distances: Counter[int] = Counter()
        for place in numbered:
            number = self.entries[place].number
            assert number is not None
            if number - 1 in last and PAGE_LINES[0] <= place - last[number - 1] <= PAGE_LINES[1]:
                distances[place - last[number - 1]] += 1
            last[number] = place
        if distances.total() < PAGES_MIN - 1:
            return None
        return max(distances, key=lambda d: sum(n for o, n in distances.items() if abs(o - d) <= REGULAR / 2 * d))

    def _chains(self, numbered: Sequence[int], period: float) -> Iterator[list[int]]:
        """Yield the runs in which the number grows as the pages between allow, the longest first."""
        length: dict[int, int] = {}
        before: dict[int, int | None] = {}
        for at, place in enumerate(numbered):
            number = self.entries[place].number or 0
            length[place], before[place] = 1, None
            for earlier in reversed(numbered[max(0, at - 100) : at]):
                grown = number - (self.entries[earlier].number or 0)
                distance = place - earlier
                if distance > (SKIPPED_PAGES + 1.5) * period:
                    break
                fits = 1 <= grown <= SKIPPED_PAGES and (grown - 1) * 0.6 * period < distance <= (grown + 1.3) * period
                if fits and length[earlier] >= length[place]:
                    length[place], before[place] = length[earlier] + 1, earlier
        used: set[int] = set()
        for end in sorted(length, key=lambda place: -length[place]):
            if length[end] < PAGES_MIN:
                break
            chain: list[int] = []
            at_end: int | None = end
            while at_end is not None and at_end not in used:
                chain.append(at_end)
                at_end = before[at_end]
            used.update(chain)
            if len(chain) >= PAGES_MIN:
                yield chain[::-1]

    def _take_regular(self) -> None:
        """Take the line that recurs most at a regular distance, of those that no number tells."""
        best: list[int] = []
        for places in self._places.values():
            if len(places) <= max(PAGES_MIN, len(best)) or not self.furniture.isdisjoint(places):
                continue
            distances = [b - a for a, b in itertools.pairwise(places)]
            middle = statistics.median(distances)
            regular = sum(abs(distance - middle) <= REGULAR * middle for distance in distances)
            cuts = sum(self._interrupts(place, set()) for place in places)
            on_pages = PAGE_LINES[0] <= middle <= 2 * PAGE_LINES[1] and regular >= EDGE_SHARE * len(distances)
            if on_pages and cuts >= max(2, INTERRUPTING_SHARE * len(places)):
                best = places
        self._regular = [place for place in best if not self._is_heading(place)]
        self.furniture |= set(self._regular)

    def _take_neighbours(self) -> bool:
        """Take what recurs beside furniture or the end of a page; return whether anything was."""
        before = len(self.furniture)
        for key, places in self._places.items():
            edges = [place for place in places if self._is_edge(place) or self._is_between(place)]
            recurs = len(places) > 1 or self.entries[places[0]].number is not None
            cuts = [place for place in places if self._interrupts(place, self.furniture)]
            if recurs and (len(edges) >= max(2, EDGE_SHARE * len(places)) or len(cuts) >= max(2, len(places) / 2)):
                where = edges if len(edges) >= len(cuts) else [*edges, *cuts]
                self.furniture |= {p for p in where if not self._is_heading(p) or self._heads_before(key, p)}
        self.furniture |= {
            place
            for place, entry in enumerate(self.entries)
            if place not in self.furniture
            and entry.number is not None
            and (not entry.key or len(self._places.get(entry.key, ())) > 1)
            and self._is_numbered_edge(place)
        }
        return len(self.furniture) > before

    def _take_interrupting(self) -> None:
        """Take a title that stands in the middle of a sentence, or beside furniture, and is a heading elsewhere."""
        for places in self._places.values():
            if len(places) > 1 and not is_terminal(self.entries[places[0]].text):
                again = (place for place in places[1:] if place not in self.furniture)
                self.furniture |= {p for p in again if self._is_edge(p) or self._interrupts(p, self.furniture)}

    def _parts_sentences(self) -> bool:
        """Whether sentences run on over form feeds: where chapters alone end, a number after one is a heading's."""
        parted = 0
        for place in self._after_page:
            above, below = place - 1, place
            while above >= 0 and (self.entries[above].number is not None or self._recurs(above)):
                above -= 1
            while below < len(self.entries) and (self.entries[below].number is not None or self._recurs(below)):
                below += 1
            if above >= 0 and below < len(self.entries):
                parted += not is_terminal(self.entries[above].text) and starts_lower(self.entries[below].text)
        return parted >= max(PAGES_MIN - 1, INTERRUPTING_SHARE * len(self._after_page))

    def _is_edge(self, place: int) -> bool:
        """Whether a page begins or ends here, or only furniture is between."""
        return (
            place in self._after_page
            or place + 1 in self._after_page
            or place - 1 in self.furniture
            or place + 1 in self.furniture
        )

    def _is_numbered_edge(self, place: int) -> bool:
        """Whether the number here is the one that the pages around have."""
        number = self.entries[place].number
        for step in (-1, 1):
            for other in range(place + step, place + step * PAGE_LINES[1], step):
                if other in self.furniture and self.entries[other].number is not None:
                    grown = (number or 0) - (self.entries[other].number or 0)
                    if 0 < grown * -step <= 2 and (self._is_edge(place) or not self.entries[place].key):
                        return True
                    break
        return False

    def _is_heading(self, place: int) -> bool:
        """Whether this, the first of its kind, stands as a heading does: after a sentence's end or another heading."""
        first = self._places[self.entries[place].key][0] == place
        return first and self.entries[place].number is None and not self._interrupts(place, self.furniture)

    def _heads_before(self, key: str, place: int) -> bool:
        return any(other < place for other in self._places[key])

    def _interrupts(self, place: int, furniture: set[int]) -> bool:
        """Whether a sentence runs on past this line: a full line before it, a small letter after it."""
        above, below = place - 1, place + 1
        while above in furniture or (above >= place - STACKED and self._recurs(above)):
            above -= 1
        while below in furniture or (below <= place + STACKED and self._recurs(below)):
            below += 1
        if above < 0 or below >= len(self.entries):
            return False
        text = self.entries[above].text
        return len(text) >= self._full and not is_terminal(text) and starts_lower(self.entries[below].text)

    def _recurs(self, place: int) -> bool:
        """Whether this may be a header itself: it recurs as one does, though nothing has shown it yet."""
        return 0 <= place < len(self.entries) and len(self._places.get(self.entries[place].key, ())) >= PAGES_MIN

    def _is_between(self, place: int) -> bool:
        """Whether this is halfway from one piece of furniture to the next, where the other side's header is."""
        at = bisect_left(self._regular, place)
        if not 0 < at < len(self._regular):
            return False
        before, after = place - self._regular[at - 1], self._regular[at] - place
        return before + after >= 2 * PAGE_LINES[0] and abs(before - after) <= REGULAR * (before + after)


def find_furniture(lines: Sequence[Line]) -> set[int]:
    """Return the indices of the lines that are running headers, footers or page numbers."""
    return Pages(lines).find()
