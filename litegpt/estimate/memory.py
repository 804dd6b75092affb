"""What training needs of a device's memory, before it starts.

The counts are of the tensors that the model's forward pass saves for its backward pass (docs/LOG.md compares them with
measurements); C is the width, H heads, T the block, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from litegpt.estimate.cost import mlp_widths, parameter_count
from litegpt.estimate.device import DeviceSpec
from litegpt.study.evaluation import EVALUATION_BATCH_TOKENS
from litegpt.study.trial import HYPERPARAMETERS, Trial, of_scope, vocabulary_size

FLOAT = 4  # bytes
WORKSPACE = {"cpu": 400e6, "cuda": 1000e6}  # torch's code and the CUDA context, libraries' workspaces, a small corpus
ROWS = 5  # of weights: themselves, gradients, two moments, and the best weights so far
CHECKPOINT_ROWS = 9  # one trial's weights and moments in the host's memory: as tensors, as bytes, as a file


@dataclass(frozen=True)
class Memory:
    """Bytes that a pack needs on its device, at its peak."""

    state: float  # weights and what the optimizer keeps of them
    activations: float  # what the backward pass needs, with dropout masks
    passing: float  # what single operations, evaluations and checkpoints take for a moment
    workspace: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.state + self.activations + self.passing + self.workspace


def memory_key(trial: Trial) -> Hashable:
    """Return the hyperparameters that a trial's memory depends on."""
    others = (name for name, known in HYPERPARAMETERS.items() if known.changes_memory)
    return tuple(getattr(trial, name) for name in (*of_scope("shape", "step"), *others))


def training_memory(trial: Trial, n_symbols: int, device: DeviceSpec, width: int = 1) -> Memory:
    """Return what `width` trials of a shape need on a device, at its precision where they leave that open."""
    precision = device.precision if trial.precision == "auto" else trial.precision
    number = FLOAT if precision == "fp32" else 2
    batch = -(-trial.batch_size // trial.gradient_accumulation)
    tokens, vocabulary = batch * trial.block_size, vocabulary_size(trial, n_symbols)
    row = parameter_count(trial, n_symbols) * FLOAT
    layer = _layer_bytes(trial, number, device.kind, width) * tokens
    kept_layers, cast_layers = float(trial.n_layer), trial.n_layer
    activations = _last_bytes(trial, vocabulary, number, device.kind, width) * tokens
    if trial.activation_checkpointing:  # a block keeps its input, and one block at a time the rest
        activations += trial.n_layer * trial.n_embd * FLOAT * tokens
        kept_layers, cast_layers = 1.0, 1
    activations += kept_layers * layer
    if number != FLOAT:  # the weights as matrix products take them
        activations += number * trial.n_embd * (cast_layers * (4 * trial.n_embd + sum(mlp_widths(trial))) + vocabulary)
    if trial.dropout and device.kind == "cpu":  # masks of all blocks, and the bits they come from
        masks = 2 * trial.n_embd + trial.n_head * trial.block_size
        activations += trial.n_layer * masks * (number + 2) * tokens
    backward = max(7 * number * trial.n_embd, 2 * FLOAT * vocabulary) * tokens
    evaluated = max(EVALUATION_BATCH_TOKENS[device.kind] / width / trial.gradient_accumulation, trial.block_size)
    evaluation = max((4 * number + FLOAT) * trial.n_embd, 2 * FLOAT * vocabulary) * evaluated
    if device.kind == "cuda":  # a CUDA graph keeps its memory to itself
        passing = width * (backward + evaluation)
    else:
        passing = max(
            width * backward, max(0.0, width * (evaluation - activations)), CHECKPOINT_ROWS * row - width * activations
        )
    return Memory(width * ROWS * row, width * activations, passing, WORKSPACE[device.kind])


def _layer_bytes(trial: Trial, number: int, kind: str, width: int) -> float:
    """Return what one block saves of a token: the inputs of its norms in fp32, those of its products as they are."""
    width_bytes = trial.n_embd * (2 * FLOAT + 6 * number)  # two norms; two norms' outputs, q, k, v, y
    up, down = mlp_widths(trial)
    hidden = {"relu": down, "gelu": up + down, "relu2": up + down, "swiglu": up + 2 * down}
    width_bytes += hidden[trial.activation] * number
    if trial.qk_norm or trial.positions == "rope":  # the values' storage holds queries and keys as they were, too
        width_bytes += 2 * trial.n_embd * number
    if trial.qk_norm:  # norms are fp32: what they take, where that is another copy, and make before the weights
        width_bytes += 2 * trial.n_embd * (FLOAT + (FLOAT if number != FLOAT else 0))
    attention: float = trial.n_head * FLOAT  # the fused kernels keep a number a head and token
    if trial.dropout and kind == "cpu":
        attention = 2 * trial.n_head * trial.block_size * number  # the weights before and after dropout
    masks = 2 * trial.n_embd if trial.dropout and kind == "cuda" else 0  # a byte each
    affine = 2 * trial.n_embd * FLOAT if _norms_apart(trial, kind, width) else 0
    return width_bytes + attention + masks + affine + 4 * FLOAT


def _last_bytes(trial: Trial, vocabulary: int, number: int, kind: str, width: int) -> float:
    """Return what the last norm, the output layer and the loss save of a token, and the token and its target."""
    affine = trial.n_embd * FLOAT if _norms_apart(trial, kind, width) else 0
    return trial.n_embd * (FLOAT + number) + affine + vocabulary * FLOAT + 2 * FLOAT + 2 * 8


def _norms_apart(trial: Trial, kind: str, width: int) -> bool:
    """Tell whether norms keep what they make before it is multiplied by their weights."""
    return trial.norm == "rms" or (kind == "cuda" and width > 1)


def widest_pack(trial: Trial, n_symbols: int, device: DeviceSpec, most: int) -> int:
    """Return how many trials of a shape a device holds together: at least 1, at most `most`."""
    fitting, too_many = 1, most + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        fits = training_memory(trial, n_symbols, device, middle).total <= device.usable
        fitting, too_many = (middle, too_many) if fits else (fitting, middle)
    return fitting
