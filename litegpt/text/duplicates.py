"""Passages that a text holds twice, found by hashes of its windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

WINDOW_DOUBLINGS = 6
WINDOW = 1 << WINDOW_DOUBLINGS
"""Characters that a passage has at least."""
PASSAGES = 5
TELLING_CHARACTERS = 10  # different ones: fewer is a line of dashes

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits well mixed: 2^64 over the golden ratio


@dataclass(frozen=True)
class Passage:
    """A stretch of text that stands in the text before."""

    start: int
    earlier: int  # where it stands first
    length: int


@dataclass(frozen=True)
class Duplicates:
    """How much of a text it holds twice."""

    share: float  # of all characters
    validation_share: float  # of the validation split's, standing in the training split
    passages: tuple[Passage, ...]  # the longest


def find_duplicates(text: str, cut: int, joints: Iterable[int] = ()) -> Duplicates:
    """Return what of `text` stands in it before, in passages of WINDOW characters and more; training ends at `cut`.

    At `joints` begins what does not belong to what is before it. It takes sixty bytes a character.
    """
    if len(text) < WINDOW:
        return Duplicates(0.0, 0.0, ())
    hashes = _window_hashes(text)
    order = np.argsort(hashes, kind="stable")
    begins = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))  # of the runs of equal windows
    lengths = np.diff(begins, append=len(order))
    first = np.empty(len(order), dtype=np.int64)
    first[order] = np.repeat(order[begins], lengths)
    places = np.arange(len(first))
    again = first < places
    for joint in joints:
        again[max(0, joint - WINDOW + 1) : joint] = False
    passages = sorted(_passages(first, again), key=lambda passage: -passage.length)
    telling = (p for p in passages if len(set(text[p.start : p.start + p.length])) >= TELLING_CHARACTERS)
    validation = len(text) - cut
    copied = int(_covered(again & (first < cut), len(text))[cut:].sum()) if validation > 0 else 0
    return Duplicates(
        share=float(_covered(again, len(text)).mean()),
        validation_share=copied / validation if validation > 0 else 0.0,
        passages=tuple(passage for passage, _ in zip(telling, range(PASSAGES), strict=False)),
    )


def _window_hashes(text: str) -> np.ndarray:
    """Return a hash of the WINDOW characters from each place on, by doubling: of 1, 2, 4 ... characters."""
    hashes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes *= _MULTIPLIER
    width = 1
    for _ in range(WINDOW_DOUBLINGS):
        mixed = hashes[:-width] * _MULTIPLIER  # it wraps around, as it should
        mixed ^= mixed >> np.uint64(29)
        hashes = mixed + hashes[width:]
        width *= 2
    return hashes


def _covered(begins: np.ndarray, length: int) -> np.ndarray:
    """Return which characters lie in a window that begins where `begins` says."""
    steps = np.zeros(length + 1, dtype=np.int32)
    at = np.flatnonzero(begins)
    steps[at] += 1
    steps[at + WINDOW] -= 1
    return np.cumsum(steps[:-1]) > 0


def _passages(first: np.ndarray, again: np.ndarray) -> list[Passage]:
    """Return the stretches of consecutive windows that stand, in the same order, further up."""
    at = np.flatnonzero(again)
    if not len(at):
        return []
    breaks = np.flatnonzero((np.diff(at) != 1) | (np.diff(first[at]) != 1)) + 1
    starts, ends = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(at)]])
    return [
        Passage(int(at[start]), int(first[at[start]]), int(end - start) + WINDOW - 1)
        for start, end in zip(starts, ends, strict=True)
    ]
