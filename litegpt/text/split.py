"""The two splits of a corpus: the training split and the validation split."""

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

BLOCKS = 100  # per text; a large text has more
BLOCK_CHARACTERS_MAX = 1 << 16
SAMPLE_PART_CHARACTERS = 1 << 18  # of one part of a sample of a long text


@dataclass(frozen=True)
class SplitText:
    """A corpus with the rule that splits it. The ranges of a split are joined in their order."""

    corpus: Corpus
    rule: SplitRule

    @cached_property
    def validation_ranges(self) -> list[Range]:
        """The ranges of the text that are used for validation."""
        return validation_ranges(self.rule, self.corpus)

    @cached_property
    def digest(self) -> str:
        """A digest of the text and its splits, to recognise tokens that belong to them."""
        return hashlib.sha256(repr((self.corpus.sha256, self.validation_ranges)).encode()).hexdigest()

    @cached_property
    def train_ranges(self) -> list[Range]:
        """The ranges of the text that are used for training: all others."""
        edges = [0, *(edge for pair in self.validation_ranges for edge in pair), self.corpus.characters]
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]

    @property
    def train_characters(self) -> int:
        """The number of characters of the training split."""
        return self.corpus.characters - self.validation_characters

    @property
    def validation_characters(self) -> int:
        """The number of characters of the validation split."""
        return _length(self.validation_ranges)

    def train(self) -> Iterator[str]:
        """Yield the training split in pieces of at most a megabyte."""
        return self.corpus.read(self.train_ranges)

    def validation(self) -> Iterator[str]:
        """Yield the validation split in pieces of at most a megabyte."""
        return self.corpus.read(self.validation_ranges)

    @property
    def train_text(self) -> str:
        """The whole training split; use it only for texts that fit in memory."""
        return "".join(self.train())

    @property
    def validation_text(self) -> str:
        """The whole validation split; use it only for texts that fit in memory."""
        return "".join(self.validation())

    def check_length(self, block_size: int) -> None:
        """Raise InputError unless both splits contain at least one block and the character after it."""
        shorter = min(self.train_characters, self.validation_characters)
        if shorter <= block_size:
            raise InputError(
                f"the corpus is too short: its smaller split has {shorter:,} character{'s' * (shorter != 1)}, "
                f"and a block of {block_size:,} needs {block_size + 1:,}; use a longer text or a smaller block_size",
                self.corpus.path,
            )


def last(ranges: Sequence[Range], characters: int) -> list[Range]:
    """Return the last `characters` characters of some ranges."""
    length = _length(ranges)
    return cut(ranges, max(0, length - characters), length)


def spread(ranges: Sequence[Range], characters: int, part_length: int = SAMPLE_PART_CHARACTERS) -> list[Range]:
    """Return all ranges, or evenly spaced parts of them with about `characters` characters: at least two parts."""
    length = _length(ranges)
    if length <= max(characters, 2 * part_length):
        return list(ranges)
    count = max(2, characters // part_length)
    starts = [number * (length - part_length) // (count - 1) for number in range(count)]
    return joined([part for start in starts for part in cut(ranges, start, start + part_length)])


def _length(ranges: Sequence[Range]) -> int:
    return sum(end - start for start, end in ranges)


def cut(ranges: Sequence[Range], start: int, end: int) -> list[Range]:
    """Return characters `start` to `end` of the text that the ranges form together."""
    parts: list[Range] = []
    position = 0
    for first, after in ranges:
        part = (first + max(0, start - position), first + min(after - first, end - position))
        if part[0] < part[1]:
            parts.append(part)
        position += after - first
    return parts


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Merge ascending ranges that touch."""
    merged: list[Range] = []
    for start, end in ranges:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def validation_ranges(rule: SplitRule, corpus: Corpus) -> list[Range]:
    """Return the ranges for validation, ascending and apart. InputError: no files match, or all files do."""
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
    """Return the ranges of the files that match, each with the line break that joins it to the next."""
    matching = {Path(os.path.normpath(path)) for path in glob.glob(rule.files or "", recursive=True)}
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
