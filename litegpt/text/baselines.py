"""How well counting predicts a validation split: unigram, bigram, trigram and 5-gram, of characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from litegpt.text.ngram import Integers, NGramModel
from litegpt.text.split import SplitText, last, spread

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "5-gram": 5}
TRAINING_CHARACTERS = 20_000_000
"""Of a longer training split the end is counted: the rest would take minutes, and gigabytes."""
VALIDATION_CHARACTERS = 4_000_000
"""A longer validation split is measured in stretches that are spread evenly."""


def split_baselines(split: SplitText) -> dict[str, float]:
    """Return each baseline's loss for the splits of a text, which may be larger than memory."""
    training = last(split.train_ranges, TRAINING_CHARACTERS)
    validation = spread(split.validation_ranges, VALIDATION_CHARACTERS)
    return baseline_losses(*("".join(split.corpus.read(ranges)) for ranges in (training, validation)))


def baseline_losses(training: str, validation: str) -> dict[str, float]:
    """Return each baseline's loss, in nats a character, counted in one text and measured on the other.

    As for trials, the first character of the validation text is not predicted, only what follows it.
    """
    symbols = sorted(set(training) | set(validation))
    model = NGramModel(encode(training, symbols), len(symbols), max(ORDERS.values()))
    tokens = encode(validation, symbols)
    return {name: float(model.losses(tokens, order)[1:].mean()) for name, order in ORDERS.items()}


def encode(text: str, symbols: Sequence[str]) -> Integers:
    """Return the number of each character's symbol."""
    numbers = np.zeros(0x110000, dtype=np.int64)
    numbers[[ord(symbol) for symbol in symbols]] = np.arange(len(symbols))
    return numbers[np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)]
