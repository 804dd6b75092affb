"""Text generated from a trial's weights. Import it late or in a separate process: it loads torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch

from litegpt.errors import InputError
from litegpt.train.checkpoint import read_weights
from litegpt.train.generate import generate
from litegpt.train.model import GPT, ModelShape

BYTES_MAX = 4  # per character in UTF-8, because a token may be a byte


def sample_text(
    weights: Path,
    prompt: str = "\n",
    length: int = 300,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield `length` characters that a trial generates after a prompt.

    InputError: the weights are missing, damaged or not finite, or the prompt has an unknown character.
    """
    checkpoint = read_weights(weights)
    tokenizer = checkpoint.tokenizer
    try:
        tokens = tokenizer.encode(prompt or tokenizer.opening).tolist()
    except ValueError as error:
        raise InputError(f"the prompt cannot be read by this trial: {error}") from None
    model = GPT(ModelShape.of(checkpoint.trial, tokenizer.vocab_size), 1)
    with torch.no_grad():
        for name, view in model.views(model.weights).items():
            tensor = checkpoint.tensors.get(f"weights/{name}")
            if tensor is None or tensor.shape != view[0].shape:
                raise InputError(f"the weights do not fit: '{name}' is missing or misshapen", weights)
            view[0] = tensor
    following = generate(model, tokens, BYTES_MAX * length, temperature=temperature, top_k=top_k, seed=seed)
    texts = tokenizer.decode(token for (token,) in following)
    return itertools.islice(itertools.chain.from_iterable(texts), length)
