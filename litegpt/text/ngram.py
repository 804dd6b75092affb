"""n-gram models: how well a text can be predicted by counting alone, as baselines for trained models.

The smoothing is interpolated modified Kneser-Ney (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", Computer Speech and Language 13, 1999, section 4.1.6). The longest n-grams are weighted by how often
they occur, shorter ones by the number of different tokens before them. The distribution below the unigram is uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from litegpt.study.split import SplitRule
from litegpt.text.split import SplitText, last, spread

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "5-gram": 5}
"""The baselines by name, with the length of their n-grams."""
TRAINING_CHARACTERS = 20_000_000
"""Only the end of a longer training split is counted: all of it would take minutes and gigabytes."""
VALIDATION_CHARACTERS = 4_000_000
"""Only evenly spaced parts of a longer validation split are predicted."""

CONTRAST_TRAINING = 1 << 19  # characters
CONTRAST_VALIDATION = 1 << 16
CONTRAST_MIN = 1000  # characters of a validation split that can be compared
DIFFERENT_RATIO = 1.15
"""Books have ratios of 0.99 to 1.06, a sorted list of words 1.3."""

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""The discounts of KenLM, for counts that are too small to estimate discounts from."""

TABLE_SIZE = 1 << 25
TABLE_RATIO = 64  # entries of a table per key
UNKNOWN = -1  # the id of an n-gram that does not occur in training


def ngram_losses(split: SplitText) -> dict[str, float]:
    """Return the loss of each baseline on a validation split, in nats per character. Texts may exceed memory."""
    training = last(split.train_ranges, TRAINING_CHARACTERS)
    validation = spread(split.validation_ranges, VALIDATION_CHARACTERS)
    return ngram_losses_of(*("".join(split.corpus.read(ranges)) for ranges in (training, validation)))


def ngram_losses_of(training: str, validation: str) -> dict[str, float]:
    """Return the loss of each baseline, in nats per character, counted in one text and measured on another.

    The first character of the validation text is not predicted, as in the evaluation of a trial.
    """
    symbols = sorted(set(training) | set(validation))
    model = NGramModel(encode(training, symbols), len(symbols), max(ORDERS.values()))
    tokens = encode(validation, symbols)
    return {name: float(model.losses(tokens, order)[1:].mean()) for name, order in ORDERS.items()}


@dataclass(frozen=True)
class SplitContrast:
    """How well a trigram predicts the end of a text and, for comparison, blocks from all of it."""

    end: float  # nats per character
    blocks: float

    @property
    def is_different(self) -> bool:
        """Whether the end is another kind of text than the rest, as in a sorted list."""
        return self.end > DIFFERENT_RATIO * self.blocks

    def warning(self, rule: SplitRule) -> str | None:
        """Return a warning if the end of the text, which is its validation split, is different."""
        if not self.is_different:
            return None
        return (
            f"{rule.description} differ from the rest of the text: a trigram predicts them with {self.end:.2f} nats "
            f'per character instead of {self.blocks:.2f}; split = "blocks" would mix them'
        )


def contrast_with_blocks(split: SplitText) -> SplitContrast | None:
    """Compare the split "last" with the split "blocks"; None for other splits and for short texts.

    Long texts are sampled, so that it takes at most a few seconds.
    """
    if split.rule.how != "last" or split.validation_characters < CONTRAST_MIN:
        return None
    blocks = SplitText(split.corpus, replace(split.rule, how="blocks"))
    return SplitContrast(*(_sampled_trigram_loss(each) for each in (split, blocks)))


