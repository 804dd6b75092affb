"""The corpus as tokens for a training device: its batches, and the fixed windows of evaluation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from litegpt.study.evaluation import EVALUATED_TOKENS

IGNORED = -100  # cross_entropy skips targets with this value
HELD_SHARE = 0.02
"""The most of a GPU's memory that the training split may take. Plans leave that much free (`DeviceSpec.usable`)."""


@dataclass(frozen=True)
class Windows:
    """Fixed windows over a split: inputs and targets [W, T]. Targets that another window counts are IGNORED."""

    inputs: Tensor
    targets: Tensor
    count: int  # targets that are not IGNORED


class TokenizedCorpus:
    """The tokens of both splits.

    A training split that fits is held on the device. A larger one is streamed: it stays in the host's memory, or in a
    file that is mapped there, and the sequences of each batch are looked up for the device.
    """

    def __init__(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        vocab_size: int,
        device: torch.device | str = "cpu",
        *,
        streamed: bool | None = None,
    ) -> None:
        """Take the tokens of the splits. By default the device decides whether the training split is streamed."""
        self.vocab_size = vocab_size
        self.device = torch.device(device)
        self.streamed = not _fits(train.nbytes, self.device) if streamed is None else streamed
        self._host_train = train
        with warnings.catch_warnings():  # a mapped file is read-only, which is fine because no code writes to it
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.train, self.validation = torch.from_numpy(train), torch.from_numpy(validation)
        if not self.streamed:
            self.train = self.train.to(self.device)
        self._windows: dict[tuple[str, int], Windows] = {}

    def positions(self, block_size: int) -> int:
        """Return the number of positions in the training split at which a sequence can start."""
        return len(self.train) - block_size

    def look_up(self, starts: np.ndarray, block_size: int) -> Tensor:
        """Return what `batch` needs for several steps, in the host's memory.

        For a held split that is `starts` [steps, P, B]; for a streamed one it is the sequences [steps, P, B, T + 1].
        numpy does the lookup, because torch would start threads for the calling thread and training would wait for
        them.
        """
        if not self.streamed:
            return torch.from_numpy(starts)
        return torch.from_numpy(self._host_train[starts[..., None] + np.arange(block_size + 1)])

    def batch(self, looked_up: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [P, B, T] of one step from the result of `look_up`, moved to the device."""
        if not self.streamed:
            looked_up = self.train[looked_up[..., None] + torch.arange(block_size + 1, device=self.device)]
        sequences = looked_up.long()
        return sequences[..., :-1], sequences[..., 1:]

    def validation_windows(self, block_size: int) -> Windows:
        """Return windows that count each token of the validation split exactly once, except the first.

        A split longer than EVALUATED_TOKENS is evaluated in part, in whole windows spread evenly over it.
        """
        if len(self.validation) - 1 > EVALUATED_TOKENS:
            return self._spread("validation", self.validation, block_size)
        windows = self._windows.get(("validation", block_size))
        if windows is None:
            windows = self._windows["validation", block_size] = self._every_token(block_size)
        return windows

    def training_windows(self, block_size: int) -> Windows:
        """Return a fixed slice of the training split: as many windows as validation has, spread evenly over it."""
        return self._spread("train", self.train, block_size)

    def _every_token(self, block_size: int) -> Windows:
        counted = len(self.validation) - 1
        n_whole = counted // block_size
        starts = torch.arange(n_whole) * block_size
        rest = counted - n_whole * block_size
        # One more window covers the rest. It is shifted back to be full, and only its uncounted end counts.
        if rest:
            starts = torch.cat([starts, starts.new_tensor([counted - block_size])])
        windows = self._cut(self.validation, starts, block_size)
        if rest:
            windows.targets[-1, : block_size - rest] = IGNORED
        return Windows(windows.inputs, windows.targets, counted)

    def _spread(self, name: str, split: Tensor, block_size: int) -> Windows:
        windows = self._windows.get((name, block_size))
        if windows is None:
            available = (len(split) - 1) // block_size
            count = min(available, -(-min(len(self.validation) - 1, EVALUATED_TOKENS) // block_size))
            starts = torch.arange(count) * available // count * block_size
            windows = self._windows[name, block_size] = self._cut(split, starts, block_size)
        return windows

    def _cut(self, split: Tensor, starts: Tensor, block_size: int) -> Windows:
        indices = starts[:, None] + torch.arange(block_size + 1)  # [W, T + 1]
        sequences = split[indices.to(split.device)].to(self.device).long()
        return Windows(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous(), len(starts) * block_size)


def _fits(size: int, device: torch.device) -> bool:
    """Return whether `size` bytes may stay on a device. A CPU needs no limit: it maps files larger than memory."""
    return device.type != "cuda" or size <= HELD_SHARE * torch.cuda.get_device_properties(device).total_memory
