"""n-gram models of tokens, by counting: what a trained model has to beat.

Interpolated modified Kneser-Ney smoothing (Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language
Modeling", Computer Speech and Language 13, 1999, section 4.1.6): of the longest n-grams counts how often they occur, of
shorter ones after how many different tokens; what is below the shortest is uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Those of KenLM, for a text so short, or n-grams so common, that the counts tell none."""

TABLE_SIZE = 1 << 25
UNKNOWN = -1  # the id of an n-gram that does not occur in training


@dataclass(frozen=True)
class _Grams:
    """The n-grams of one length that occur in training: G of them. A context is an n-gram one shorter, of C."""

    keys: Integers  # [G], ascending: the context's id * vocab_size + the last token; the place of a key is its id
    contexts: int  # C
    occurrences: Integers  # [G]
    predecessors: Integers | None  # [G]: after how many different tokens it occurs; None for the longest


@dataclass(frozen=True)
class _Level:
    """What the n-grams of one length say."""

    share: Reals  # [G]: the discounted count as a share of its context's counts
    backoff: Reals  # [C]: what the discounts leave to the next shorter context; 1 where a context counts nothing


class NGramModel:
    """n-grams of a training text up to a length, and the probabilities that they give."""

    def __init__(self, tokens: Integers, vocab_size: int, longest: int) -> None:
        """Count the n-grams of `tokens` [N], each in 0 to vocab_size - 1."""
        self.vocab_size = vocab_size
        self._grams: list[_Grams] = []
        self._level = cache(self._make_level)  # of this model, not of all
        shorter = np.zeros(len(tokens) + 1, dtype=np.int64)  # the id of the n-gram one shorter that ends at a place
        count_before = 1
        for length in range(1, longest + 1):
            ends = tokens[length - 1 :]
            keys, ids, occurrences, places = _number(
                shorter[: len(ends)] * vocab_size + ends, count_before * vocab_size
            )
            if length > 1:  # without its first token, an n-gram is the one shorter that ends at the same place
                previous = self._grams[-1]
                predecessors = np.bincount(shorter[1:][places], minlength=len(previous.keys))
                self._grams[-1] = _Grams(previous.keys, previous.contexts, previous.occurrences, predecessors)
            self._grams.append(_Grams(keys, count_before, occurrences, None))
            shorter, count_before = ids, len(keys)

    def losses(self, tokens: Integers, order: int) -> Reals:
        """Return the loss [M], in nats, of each of `tokens` [M] after the `order - 1` before it, fewer at the start."""
        probability: Reals = np.full(len(tokens), 1 / self.vocab_size)
        contexts = np.zeros(len(tokens), dtype=np.int64)  # the id of the context that ends before a place
        for length in range(1, order + 1):
            level = self._level(length, length == order)
            grams = self._find(length, contexts, tokens)
            known = contexts != UNKNOWN
            probability[known] *= level.backoff[contexts[known]]
            seen = grams != UNKNOWN
            probability[seen] += level.share[grams[seen]]
            contexts = np.concatenate([[UNKNOWN], grams[:-1]])
        losses: Reals = -np.log(probability)
        return losses

    def distribution(self, context: Sequence[int], order: int) -> Reals:
        """Return the probability [V] of every token after a context, of which the last `order - 1` tokens count."""
        probabilities = np.full(self.vocab_size, 1 / self.vocab_size)
        for length in range(1, min(order, len(context) + 1) + 1):
            identity = self._identity(context[len(context) - length + 1 :])
            if identity == UNKNOWN:
                break
            level, keys = self._level(length, length == order), self._grams[length - 1].keys
            begin, end = np.searchsorted(keys, [identity * self.vocab_size, (identity + 1) * self.vocab_size])
            probabilities *= level.backoff[identity]
            probabilities[keys[begin:end] - identity * self.vocab_size] += level.share[begin:end]
        return probabilities

    def _identity(self, tokens: Sequence[int]) -> int:
        identity = np.zeros(1, dtype=np.int64)
        for length, token in enumerate(tokens, start=1):
            identity = self._find(length, identity, np.array([token], dtype=np.int64))
        return int(identity[0])

    def _find(self, length: int, contexts: Integers, tokens: Integers) -> Integers:
        """Return the ids of n-grams by context and last token."""
        keys = self._grams[length - 1].keys
        if not len(keys):
            return np.full(len(tokens), UNKNOWN)
        wanted = contexts * self.vocab_size + tokens
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[found] == wanted) & (contexts != UNKNOWN), found, UNKNOWN)

    def _make_level(self, length: int, is_longest: bool) -> _Level:
        grams = self._grams[length - 1]
        counts = grams.occurrences if is_longest or grams.predecessors is None else grams.predecessors
        discounted = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
        contexts = grams.keys // self.vocab_size
        totals = np.bincount(contexts, counts, grams.contexts)
        left = np.bincount(contexts, discounted, grams.contexts)
        counted = np.maximum(totals, 1.0)
        return _Level((counts - discounted) / counted[contexts], np.where(totals > 0, left / counted, 1.0))


def _number(keys: Integers, size: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Return the different keys, ascending; each key's number among them; how often each occurs; and a place of each.

    Keys are below `size`. A table of that many is five times as fast as sorting, where there is room for it.
    """
    if size > TABLE_SIZE:
        different, places, ids, occurrences = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        return different, ids, occurrences, places
    counts = np.bincount(keys, minlength=1)
    different = np.flatnonzero(counts)
    table = np.zeros(len(counts), dtype=np.int64)
    table[keys] = np.arange(len(keys))
    places = table[different]
    table[different] = np.arange(len(different))
    return different, table[keys], counts[different], places


def _discounts(counts: Integers) -> tuple[float, float, float]:
    """Return what is taken from n-grams that occur once, twice, and more often."""
    one, two, three, four = (int(n) for n in np.bincount(np.minimum(counts, 5), minlength=5)[1:5])
    if not (one and two and three):
        return FALLBACK_DISCOUNTS
    share = one / (one + 2 * two)
    discounts = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    return discounts if all(0 < d <= n for n, d in enumerate(discounts, start=1)) else FALLBACK_DISCOUNTS
