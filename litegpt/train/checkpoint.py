"""Checkpoints and weights of a trial: safetensors with the state as JSON in their header, replaced atomically."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise
from torch import Tensor

from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count
from litegpt.files import write_whole
from litegpt.study.settings import plain_value, resolve
from litegpt.study.trial import Trial, vocabulary_size
from litegpt.train.pack import Pack
from litegpt.train.quantize import dequantized, quantized
from litegpt.train.tokenizer import Tokenizer, from_state

FORMAT = 1
ROWS = ("weights", "first", "second")  # the parts of the state with one element per weight; the rest are numbers


@dataclass
class Progress:
    """The progress of a trial, which a resumed trial needs in addition to its tensors."""

    step: int = 0
    seconds: float = 0.0  # the trial's own cost so far
    best_val_loss: float | None = None
    best_val_step: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint."""

    tensors: dict[str, Tensor]
    trial: Trial  # the hyperparameters it was trained with
    progress: Progress
    tokenizer: Tokenizer
    numbers: dict[str, float | None]  # the state besides weights and moments; None is NaN


def save_checkpoint(pack: Pack, index: int, progress: Progress, tokenizer: Tokenizer, path: Path) -> None:
    """Write everything that trial `index` of a pack needs to resume, alone or in another pack.

    Generator states are not needed, because batches and dropout are functions of seed and step. `state.json` beside the
    file repeats the header.
    """
    state = pack.row_state()
    tensors = {f"{kind}/{name}": view[index] for kind in ROWS for name, view in pack.model.views(state[kind]).items()}
    write_whole(path, _file(tensors, _state_header(pack, index, progress, tokenizer)))
    save_state(pack, index, progress, tokenizer, path.with_name("state.json"))


def save_state(pack: Pack, index: int, progress: Progress, tokenizer: Tokenizer, path: Path) -> None:
    """Write the header of trial `index`'s checkpoint as a file of its own, for people and jq."""
    write_whole(path, json.dumps(_state_header(pack, index, progress, tokenizer), indent=1).encode())


def save_weights(pack: Pack, index: int, weights: Tensor, progress: Progress, tokenizer: Tokenizer, path: Path) -> None:
    """Write one trial's weights, row `index` of `weights` [P, N], without the optimizer's state."""
    tensors = {f"weights/{name}": view[index] for name, view in pack.model.views(weights).items()}
    write_whole(path, _file(tensors, _header(pack.trials[index], progress, tokenizer)))


def save_quantized(checkpoint: Checkpoint, bits: int, path: Path) -> None:
    """Write a checkpoint's weights in 8 or 4 bits."""
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("weights/")}
    header = _header(checkpoint.trial, checkpoint.progress, checkpoint.tokenizer) | {"bits": bits}
    write_whole(path, _file(quantized(tensors, bits), header))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint or a file of weights onto the CPU; raises InputError if it is missing or damaged.

    The hyperparameters in the header are checked against the weights in the file, so that a forged header cannot make
    the caller build a model larger than the file.
    """
    if path.exists() and (path.is_symlink() or not path.is_file()):
        raise InputError("the checkpoint cannot be read: it is not a regular file", path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata["sha256"] != _digest(metadata["state"], {name: tensor.numpy() for name, tensor in tensors.items()}):
            raise ValueError("its checksum is wrong")
        header = json.loads(metadata["state"])
        if header["format"] != FORMAT:
            raise ValueError(f"it has format {header['format']!r}, and this version reads {FORMAT}")
        trial, tokenizer = _trial(header["trial"]), from_state(header)
        if "bits" in header:
            tensors = dequantized(tensors, header["bits"], trial, tokenizer.vocab_size)
        n_weights = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("weights/"))
        if vocabulary_size(trial, tokenizer.vocab_size) != tokenizer.vocab_size:
            raise ValueError("its tokenizer does not match its hyperparameters")
        if parameter_count(trial, tokenizer.vocab_size) > n_weights:
            raise ValueError("it has fewer weights than its hyperparameters ask for")
        return Checkpoint(tensors, trial, Progress(**header["progress"]), tokenizer, dict(header.get("numbers") or {}))
    except FileNotFoundError:
        raise InputError("no such checkpoint", path) from None
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError) as error:
        what = " ".join(str(error).split())
        raise InputError(f"the checkpoint cannot be read: {what}; delete it to start again", path) from None


def read_weights(path: Path) -> Checkpoint:
    """Read a file of weights that must be usable: raises InputError also if a weight is infinite or NaN.

    A checkpoint may hold such weights, because a diverged trial is resumed as diverged.
    """
    checkpoint = read_checkpoint(path)
    weights = (tensor for name, tensor in checkpoint.tensors.items() if name.startswith("weights/"))
    if not all(tensor.isfinite().all() for tensor in weights):
        raise InputError("its weights are not finite", path)
    return checkpoint


@torch.no_grad()
def restore(pack: Pack, index: int, checkpoint: Checkpoint) -> Progress:
    """Copy a checkpoint's whole state into row `index` of a pack; raises InputError if the shapes disagree."""
    state = pack.row_state()
    for kind in ROWS:
        _restore_row(pack, index, checkpoint, kind, state.pop(kind))
    for name, value in state.items():
        # A checkpoint of another precision lacks some numbers; the pack keeps its initial ones.
        if name in checkpoint.numbers:
            number = checkpoint.numbers[name]
            value[index] = float("nan") if number is None else number
    return checkpoint.progress


@torch.no_grad()
def restore_weights(pack: Pack, index: int, checkpoint: Checkpoint) -> None:
    """Copy only a checkpoint's weights into row `index` of a pack; raises InputError if the shapes disagree."""
    _restore_row(pack, index, checkpoint, "weights", pack.model.weights)


def _restore_row(pack: Pack, index: int, checkpoint: Checkpoint, kind: str, rows: Tensor) -> None:
    for name, view in pack.model.views(rows).items():
        tensor = checkpoint.tensors.get(f"{kind}/{name}")
        if tensor is None or tensor.shape != view[index].shape:
            raise InputError(f"the checkpoint of {checkpoint.trial.id} does not fit: '{name}' is missing or misshapen")
        view[index] = tensor.to(view.device)


def _trial(settings: dict[str, Any]) -> Trial:
    """Return the trial of a header; raises ValueError unless each value is in its range and the model is legal."""
    start_from = settings.pop("start_from", None)
    if not isinstance(start_from, str | None):
        raise ValueError("start_from is not a name")
    values, illegal = resolve({name: plain_value(name, value) for name, value in settings.items()})
    if illegal:
        raise ValueError(illegal)
    return Trial(**values, start_from=start_from)


def _header(trial: Trial, progress: Progress, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "trial": trial.settings(),
        "progress": asdict(progress),
        **tokenizer.state(),
    }


def _state_header(pack: Pack, index: int, progress: Progress, tokenizer: Tokenizer) -> dict[str, Any]:
    numbers = {name: value[index].item() for name, value in pack.row_state().items() if name not in ROWS}
    return _header(pack.trials[index], progress, tokenizer) | {
        "numbers": {name: value if value == value else None for name, value in numbers.items()},  # NaN becomes null
        "precision": pack.precision,
    }


def _file(tensors: dict[str, Tensor], header: dict[str, Any]) -> bytes:
    """Return the bytes of a safetensors file whose metadata has the header and a checksum over everything."""
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    state = json.dumps(header)
    return serialise(arrays, {"state": state, "sha256": _digest(state, arrays)})


def _digest(state: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(arrays[name].data)
    return digest.hexdigest()
