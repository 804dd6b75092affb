"""Text from a trial's weights. Import it late, or in a process of its own: it loads torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from litegpt.plan.errors import InputError
from litegpt.train.checkpoint import read_checkpoint
from litegpt.train.corpus import CharacterTokenizer
from litegpt.train.generate import generate
from litegpt.train.model import GPT, ModelShape


def sample_text(
    weights: Path,
    prompt: str = "\n",
    length: int = 300,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield `length` characters, one by one, that the trial with these weights writes after a prompt.

    InputError: the file is missing or damaged, or the prompt has a character that the trial has never seen.
    """
    checkpoint = read_checkpoint(weights)
    tokenizer = CharacterTokenizer(checkpoint.symbols)
    if not prompt:
        prompt = "\n" if "\n" in tokenizer.symbols else tokenizer.symbols[0]
    try:
        tokens = tokenizer.encode(prompt).tolist()
    except ValueError as error:
        raise InputError(f"the prompt cannot be read by this trial: {error}") from None
    model = GPT(ModelShape.of(checkpoint.trial, tokenizer.vocab_size), 1)
    with torch.no_grad():
        for name, view in model.views(model.weights).items():
            tensor = checkpoint.tensors.get(f"weights/{name}")
            if tensor is None or tensor.shape != view[0].shape:
                raise InputError(f"the weights do not fit: '{name}' is missing or misshapen", weights)
            view[0] = tensor
    following = generate(model, tokens, length, temperature=temperature, top_k=top_k, seed=seed)
    return (tokenizer.decode(token) for token in following)
