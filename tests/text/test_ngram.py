"""n-gram models compared with their definition, implemented with dictionaries."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.study.split import SplitRule
from litegpt.text import ngram
from litegpt.text.corpus import read_corpus
from litegpt.text.ngram import (
    FALLBACK_DISCOUNTS,
    ORDERS,
    NGramModel,
    contrast_with_blocks,
    encode,
    ngram_losses,
    ngram_losses_of,
)
from litegpt.text.split import SplitText

NOVELLA = (Path(__file__).parents[2] / "data" / "novella.txt").read_text(encoding="utf-8")


class ReferenceModel:
    """Interpolated modified Kneser-Ney as Chen and Goodman define it: slow, without arrays."""

    def __init__(self, tokens: list[int], vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, order
        self.counts: dict[int, Counter[tuple[int, ...]]] = {}
        for n in range(1, order + 1):
            grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
            longer = {tuple(tokens[i : i + n + 1]) for i in range(len(tokens) - n)}
            self.counts[n] = Counter(grams) if n == order else Counter(gram[1:] for gram in longer)
        self.discounts = {n: self.discounts_of(list(counts.values())) for n, counts in self.counts.items()}

    @staticmethod
    def discounts_of(counts: list[int]) -> tuple[float, ...]:
        n1, n2, n3, n4 = (counts.count(n) for n in (1, 2, 3, 4))
        if 0 in (n1, n2, n3):
            return FALLBACK_DISCOUNTS
        y = n1 / (n1 + 2 * n2)
        discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return discounts if all(0 < d <= n for n, d in zip((1, 2, 3), discounts, strict=True)) else FALLBACK_DISCOUNTS

    def probability(self, context: tuple[int, ...], token: int, n: int | None = None) -> float:
        n = min(self.order, len(context) + 1) if n is None else n
        if n == 0:
            return 1 / self.vocab_size
        context = context[len(context) - n + 1 :]
        lower = self.probability(context[1:], token, n - 1)
        after = {gram[-1]: count for gram, count in self.counts[n].items() if gram[:-1] == context}
        total = sum(after.values())
        if not total:
            return lower
        discounted = {symbol: self.discounts[n][min(count, 3) - 1] for symbol, count in after.items()}
        share = (after[token] - discounted[token]) / total if token in after else 0.0
        return share + sum(discounted.values()) / total * lower


def sequence(length: int, vocab_size: int, seed: int) -> list[int]:
    """Return random tokens with preferred successors."""
    generator = random.Random(seed)
    tokens = [0]
    for _ in range(length - 1):
        tokens.append((tokens[-1] * 2 + generator.choice([0, 0, 0, 1, 1, 2])) % vocab_size)
    return tokens


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_losses_agree_with_the_definition(order: int) -> None:
    tokens = sequence(400, 7, seed=1)
    train, validation = tokens[:300], [*tokens[300:], 8, 7, 0]  # two of the nine symbols do not occur in training
    model, reference = NGramModel(np.array(train), 9, 5), ReferenceModel(train, 9, order)
    expected = [-math.log(reference.probability(tuple(validation[:i]), t)) for i, t in enumerate(validation)]
    assert model.losses(np.array(validation), order) == pytest.approx(expected)


@given(
    tokens=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    context=st.lists(st.integers(0, 6), max_size=6),
    order=st.integers(1, 5),
)
def test_probabilities_sum_to_one(tokens: list[int], context: list[int], order: int) -> None:
    distribution = NGramModel(np.array(tokens), 7, 5).distribution(context, order)
    assert distribution.sum() == pytest.approx(1)
    assert (distribution > 0).all()


def test_sorting_and_a_table_give_equal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.array(sequence(500, 11, seed=3))
    by_table = NGramModel(tokens, 11, 5).losses(tokens, 5)
    monkeypatch.setattr(ngram, "TABLE_SIZE", 0)
    assert (NGramModel(tokens, 11, 5).losses(tokens, 5) == by_table).all()


def test_a_distribution_of_real_text_sums_to_one() -> None:
    symbols = sorted(set(NOVELLA))
    model = NGramModel(encode(NOVELLA, symbols), len(symbols), 5)
    for context in (NOVELLA[:4], "The ", "xxxx", "."):
        tokens = [symbols.index(character) for character in context]
        assert model.distribution(tokens, 5).sum() == pytest.approx(1)


def test_losses_agree_with_the_distribution() -> None:
    tokens = np.array(sequence(500, 11, seed=2))
    model = NGramModel(tokens[:400], 11, 5)
    for order in (1, 3, 5):
        losses = model.losses(tokens[400:], order)
        for position in (0, 2, 50, 99):
            context = tokens[400 : 400 + position].tolist()
            assert losses[position] == pytest.approx(
                -np.log(model.distribution(context, order)[tokens[400 + position]])
            )


def test_baselines_of_the_novella() -> None:
    cut = int(len(NOVELLA) * 0.9)
    losses = ngram_losses_of(NOVELLA[:cut], NOVELLA[cut:])
    assert list(losses) == list(ORDERS)
    counts, length = Counter(NOVELLA[:cut]), cut
    by_frequency = -sum(math.log(counts[c] / length) for c in NOVELLA[cut + 1 :]) / (len(NOVELLA) - cut - 1)
    assert losses["unigram"] == pytest.approx(by_frequency, abs=1e-3)
    assert losses["unigram"] > losses["bigram"] > losses["trigram"] > losses["5-gram"] > 1.2


def test_only_the_end_of_a_long_training_split_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.text.ngram.TRAINING_CHARACTERS", 1000)
    (tmp_path / "text.txt").write_text(NOVELLA[:3000], encoding="utf-8")
    split = SplitText(read_corpus("text.txt", tmp_path), SplitRule(fraction=1 / 6))
    cut = split.train_characters
    assert ngram_losses(split) == ngram_losses_of(NOVELLA[cut - 1000 : cut], NOVELLA[cut:3000])


def test_symbols_are_numbered_as_they_are_given() -> None:
    assert encode("b\U0001f642aa", ["a", "b", "\U0001f642"]).tolist() == [1, 2, 0, 0]


WORDS = sorted(set(NOVELLA.lower().split()))


@pytest.mark.parametrize(
    ("text", "is_different"),
    [
        (NOVELLA, False),
        (NOVELLA[20_000:40_000], False),
        ("\n".join(random.Random(0).sample(WORDS, len(WORDS))), False),
        ("\n".join(WORDS), True),
        (NOVELLA[:60_000] + Path(__file__).read_text(encoding="utf-8"), True),
    ],
    ids=["a novella", "chapters", "words", "sorted words", "code at the end"],
)
def test_an_end_that_differs_from_the_text_is_noticed(tmp_path: Path, text: str, is_different: bool) -> None:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    contrast = contrast_with_blocks(SplitText(read_corpus("text.txt", tmp_path), SplitRule()))
    assert contrast is not None
    assert contrast.is_different == is_different


def test_only_the_end_of_a_long_enough_text_is_compared(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(NOVELLA, encoding="utf-8")
    corpus = read_corpus("text.txt", tmp_path)
    assert contrast_with_blocks(SplitText(corpus, SplitRule("blocks"))) is None
    assert contrast_with_blocks(SplitText(corpus, SplitRule(fraction=0.001))) is None
