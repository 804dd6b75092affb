"""Passages that occur twice in a text, found by hashing every window of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

WINDOW_DOUBLINGS = 6
WINDOW = 1 << WINDOW_DOUBLINGS
"""The shortest passage, in characters."""
PASSAGES = 5
DISTINCT_MIN = 10  # distinct characters of a passage worth showing; a line of dashes has fewer

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, with well mixed bits: 2^64 over the golden ratio


@dataclass(frozen=True)
class RepeatedPassage:
    """A passage that has occurred in the text before."""

    start: int
    earlier: int  # the start of its first occurrence
    length: int


@dataclass(frozen=True)
class Duplicates:
    """How much of a text is repeated."""

    share: float  # of all characters
    validation_share: float  # of the validation split, occurring in the training split
    passages: tuple[RepeatedPassage, ...]  # the longest


def find_duplicates(text: str, cut: int, joints: Iterable[int] = ()) -> Duplicates:
    """Find the passages of at least WINDOW characters that have occurred before; training ends at `cut`.

    `joints` are positions where parts from different places of a corpus meet; no passage spans one. It needs sixty
    bytes per character.
    """
    if len(text) < WINDOW:
        return Duplicates(0.0, 0.0, ())

    # Sorting brings equal windows together. The sort is stable, so the first of each run occurs first in the text.
    hashes = _window_hashes(text)
    order = np.argsort(hashes, kind="stable")
    run_starts = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))
    run_lengths = np.diff(run_starts, append=len(order))
    first = np.empty(len(order), dtype=np.int64)  # for each window, the first one that is equal
    first[order] = np.repeat(order[run_starts], run_lengths)
    repeated = first < np.arange(len(first))
    for joint in joints:
        repeated[max(0, joint - WINDOW + 1) : joint] = False

    passages = sorted(_passages(first, repeated), key=lambda passage: -passage.length)
    shown = (p for p in passages if len(set(text[p.start : p.start + p.length])) >= DISTINCT_MIN)
    validation = len(text) - cut
    copied = int(_covered(repeated & (first < cut), len(text))[cut:].sum()) if validation > 0 else 0
    return Duplicates(
        share=float(_covered(repeated, len(text)).mean()),
        validation_share=copied / validation if validation > 0 else 0.0,
        passages=tuple(passage for passage, _ in zip(shown, range(PASSAGES), strict=False)),
    )


def _window_hashes(text: str) -> np.ndarray:
    """Return a hash of the WINDOW characters from each position on, by doubling the width: 1, 2, 4, ... characters."""
    hashes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes *= _MULTIPLIER
    width = 1
    for _ in range(WINDOW_DOUBLINGS):
        # The product is meant to overflow.
        mixed = hashes[:-width] * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
        hashes = mixed + hashes[width:]
        width *= 2
    return hashes


def _covered(begins: np.ndarray, length: int) -> np.ndarray:
    """Return for each character whether a window that covers it is marked in `begins`."""
    steps = np.zeros(length + 1, dtype=np.int32)
    starts = np.flatnonzero(begins)
    steps[starts] += 1
    steps[starts + WINDOW] -= 1
    return np.cumsum(steps[:-1]) > 0


def _passages(first: np.ndarray, repeated: np.ndarray) -> list[RepeatedPassage]:
    """Join consecutive repeated windows whose first occurrences are consecutive too."""
    starts = np.flatnonzero(repeated)
    if not len(starts):
        return []
    breaks = np.flatnonzero((np.diff(starts) != 1) | (np.diff(first[starts]) != 1)) + 1
    begins, ends = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(starts)]])
    return [
        RepeatedPassage(int(starts[begin]), int(first[starts[begin]]), int(end - begin) + WINDOW - 1)
        for begin, end in zip(begins, ends, strict=True)
    ]
