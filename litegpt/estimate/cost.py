"""The cost of trials before they run: parameters and floating-point operations, by arithmetic alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from litegpt.study.trial import Trial, vocabulary_size

if TYPE_CHECKING:
    from litegpt.study.expand import Bound


@dataclass(frozen=True)
class Cost:
    """The cost of several trials together."""

    parameters_min: int
    parameters_max: int
    flops: float  # training without evaluations


def parameter_count(trial: Trial, n_symbols: int) -> int:
    """Return the number of parameters of a trial's model, for a text of `n_symbols` different characters.

    The model has embeddings of tokens and positions; in each block attention (query, key and value without bias, a
    projection), an MLP and two norms; a last norm; and an output layer.
    """
    width = trial.n_embd
    attention = 4 * width**2 + width + (2 * width // trial.n_head if trial.qk_norm else 0)
    mlp_up, mlp_down = mlp_widths(trial)
    mlp = (mlp_up + mlp_down) * width + mlp_up + width
    norm = width if trial.norm == "rms" else 2 * width
    vocabulary = vocabulary_size(trial, n_symbols)
    embeddings = (vocabulary + (trial.block_size if trial.positions == "learned" else 0)) * width
    output = vocabulary if trial.tied_weights else (width + 1) * vocabulary
    return embeddings + trial.n_layer * (attention + mlp + 2 * norm) + norm + output


class MLPWidths(NamedTuple):
    """The sizes of an MLP's hidden layer before and after its activation; only SwiGLU makes them differ."""

    up: int  # outputs of the first matrix
    down: int  # inputs of the second matrix


def mlp_widths(trial: Trial) -> MLPWidths:
    """Return the widths of an MLP's hidden layer.

    SwiGLU multiplies the two halves of its first matrix's output. Each half is two thirds as wide as other hidden
    layers, in whole vectors of eight, so that the MLP keeps its number of weights (Shazeer 2020, arXiv:2002.05202).
    """
    if trial.activation == "swiglu":
        gated = -(-8 * trial.n_embd // 24) * 8
        return MLPWidths(2 * gated, gated)
    return MLPWidths(4 * trial.n_embd, 4 * trial.n_embd)


def weight_bytes(trial: Trial, n_symbols: int) -> int:
    """Return the size of a model's weights in a file, in bytes."""
    return 4 * parameter_count(trial, n_symbols)


def training_flops(trial: Trial, n_symbols: int) -> float:
    """Return the floating-point operations of a trial's training, forward and backward passes of all steps.

    A token costs 6 N + 12 L C T. N is the number of weights in matrix products, 12 L C^2 + C V (embeddings are looked
    up), for L layers, width C, block T and vocabulary V. The second term is the two products of attention over the
    whole block, without a mask. Of the optimizers only Muon counts; its matrix products do not depend on the batch.
    Source: Chowdhery et al. 2022 (PaLM), appendix B, which nanoGPT's `estimate_mfu` follows.
    """
    layers, width, block = trial.n_layer, trial.n_embd, trial.block_size
    matmul_parameters = layers * (4 * width + sum(mlp_widths(trial))) * width + width * vocabulary_size(
        trial, n_symbols
    )
    tokens = trial.batch_size * block
    step = (6 * matmul_parameters + 12 * layers * width * block) * tokens
    return float((step + _muon_flops(trial)) * trial.max_iters)


def _muon_flops(trial: Trial) -> int:
    """Return the operations of one step that orthogonalise the momenta."""
    if trial.optimizer != "muon":
        return 0
    width, (mlp_up, mlp_down) = trial.n_embd, mlp_widths(trial)
    gates = 2 if trial.activation == "swiglu" else 1
    matrices = [(width, width)] * 4 + [(width, mlp_up // gates)] * gates + [(width, mlp_down)]
    return trial.n_layer * sum(orthogonal_flops(*sorted(shape)) for shape in matrices)


def orthogonal_flops(m: int, n: int) -> int:
    """Return the operations of five Newton-Schulz iterations on an m x n matrix, m <= n: three products each."""
    return 5 * (4 * m * m * n + 2 * m**3)


def total_cost(trials: Iterable[Trial], n_symbols: int) -> Cost | None:
    """Return the cost of trials together; None for no trials."""
    listed = list(trials)
    return _cost(listed, len(listed), n_symbols)


def cost_bound(bound: Bound, n_symbols: int) -> Cost | None:
    """Return the highest cost that a phase can have, and the range of its models; None while its trials are unknown."""
    return _cost(bound.candidates.trials, bound.trials_max, n_symbols) if bound.candidates else None


def _cost(trials: Iterable[Trial], most: int, n_symbols: int) -> Cost | None:
    """Return the cost of the `most` most expensive trials, and the range of parameters of all trials."""
    listed = list(trials)
    if not listed:
        return None
    parameters = [parameter_count(trial, n_symbols) for trial in listed]
    most_expensive = heapq.nlargest(most, (training_flops(trial, n_symbols) for trial in listed))
    return Cost(min(parameters), max(parameters), sum(most_expensive))
