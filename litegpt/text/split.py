"""The two splits of a text: what trials train on, and what they are measured on."""

from __future__ import annotations

import glob
import hashlib
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from litegpt.errors import InputError
from litegpt.study.split import SplitRule
from litegpt.text.corpus import Corpus, Range

BLOCKS = 100  # of a text; a large one has more
BLOCK_CHARACTERS_MAX = 1 << 16
STRETCH_CHARACTERS = 1 << 18  # of a sample of a long text


@dataclass(frozen=True)
class SplitText:
    """A text under a rule. Each split's pieces are joined as they come."""

    corpus: Corpus
    rule: SplitRule

    @cached_property
    def validation_ranges(self) -> list[Range]:
        """What of the text is for validation."""
        return validation_ranges(self.rule, self.corpus)

    @cached_property
    def digest(self) -> str:
        """What tells whether tokens belong to this text in these splits."""
        return hashlib.sha256(repr((self.corpus.sha256, self.validation_ranges)).encode()).hexdigest()

    @cached_property
    def train_ranges(self) -> list[Range]:
        """What of the text is for training: the rest."""
        edges = [0, *(edge for pair in self.validation_ranges for edge in pair), self.corpus.characters]
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]

    @property
    def train_characters(self) -> int:
        """The length of the training split."""
        return self.corpus.characters - self.validation_characters

    @property
    def validation_characters(self) -> int:
        """The length of the validation split."""
        return _length(self.validation_ranges)

    def train(self) -> Iterator[str]:
        """Yield the training split in pieces of a megabyte at most."""
        return self.corpus.read(self.train_ranges)

    def validation(self) -> Iterator[str]:
        """Yield the validation split in pieces of a megabyte at most."""
        return self.corpus.read(self.validation_ranges)

    @property
    def train_text(self) -> str:
        """The whole training split, for a text that is known to be small."""
        return "".join(self.train())

    @property
    def validation_text(self) -> str:
        """The whole validation split, for a text that is known to be small."""
        return "".join(self.validation())

    def check_length(self, block_size: int) -> None:
        """Raise InputError unless both splits hold at least one block and the character after it."""
        shorter = min(self.train_characters, self.validation_characters)
        if shorter <= block_size:
            raise InputError(
                f"the corpus is too short: its smaller split has {shorter:,} character{'s' * (shorter != 1)}, "
                f"and a block of {block_size:,} needs {block_size + 1:,}; use a longer text or a smaller block_size",
                self.corpus.path,
            )


def last(ranges: Sequence[Range], characters: int) -> list[Range]:
    """Return the last `characters` of some ranges."""
    length = _length(ranges)
    return cut(ranges, max(0, length - characters), length)


def spread(ranges: Sequence[Range], characters: int, stretch: int = STRETCH_CHARACTERS) -> list[Range]:
    """Return some ranges whole, or about `characters` of them, at least two stretches that are spread evenly."""
    length = _length(ranges)
    if length <= max(characters, 2 * stretch):
        return list(ranges)
    count = max(2, characters // stretch)
    starts = [number * (length - stretch) // (count - 1) for number in range(count)]
    return joined([part for start in starts for part in cut(ranges, start, start + stretch)])


def _length(ranges: Sequence[Range]) -> int:
    return sum(end - start for start, end in ranges)


def cut(ranges: Sequence[Range], start: int, end: int) -> list[Range]:
    """Return characters `start` to `end` of what the ranges are together."""
    parts, at = [], 0
    for first, after in ranges:
        part = (first + max(0, start - at), first + min(after - first, end - at))
        if part[0] < part[1]:
            parts.append(part)
        at += after - first
    return parts


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges in order, those that touch as one."""
    wider: list[Range] = []
    for start, end in ranges:
        if wider and wider[-1][1] == start:
            wider[-1] = (wider[-1][0], end)
        else:
            wider.append((start, end))
    return wider


def validation_ranges(rule: SplitRule, corpus: Corpus) -> list[Range]:
    """Return what of a text is for validation, in order and apart. InputError: no files match, or all do."""
    length = corpus.characters
    match rule.how:
        case "blocks":
            size = max(1, min(-(-length // BLOCKS), BLOCK_CHARACTERS_MAX))
            count = -(-length // size)
            wanted = min(max(1, round(count * rule.fraction)), max(1, count - 1), count)
            drawn = sorted(random.Random(rule.seed).sample(range(count), wanted))
            return joined([(block * size, min(length, (block + 1) * size)) for block in drawn])
        case "files":
            return joined(_file_ranges(rule, corpus))
    return [(int(length * (1 - rule.fraction)), length)]


def _file_ranges(rule: SplitRule, corpus: Corpus) -> list[Range]:
    """Return where the files stand that match, each with the line break that joins it to the next."""
    matching = {Path(os.path.normpath(found)) for found in glob.glob(rule.files or "", recursive=True)}
    scans = []
    for file in corpus.scan.files:
        path = Path(os.path.normpath(corpus.base / file.path))
        if not matching.isdisjoint((path, *path.parents)):
            scans.append(file)
    if not scans:
        raise InputError(f"validation_files matches none of the corpus's files: {rule.files}", corpus.path)
    if len(scans) == len(corpus.files):
        raise InputError(f"validation_files matches all of the corpus's files: {rule.files}", corpus.path)
    return [(file.start, min(file.end + 1, corpus.characters)) for file in scans]
