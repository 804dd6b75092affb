"""The predicted memory against the tensors that training really holds."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import training_memory
from litegpt.study.trial import Trial
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

CPU = DeviceSpec("here", "cpu", 16e9, "fp32")
WIDE = {"n_layer": 2, "n_embd": 64, "block_size": 32, "batch_size": 32, "dropout": 0.2}


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all live tensors, as operations create them and the last reference to them goes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in given and storage._cdata not in self._sizes:
                    self._sizes[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._free, storage._cdata)
        return result

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


@pytest.mark.parametrize(
    ("changes", "width"),
    [
        ({"dropout": 0.0}, 1),
        ({}, 1),
        ({}, 3),
        ({"n_embd": 128, "n_layer": 3, "block_size": 48}, 1),
        ({"precision": "bf16"}, 2),
        ({"batch_size": 64, "gradient_accumulation": 2}, 2),
        ({"n_layer": 6, "batch_size": 48, "activation_checkpointing": True}, 2),
        ({"activation": "gelu"}, 2),
        ({"activation": "relu2", "tied_weights": True}, 1),
        ({"activation": "swiglu", "norm": "rms"}, 2),
        ({"positions": "rope"}, 1),
        ({"qk_norm": True, "positions": "rope", "optimizer": "muon"}, 2),
        *(
            ({"dropout": 0.0, "precision": precision, **variant}, 2)  # without dropout the variants dominate
            for precision in ("fp32", "bf16")
            for variant in (
                {"activation": "relu2", "norm": "rms"},
                {"positions": "rope", "qk_norm": True},
            )
        ),
    ],
)
def test_a_packs_peak_memory_matches_the_prediction(
    corpus: TokenizedCorpus, small: Trial, changes: dict[str, Any], width: int
) -> None:
    trial = replace(small, **{**WIDE, **changes})
    vocab_size = corpus.vocab_size
    with LiveBytes() as live:
        pack = Pack([replace(trial, seed=seed) for seed in range(width)], corpus, trial.precision)
        best = pack.model.weights.clone()  # a training keeps the best weights, too
        pack.advance()
        live.peak = live.now
        pack.advance()
    predicted = training_memory(trial, vocab_size, CPU, width)
    assert len(best) == width
    assert predicted.total - predicted.workspace == pytest.approx(live.peak, rel=0.1)
