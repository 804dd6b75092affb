"""Quantized weights: their largest error, and files that claim more than they hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from litegpt.errors import InputError
from litegpt.study.trial import Trial
from litegpt.train.checkpoint import Checkpoint, Progress, read_checkpoint, save_quantized
from litegpt.train.model import ModelShape, parameter_shapes
from litegpt.train.quantize import dequantized, quantized
from litegpt.train.tokenizer import CharacterTokenizer

TOKENIZER = CharacterTokenizer("abcdefg")


@pytest.fixture
def checkpoint(small: Trial) -> Checkpoint:
    generator = torch.Generator().manual_seed(0)
    shapes = parameter_shapes(ModelShape.of(small, TOKENIZER.vocab_size))
    tensors = {f"weights/{name}": torch.randn(shape, generator=generator) for name, shape in shapes}
    return Checkpoint(tensors, small, Progress(step=7), TOKENIZER, {})


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-5, 1e-30, 1e30])
def test_a_weights_error_is_at_most_half_a_level(
    checkpoint: Checkpoint, tmp_path: Path, bits: int, size: float
) -> None:
    path = tmp_path / "best.safetensors"
    for tensor in checkpoint.tensors.values():
        tensor *= size
    save_quantized(checkpoint, bits, path)
    back = read_checkpoint(path)
    assert (back.trial, back.tokenizer.state(), back.progress) == (
        checkpoint.trial,
        TOKENIZER.state(),
        Progress(step=7),
    )
    assert back.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        if tensor.dim() == 1:
            assert torch.equal(back.tensors[name], tensor)
            continue
        flat = torch.nn.functional.pad(tensor.flatten(), (0, -tensor.numel() % 64)).view(-1, 64)
        half_a_level = (flat.abs().amax(dim=1) / (2 ** (bits - 1) - 1) / 2).repeat_interleave(64)
        off = (back.tensors[name] - tensor).abs().flatten()
        assert (off <= half_a_level[: len(off)] * 1.001).all()
        assert off.max() > 0


def test_four_bits_take_a_sixth_of_the_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    wide = dataclasses.replace(checkpoint.trial, n_embd=128, n_head=4)
    shapes = parameter_shapes(ModelShape.of(wide, TOKENIZER.vocab_size))
    whole = dataclasses.replace(
        checkpoint, trial=wide, tensors={f"weights/{name}": torch.ones(shape) for name, shape in shapes}
    )
    sizes = {}
    for bits in (8, 4):
        save_quantized(whole, bits, tmp_path / str(bits))
        sizes[bits] = (tmp_path / str(bits)).stat().st_size
    plain = 4 * sum(tensor.numel() for tensor in whole.tensors.values())
    assert sizes[8] < plain * 0.3
    assert sizes[4] < plain * 0.17


def test_rows_of_zeros_stay_zero(checkpoint: Checkpoint, tmp_path: Path) -> None:
    zeros = {name: torch.zeros_like(tensor) for name, tensor in checkpoint.tensors.items()}
    save_quantized(dataclasses.replace(checkpoint, tensors=zeros), 4, tmp_path / "best")
    assert not any(tensor.any() for tensor in read_checkpoint(tmp_path / "best").tensors.values())


def test_a_file_that_claims_a_larger_model_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    huge = dataclasses.replace(checkpoint.trial, n_layer=10**9)
    save_quantized(dataclasses.replace(checkpoint, trial=huge), 8, tmp_path / "best")
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "best")
    wide = dataclasses.replace(checkpoint.trial, n_embd=2**20, n_head=1)
    save_quantized(dataclasses.replace(checkpoint, trial=wide), 8, tmp_path / "best")
    with pytest.raises(InputError, match="misshapen"):
        read_checkpoint(tmp_path / "best")


@pytest.mark.parametrize("part", ["levels", "scales"])
def test_a_file_with_tensors_of_wrong_shapes_is_refused(checkpoint: Checkpoint, tmp_path: Path, part: str) -> None:
    """Broadcasting them would turn kilobytes into gigabytes."""
    stored = quantized(checkpoint.tensors, 8)
    name = f"weights/token_embedding.{part}"
    stored[name] = stored[name][:, None].repeat(1, 64)
    with pytest.raises(ValueError, match="misshapen"):
        dequantized(stored, 8, checkpoint.trial, TOKENIZER.vocab_size)
