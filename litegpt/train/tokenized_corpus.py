"""The corpus as tokens for a training device: its batches, and the fixed windows that evaluation runs over."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from litegpt.study.trial import EVALUATED_TOKENS

IGNORED = -100  # a target that cross_entropy leaves out
HELD_SHARE = 0.02  # of a GPU's memory, at most, is the training split's: of what plans leave free (`DeviceSpec.usable`)


@dataclass(frozen=True)
class Windows:
    """Fixed windows over a split: inputs and targets [W, T]; targets already counted elsewhere are IGNORED."""

    inputs: Tensor
    targets: Tensor
    count: int  # targets that count


class TokenizedCorpus:
    """Both splits, in the integers that their tokens came in.

    A training split that fits lies on the device as a whole. One that does not is streamed: it stays in the host's
    memory, or in the file that is mapped there, and the sequences of each batch are looked up for the device.
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
        """Take the splits' tokens; whether they are streamed depends on the device where nobody says."""
        self.vocab_size = vocab_size
        self.device = torch.device(device)
        self.streamed = not _fits(train.nbytes, self.device) if streamed is None else streamed
        self._host_train = train
        with warnings.catch_warnings():  # of a file that is mapped to be read: nobody writes into it
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.train, self.validation = torch.from_numpy(train), torch.from_numpy(validation)
        if not self.streamed:
            self.train = self.train.to(self.device)
        self._windows: dict[tuple[str, int], Windows] = {}

    def positions(self, block_size: int) -> int:
        """Return at how many places of the training split a sequence can start."""
        return len(self.train) - block_size

    def look_up(self, starts: np.ndarray, block_size: int) -> Tensor:
        """Return, in the host's memory, what the batches of steps are made of: starts [S, P, B], or whole sequences.

        It is numpy that looks up: torch would start threads for the caller's, for which those of training then wait.
        """
        found = self._host_train[starts[..., None] + np.arange(block_size + 1)] if self.streamed else starts
        return torch.from_numpy(found)

    def batch(self, looked_up: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [P, B, T] of one step, from what was looked up for it and is on the device."""
        if not self.streamed:
            looked_up = self.train[looked_up[..., None] + torch.arange(block_size + 1, device=self.device)]
        sequences = looked_up.long()
        return sequences[..., :-1], sequences[..., 1:]

    def validation_windows(self, block_size: int) -> Windows:
        """Return windows that count every token of the validation split but its first exactly once.

        Of a split that is longer than EVALUATED_TOKENS they are whole windows, spread evenly.
        """
        if len(self.validation) - 1 > EVALUATED_TOKENS:
            return self._spread("validation", self.validation, block_size)
        known = self._windows.get(("validation", block_size))
        if known is None:
            known = self._windows["validation", block_size] = self._every_token(block_size)
        return known

    def training_windows(self, block_size: int) -> Windows:
        """Return as many windows as validation has, spread evenly over the training split: a fixed slice of it."""
        return self._spread("train", self.train, block_size)

    def _every_token(self, block_size: int) -> Windows:
        counted = len(self.validation) - 1
        whole = counted // block_size
        starts = torch.arange(whole) * block_size
        rest = counted - whole * block_size
        if rest:  # one more window, shifted back to be full, of which only the uncounted end counts
            starts = torch.cat([starts, starts.new_tensor([counted - block_size])])
        windows = self._cut(self.validation, starts, block_size)
        if rest:
            windows.targets[-1, : block_size - rest] = IGNORED
        return Windows(windows.inputs, windows.targets, counted)

    def _spread(self, name: str, split: Tensor, block_size: int) -> Windows:
        known = self._windows.get((name, block_size))
        if known is None:
            available = (len(split) - 1) // block_size
            count = min(available, -(-min(len(self.validation) - 1, EVALUATED_TOKENS) // block_size))
            starts = torch.arange(count) * available // count * block_size
            known = self._windows[name, block_size] = self._cut(split, starts, block_size)
        return known

    def _cut(self, split: Tensor, starts: Tensor, block_size: int) -> Windows:
        places = starts[:, None] + torch.arange(block_size + 1)
        sequences = split[places.to(split.device)].to(self.device).long()
        return Windows(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous(), len(starts) * block_size)


def _fits(size: int, device: torch.device) -> bool:
    """Tell whether a device has room for so many bytes; a host maps what it has no room for."""
    return device.type != "cuda" or size <= HELD_SHARE * torch.cuda.get_device_properties(device).total_memory
