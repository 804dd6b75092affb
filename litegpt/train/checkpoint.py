"""A trial's checkpoints: safetensors with the state as JSON in their header, written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from litegpt.plan.errors import InputError
from litegpt.plan.trial import Trial
from litegpt.train.pack import Pack

FORMAT = 1
ROWS = ("weights", "first", "second")  # what has an element for each weight; the rest of the state is a number each


@dataclass
class Progress:
    """How far a trial is: what a resumed one must know beyond its weights."""

    step: int = 0
    seconds: float = 0.0  # the trial's own cost so far
    best_val_loss: float | None = None
    best_val_step: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back: tensors by name and the JSON header."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]

    @property
    def progress(self) -> Progress:
        """How far the trial was."""
        return Progress(**self.header["progress"])

    @property
    def trial(self) -> Trial:
        """The hyperparameters it was trained with."""
        return Trial(**self.header["trial"])

    @property
    def symbols(self) -> tuple[str, ...]:
        """The vocabulary."""
        return tuple(self.header["symbols"])


def save_checkpoint(pack: Pack, index: int, progress: Progress, symbols: tuple[str, ...], path: Path) -> None:
    """Write everything that trial `index` of a pack needs to go on, alone or in another pack.

    No generator state is needed: batches and dropout are functions of seed and step. `state.json` beside the file holds
    the header once more, for people and jq.
    """
    state = pack.row_state()
    tensors = {
        f"{kind}/{name}": view[index] for kind in ROWS for name, view in pack.model.views(state.pop(kind)).items()
    }
    numbers = {name: value[index].item() for name, value in state.items()}
    header = _header(pack.trials[index], progress, symbols) | {
        "numbers": {name: value if value == value else None for name, value in numbers.items()},  # NaN is null
        "precision": pack.precision,
    }
    _write(path, serialise(_contiguous(tensors), {"state": json.dumps(header)}))
    _write(path.with_name("state.json"), json.dumps(header, indent=1).encode())


def save_weights(
    pack: Pack, index: int, weights: Tensor, progress: Progress, symbols: tuple[str, ...], path: Path
) -> None:
    """Write one trial's weights, row `index` of `weights` [P, N], without the means to train on."""
    tensors = {f"weights/{name}": view[index] for name, view in pack.model.views(weights).items()}
    header = _header(pack.trials[index], progress, symbols)
    _write(path, serialise(_contiguous(tensors), {"state": json.dumps(header)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint or a file of weights onto the CPU; raises InputError where it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise InputError("no such checkpoint", path) from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"the checkpoint cannot be read ({error}); delete it to begin afresh", path) from None
    if header.get("format") != FORMAT:
        raise InputError(f"the checkpoint has format {header.get('format')}, this version reads {FORMAT}", path)
    return Checkpoint(tensors, header)


@torch.no_grad()
def restore(pack: Pack, index: int, checkpoint: Checkpoint) -> Progress:
    """Put a checkpoint's whole state into row `index` of a pack; raises InputError where the shapes disagree."""
    state = pack.row_state()
    for kind in ROWS:
        _restore_row(pack, index, checkpoint, kind, state.pop(kind))
    for name, value in state.items():
        number = checkpoint.header["numbers"][name]
        value[index] = float("nan") if number is None else number
    return checkpoint.progress


@torch.no_grad()
def restore_weights(pack: Pack, index: int, checkpoint: Checkpoint) -> None:
    """Put only a checkpoint's weights into row `index` of a pack; raises InputError where the shapes disagree."""
    _restore_row(pack, index, checkpoint, "weights", pack.model.weights)


def _restore_row(pack: Pack, index: int, checkpoint: Checkpoint, kind: str, rows: Tensor) -> None:
    for name, view in pack.model.views(rows).items():
        tensor = checkpoint.tensors.get(f"{kind}/{name}")
        if tensor is None or tensor.shape != view[index].shape:
            raise InputError(f"the checkpoint of {checkpoint.trial.id} does not fit: '{name}' is missing or misshapen")
        view[index] = tensor.to(view.device)


def _header(trial: Trial, progress: Progress, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "trial": trial.settings(),
        "progress": asdict(progress),
        "symbols": "".join(symbols),
    }


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step: after a crash it is the old one or the new one, whole."""
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