def _sampled_trigram_loss(split: SplitText) -> float:
    training = spread(split.train_ranges, CONTRAST_TRAINING, CONTRAST_TRAINING // 8)
    validation = spread(split.validation_ranges, CONTRAST_VALIDATION, CONTRAST_VALIDATION // 8)
    return ngram_losses_of(*("".join(split.corpus.read(ranges)) for ranges in (training, validation)))["trigram"]


def encode(text: str, symbols: Sequence[str]) -> Integers:
    """Return the index in `symbols` of each character."""
    numbers = np.zeros(0x110000, dtype=np.int64)
    numbers[[ord(symbol) for symbol in symbols]] = np.arange(len(symbols))
    return numbers[np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)]


@dataclass(frozen=True)
class _Grams:
    """The G n-grams of one length that occur in training. Their C contexts are the n-grams that are one shorter."""

    keys: Integers  # [G], ascending: the context's id * vocab_size + the last token; the index of a key is its id
    contexts: int  # C
    occurrences: Integers  # [G]
    predecessors: Integers | None  # [G]: number of different tokens before it; None for the longest


@dataclass(frozen=True)
class _Level:
    """The probabilities of n-grams of one length."""

    share: Reals  # [G]: the discounted count as a share of its context's counts
    backoff: Reals  # [C]: the weight of the next shorter context; 1 if a context has no counts


class NGramModel:
    """The n-grams of a training text up to a length, and the probabilities they give."""

    def __init__(self, tokens: Integers, vocab_size: int, longest: int) -> None:
        """Count the n-grams of `tokens` [N], each in 0 to vocab_size - 1."""
        self.vocab_size = vocab_size
        self._grams: list[_Grams] = []
        # The cache belongs to this model, so that it is freed with it.
        self._level = cache(self._make_level)
        # For each position, the id of the n-gram one shorter that ends before it.
        shorter = np.zeros(len(tokens) + 1, dtype=np.int64)
        count_before = 1
        for length in range(1, longest + 1):
            ends = tokens[length - 1 :]
            keys, ids, occurrences, positions = _number(
                shorter[: len(ends)] * vocab_size + ends, count_before * vocab_size
            )
            if length > 1:
                # Without its first token, an n-gram is the shorter n-gram that ends at the same position.
                previous = self._grams[-1]
                predecessors = np.bincount(shorter[1:][positions], minlength=len(previous.keys))
                self._grams[-1] = _Grams(previous.keys, previous.contexts, previous.occurrences, predecessors)
            self._grams.append(_Grams(keys, count_before, occurrences, None))
            shorter, count_before = ids, len(keys)

    def losses(self, tokens: Integers, order: int) -> Reals:
        """Return the loss [M], in nats, of each of `tokens` [M] after the `order - 1` tokens before it."""
        probability: Reals = np.full(len(tokens), 1 / self.vocab_size)
        contexts = np.zeros(len(tokens), dtype=np.int64)  # id of the context before each token
        for length in range(1, order + 1):
            level = self._level(length, length == order)
            grams = self._find(length, contexts, tokens)
            has_context = contexts != UNKNOWN
            probability[has_context] *= level.backoff[contexts[has_context]]
            is_counted = grams != UNKNOWN
            probability[is_counted] += level.share[grams[is_counted]]
            contexts = np.concatenate([[UNKNOWN], grams[:-1]])
        losses: Reals = -np.log(probability)
        return losses

    def distribution(self, context: Sequence[int], order: int) -> Reals:
        """Return the probability [V] of every token after the last `order - 1` tokens of a context."""
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
        ids = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[ids] == wanted) & (contexts != UNKNOWN), ids, UNKNOWN)

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
    """Return the distinct keys, ascending; each key's index among them; their counts; and a position of each.

    Keys are below `size`. A table of that length is five times as fast as sorting, unless it is much longer than the
    keys.
    """
    if size > min(TABLE_SIZE, TABLE_RATIO * len(keys)):
        distinct, positions, ids, occurrences = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        return distinct, ids, occurrences, positions
    counts = np.bincount(keys, minlength=1)
    distinct = np.flatnonzero(counts)
    # The table first holds a position of each key, then its index among the distinct keys.
    table = np.zeros(len(counts), dtype=np.int64)
    table[keys] = np.arange(len(keys))
    positions = table[distinct]
    table[distinct] = np.arange(len(distinct))
    return distinct, table[keys], counts[distinct], positions


def _discounts(counts: Integers) -> tuple[float, float, float]:
    """Estimate the discounts of n-grams that occur once, twice, and three times or more."""
    one, two, three, four = (int(n) for n in np.bincount(np.minimum(counts, 5), minlength=5)[1:5])
    if not (one and two and three):
        return FALLBACK_DISCOUNTS
    share = one / (one + 2 * two)
    discounts = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    return discounts if all(0 < d <= n for n, d in enumerate(discounts, start=1)) else FALLBACK_DISCOUNTS
