"""The GPU's path through model and optimizer, on CPU tensors: the same training as the CPU's path, in few kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train import model, optimizer
from litegpt.train import pack as pack_module
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

VARIANTS: list[dict[str, Any]] = [
    {},
    {"activation": "swiglu", "norm": "rms", "positions": "rope", "qk_norm": True},
    {"tied_weights": True, "activation": "relu2"},
    {"optimizer": "muon"},
    {"gradient_accumulation": 2, "grad_clip": 0.1, "weight_decay": 0.3},
    {"attention_scale": "width"},
]


def on_gpu_path(patch: pytest.MonkeyPatch) -> None:
    for module in (model, optimizer, pack_module):
        patch.setattr(module, "on_gpu", lambda x: True)


def trained(trials: list[Trial], corpus: TokenizedCorpus, steps: int = 8) -> tuple[torch.Tensor, Pack]:
    pack = Pack(trials, corpus, trials[0].precision, tuning=Tuning(graph=False))
    losses = []
    for _ in range(steps):
        pack.advance()
        losses.append(pack.minibatch_losses.clone())
    return torch.stack(losses), pack


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("n_trials", [1, 3])
def test_the_gpus_path_gives_the_losses_of_the_cpus(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch, variant: dict[str, Any], n_trials: int
) -> None:
    trials = [dataclasses.replace(small, n_layer=2, seed=seed, **variant) for seed in range(n_trials)]
    expected, _ = trained(trials, corpus)
    on_gpu_path(monkeypatch)
    losses, _ = trained(trials, corpus)
    # Muon orthogonalises in bf16 on a GPU.
    atol = 0.05 if variant.get("optimizer") == "muon" else 2e-4
    torch.testing.assert_close(losses, expected, atol=atol, rtol=0)


def test_a_diverged_trial_keeps_its_bits_on_the_gpus_path(
    corpus: TokenizedCorpus, mixed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu_path(monkeypatch)
    _, control = trained(mixed, corpus, 4)
    _, diverging = trained(mixed, corpus, 2)
    with torch.no_grad():
        diverging.model.weights[1] = float("nan")
    frozen = {name: tensor[1].clone() for name, tensor in diverging.row_state().items() if name != "minibatch_losses"}
    for _ in range(2):
        diverging.advance()
    assert diverging.alive.tolist() == [True, False, True, True, True]
    for name, tensor in diverging.row_state().items():
        others = [0, 2, 3, 4]
        assert torch.equal(tensor[others], control.row_state()[name][others]), name
        if name not in ("minibatch_losses", "alive"):
            torch.testing.assert_close(tensor[1], frozen[name], rtol=0, atol=0, equal_nan=True)


VIEWS = {"view", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze", "t", "_unsafe_view"}
VIEWS |= {"detach", "split", "unbind", "as_strided", "alias", "expand_as", "split_with_sizes", "_reshape_alias"}


class Kernels(TorchDispatchMode):
    """Counts the operations that would launch a kernel on a GPU."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name.partition("::")[2] not in VIEWS
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("layers", "n_trials", "most"), [(2, 1, 165), (2, 8, 210), (6, 1, 355), (6, 8, 455)])
def test_the_kernels_of_a_step_are_bounded(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch, layers: int, n_trials: int, most: int
) -> None:
    on_gpu_path(monkeypatch)
    trial = dataclasses.replace(small, n_layer=layers, precision="bf16")
    pack = Pack([dataclasses.replace(trial, seed=seed) for seed in range(n_trials)], corpus, "bf16")
    pack.advance()
    with Kernels() as kernels:
        pack.advance()
    assert kernels.count <= most
