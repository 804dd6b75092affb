"""The memory that training needs on a device, before it starts.

The estimates count the tensors that the model's forward pass saves for its backward pass. docs/LOG.md compares them
with measurements.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from litegpt.estimate.cost import mlp_widths, parameter_count
from litegpt.estimate.device import DeviceSpec
from litegpt.study.evaluation import EVALUATION_BATCH_TOKENS
from litegpt.study.trial import HYPERPARAMETERS, Trial, of_scope, vocabulary_size

FLOAT = 4  # bytes
# The code of torch and the CUDA context, the workspaces of libraries, and a small corpus.
WORKSPACE = {"cpu": 400e6, "cuda": 1000e6}
# Rows of one number per weight: the weights, their gradients, two moments, and the best weights so far.
ROWS = 5
# A checkpoint of one trial is in the memory of the host three times: as tensors, as bytes and as a file.
CHECKPOINT_ROWS = 9


@dataclass(frozen=True)
class Memory:
    """The bytes that a pack needs on its device at its peak."""

    state: float  # weights, gradients and the optimizer's moments
    activations: float  # saved for the backward pass, with dropout masks
    passing: float  # single operations, evaluations and checkpoints, for a moment
    workspace: float

    @property
    def total(self) -> float:
        return self.state + self.activations + self.passing + self.workspace


def memory_key(trial: Trial) -> Hashable:
    """Return the hyperparameters that a trial's memory depends on."""
    others = (name for name, known in HYPERPARAMETERS.items() if known.changes_memory)
    return tuple(getattr(trial, name) for name in (*of_scope("shape", "step"), *others))


def training_memory(trial: Trial, n_symbols: int, device: DeviceSpec, width: int = 1) -> Memory:
    """Return the memory of a pack of `width` trials, at the device's precision if the trial leaves that open."""
    precision = device.precision if trial.precision == "auto" else trial.precision
    number = FLOAT if precision == "fp32" else 2  # bytes of an activation
    batch = -(-trial.batch_size // trial.gradient_accumulation)
    tokens, vocabulary = batch * trial.block_size, vocabulary_size(trial, n_symbols)
    row = parameter_count(trial, n_symbols) * FLOAT

    # Matrix products in half precision read a copy of the weights.
    state = ROWS * row + (0.0 if number == FLOAT else parameter_count(trial, n_symbols) * number)

    # Activations: what each block and the last layers save for the backward pass. With checkpointing a block saves only
    # its input, and the rest exists for one block at a time.
    layer = _layer_bytes(trial, number, device.kind, width) * tokens
    activations = _last_bytes(trial, vocabulary, number, device.kind, width) * tokens
    if trial.activation_checkpointing:
        activations += trial.n_layer * trial.n_embd * FLOAT * tokens + layer
    else:
        activations += trial.n_layer * layer

    # On a CPU, the dropout masks of all blocks exist at once, with the random bits they are made from.
    if trial.dropout and device.kind == "cpu":
        masks = 2 * trial.n_embd + trial.n_head * trial.block_size
        activations += trial.n_layer * masks * (number + 2) * tokens

    # Passing memory: the largest single operation of the backward pass, and the forward pass of an evaluation. A CUDA
    # graph keeps its memory, so there both count. On a CPU the evaluation and the writing of a checkpoint reuse the
    # memory of the activations.
    backward = max(7 * number * trial.n_embd, 2 * FLOAT * vocabulary) * tokens
    evaluated = max(EVALUATION_BATCH_TOKENS[device.kind] / width / trial.gradient_accumulation, trial.block_size)
    evaluation = max((4 * number + FLOAT) * trial.n_embd, 2 * FLOAT * vocabulary) * evaluated
    if device.kind == "cuda":
        passing = width * (backward + evaluation)
    else:
        passing = max(
            width * backward, max(0.0, width * (evaluation - activations)), CHECKPOINT_ROWS * row - width * activations
        )
    return Memory(width * state, width * activations, passing, WORKSPACE[device.kind])


def _layer_bytes(trial: Trial, number: int, kind: str, width: int) -> float:
    """Return the bytes that one block saves per token, with `number` bytes per activation."""
    # The inputs of the two norms are fp32. The outputs of the norms, q, k, v and y have the precision of the products.
    width_bytes = trial.n_embd * (2 * FLOAT + 6 * number)
    up, down = mlp_widths(trial)
    hidden = {"relu": down, "gelu": up + down, "relu2": up + down, "swiglu": up + 2 * down}
    width_bytes += hidden[trial.activation] * number
    # Normed or rotated queries and keys are copies. The originals share their storage with the values, which stay.
    if trial.qk_norm or trial.positions == "rope":
        width_bytes += 2 * trial.n_embd * number
    # The norms of queries and keys save fp32: what they make before the weights and, in half precision, their inputs.
    if trial.qk_norm:
        width_bytes += 2 * trial.n_embd * (FLOAT + (FLOAT if number != FLOAT else 0))
    # The fused attention kernels save one number per head and token. Attention with dropout on a CPU saves its weights
    # before and after dropout.
    attention: float = trial.n_head * FLOAT
    if trial.dropout and kind == "cpu":
        attention = 2 * trial.n_head * trial.block_size * number
    masks = 2 * trial.n_embd if trial.dropout and kind == "cuda" else 0  # one byte each
    affine = 2 * trial.n_embd * FLOAT if _norms_apart(trial, kind, width) else 0
    return width_bytes + attention + masks + affine + 4 * FLOAT


def _last_bytes(trial: Trial, vocabulary: int, number: int, kind: str, width: int) -> float:
    """Return the bytes that the last norm, the output layer, the loss, the token and its target take per token."""
    affine = trial.n_embd * FLOAT if _norms_apart(trial, kind, width) else 0
    return trial.n_embd * (FLOAT + number) + affine + vocabulary * FLOAT + 2 * FLOAT + 2 * 8


def _norms_apart(trial: Trial, kind: str, width: int) -> bool:
    """Tell whether norms save their result from before the multiplication by their weights."""
    return trial.norm == "rms" or (kind == "cuda" and width > 1)


def widest_pack(trial: Trial, n_symbols: int, device: DeviceSpec, most: int) -> int:
    """Return the number of such trials that a device holds together: at least 1, at most `most`."""
    fitting, too_many = 1, most + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        fits = training_memory(trial, n_symbols, device, middle).total <= device.usable
        fitting, too_many = (middle, too_many) if fits else (fitting, middle)
    return fitting
