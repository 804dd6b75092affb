"""What a generated text has copied word for word from the training text."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.content import Content

from litegpt.plan.corpus import read_corpus
from litegpt.plan.errors import InputError
from litegpt.plan.study import Study

SHORTEST = 16  # characters: shorter agreements are the language's, not the memory's

LONGEST_CORPUS = 4_000_000  # characters: a plain search through more would hold the screen up


@dataclass
class Memory:
    """The training text; `spans` finds in another text what stands in it too."""

    training_text: str
    _found: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> Memory | None:
        """Read a study's training text, None where it cannot be read or is very long; off the screen's thread."""
        try:
            corpus = read_corpus(study.corpus, study.corpus_base)
        except InputError:
            return None
        if len(corpus.text) > LONGEST_CORPUS:
            return None
        return cls(corpus.text[: corpus.cut(study.validation_fraction)])

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the stretches of at least `SHORTEST` characters, as (start, end); each as long as it goes."""
        known = self._found.get(text)
        if known is None:
            known = self._found[text] = list(self._search(text))
        return known

    def longest(self, text: str) -> int:
        """Return the length of the longest stretch, 0 without one."""
        return max((end - start for start, end in self.spans(text)), default=0)

    def _search(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        start = 0
        while start + SHORTEST <= len(text):
            end = start + SHORTEST
            if text[start:end] not in self.training_text:
                start += 1
                continue
            while end < len(text) and text[start : end + 1] in self.training_text:
                end += 1
            spans.append((start, end))
            start = end
        return spans


def highlighted(text: str, memory: Memory | None) -> Content:
    """Return a text with its copied stretches lit, each followed by its length."""
    if memory is None:
        return Content(text)
    parts: list[Content | str | tuple[str, str]] = []
    at = 0
    for start, end in memory.spans(text):
        parts += [text[at:start], (text[start:end], "$accent"), (f"⟨{end - start}⟩", "$text-muted")]
        at = end
    return Content.assemble(*parts, text[at:])
