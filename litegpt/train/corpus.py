"""The corpus as tokens on the training device, and the fixed windows that evaluation runs over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IGNORED = -100  # a target that cross_entropy leaves out


class CharacterTokenizer:
    """One token a character; `symbols` is the vocabulary in code point order."""

    def __init__(self, symbols: tuple[str, ...] | str) -> None:
        self.symbols = tuple(symbols)
        self._code_points = np.array([ord(symbol) for symbol in self.symbols], dtype=np.uint32)

    @property
    def vocab_size(self) -> int:
        """How many symbols there are."""
        return len(self.symbols)

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens of `text`, int64; raises ValueError naming the first character outside the vocabulary."""
        code_points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        tokens = np.minimum(np.searchsorted(self._code_points, code_points), self.vocab_size - 1)
        unknown = self._code_points[tokens] != code_points
        if unknown.any():
            raise ValueError(f"the character {text[int(unknown.argmax())]!r} is not in the vocabulary")
        return tokens.astype(np.int64)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of `tokens`."""
        return "".join(self.symbols[token] for token in tokens)


@dataclass(frozen=True)
class Windows:
    """Fixed windows over a split: inputs and targets [W, T]; targets already counted elsewhere are IGNORED."""

    inputs: Tensor
    targets: Tensor
    count: int  # targets that count


class Corpus:
    """Both splits on the device, in whole."""

    def __init__(self, tokens: np.ndarray, cut: int, device: torch.device | str = "cpu") -> None:
        """Split `tokens` at `cut`: training before it, validation from it on."""
        self.train = torch.from_numpy(tokens[:cut]).to(device)
        self.validation = torch.from_numpy(tokens[cut:]).to(device)

    def positions(self, block_size: int) -> int:
        """Return at how many places of the training split a sequence can start."""
        return len(self.train) - block_size

    def batch(self, starts: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [P, B, T] of the training split for `starts` [P, B]."""
        offsets = torch.arange(block_size + 1, device=starts.device)
        sequences = self.train[starts[..., None] + offsets]
        return sequences[..., :-1], sequences[..., 1:]

    def validation_windows(self, block_size: int) -> Windows:
        """Return windows that count every token of the validation split but its first exactly once."""
        split = self.validation
        whole = (len(split) - 1) // block_size
        starts = torch.arange(whole, device=split.device) * block_size
        rest = len(split) - 1 - whole * block_size
        if rest:  # one more window, shifted back to be full, of which only the uncounted end counts
            starts = torch.cat([starts, starts.new_tensor([len(split) - 1 - block_size])])
        windows = _windows(split, starts, block_size)
        if rest:
            windows.targets[-1, : block_size - rest] = IGNORED
        return Windows(windows.inputs, windows.targets, len(split) - 1)

    def training_windows(self, block_size: int) -> Windows:
        """Return as many windows as validation has, spread evenly over the training split: a fixed slice of it."""
        available = (len(self.train) - 1) // block_size
        count = min(available, -(-(len(self.validation) - 1) // block_size))
        starts = torch.arange(count, device=self.train.device) * available // count * block_size
        return _windows(self.train, starts, block_size)


def _windows(split: Tensor, starts: Tensor, block_size: int) -> Windows:
    sequences = split[starts[:, None] + torch.arange(block_size + 1, device=split.device)]
    return Windows(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous(), len(starts) * block_size)
