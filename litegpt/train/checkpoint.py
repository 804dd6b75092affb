"""A trial's checkpoints: safetensors with the state as JSON in their header, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
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
    """A checkpoint read back."""

    tensors: dict[str, Tensor]
    trial: Trial  # the hyperparameters it was trained with
    progress: Progress
    tokenizer: Tokenizer
    numbers: dict[str, float | None]  # the state beside weights and moments; None is NaN


def save_checkpoint(pack: Pack, index: int, progress: Progress, tokenizer: Tokenizer, path: Path) -> None:
    """Write everything that trial `index` of a pack needs to go on, alone or in another pack.

    No generator state is needed: batches and dropout are functions of seed and step. `state.json` beside the file holds
    the header once more, for people and jq.
    """
    state = pack.row_state()
    tensors = {
        f"{kind}/{name}": view[index] for kind in ROWS for name, view in pack.model.views(state.pop(kind)).items()
    }
    numbers = {name: value[index].item() for name, value in state.items()}
    header = _header(pack.trials[index], progress, tokenizer) | {
        "numbers": {name: value if value == value else None for name, value in numbers.items()},  # NaN is null
        "precision": pack.precision,
    }
    write_whole(path, _file(tensors, header))
    write_whole(path.with_name("state.json"), json.dumps(header, indent=1).encode())


def save_weights(pack: Pack, index: int, weights: Tensor, progress: Progress, tokenizer: Tokenizer, path: Path) -> None:
    """Write one trial's weights, row `index` of `weights` [P, N], without the means to train on."""
    tensors = {f"weights/{name}": view[index] for name, view in pack.model.views(weights).items()}
    write_whole(path, _file(tensors, _header(pack.trials[index], progress, tokenizer)))


def save_quantized(checkpoint: Checkpoint, bits: int, path: Path) -> None:
    """Write a checkpoint's weights in 8 or 4 bits."""
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("weights/")}
    header = _header(checkpoint.trial, checkpoint.progress, checkpoint.tokenizer) | {"bits": bits}
    write_whole(path, _file(quantized(tensors, bits), header))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint or a file of weights onto the CPU; raises InputError where it is missing or damaged.

    Its hyperparameters are those of a trial whose model it holds whole: who builds the model takes no more memory for
    it than the file has bytes.
    """
    if path.exists() and (path.is_symlink() or not path.is_file()):
        raise InputError("the checkpoint cannot be read: it is no plain file", path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata["sha256"] != _digest(metadata["state"], tensors):
            raise ValueError("its checksum is wrong")
        header = json.loads(metadata["state"])
        if header["format"] != FORMAT:
            raise ValueError(f"it has format {header['format']!r}, and this version reads {FORMAT}")
        trial, tokenizer = _trial(header["trial"]), from_state(header)
        if "bits" in header:
            tensors = dequantized(tensors, header["bits"], trial, tokenizer.vocab_size)
        held = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("weights/"))
        if vocabulary_size(trial, tokenizer.vocab_size) != tokenizer.vocab_size:
            raise ValueError("its tokenizer is not what its hyperparameters ask for")
        if parameter_count(trial, tokenizer.vocab_size) > held:
            raise ValueError("its weights are fewer than its hyperparameters ask for")
        return Checkpoint(tensors, trial, Progress(**header["progress"]), tokenizer, dict(header.get("numbers") or {}))
    except FileNotFoundError:
        raise InputError("no such checkpoint", path) from None
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError) as error:
        what = " ".join(str(error).split())
        raise InputError(f"the checkpoint cannot be read: {what}; delete it to begin afresh", path) from None


@torch.no_grad()
def restore(pack: Pack, index: int, checkpoint: Checkpoint) -> Progress:
    """Put a checkpoint's whole state into row `index` of a pack; raises InputError where the shapes disagree."""
    state = pack.row_state()
    for kind in ROWS:
        _restore_row(pack, index, checkpoint, kind, state.pop(kind))
    for name, value in state.items():
        if name in checkpoint.numbers:  # another precision has other numbers: then those of a new pack stand
            number = checkpoint.numbers[name]
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


def _trial(settings: dict[str, Any]) -> Trial:
    """Return the trial of a header, each value of its type and in its range, and together a legal model."""
    start_from = settings.pop("start_from", None)
    if not isinstance(start_from, str | None):
        raise ValueError("start_from is no name")
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


def _file(tensors: dict[str, Tensor], header: dict[str, Any]) -> bytes:
    """Return a safetensors file of these tensors, with the header and a checksum over everything in its metadata."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    state = json.dumps(header)
    return serialise(whole, {"state": state, "sha256": _digest(state, whole)})


def _digest(state: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
