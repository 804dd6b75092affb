"""Bits per character: the measure in which trials of different tokenizers compare."""

from __future__ import annotations

import math


def bits_per_char(loss: float | None, tokens_per_char: float = 1.0) -> float | None:
    """Return a loss in nats per token as bits per character; without more said, a token is a character."""
    return None if loss is None else loss * tokens_per_char / math.log(2)
