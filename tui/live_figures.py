"""What the live chart can draw: its figures, and what they are drawn by."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

from litegpt.plan.trial import Trial
from tui.curve import Curve, Figure

Figures = tuple[str, tuple[Figure, ...]]
"""A title, and the figures under it."""

FIGURES: tuple[Figures, ...] = (
    ("validation ━ and training ╌ loss", ("val_loss", "train_loss")),
    ("validation loss", ("val_loss",)),
    ("minibatch loss", ("final_loss",)),
)
BETWEEN_TOKENIZERS: tuple[Figures, ...] = (
    ("validation, bits per character", ("bits_per_char",)),
    *((f"{title}, nats per token", figures) for title, figures in FIGURES),
)
"""Where tokens differ, so that losses do not compare."""

XAxis = Literal["step", "seconds", "tokens"]
X_AXES: tuple[XAxis, ...] = ("step", "seconds", "tokens")


def x_values(curve: Curve, trial: Trial, axis: XAxis) -> Sequence[float]:
    """Return where a trial's evaluations lie on an axis."""
    if axis == "seconds":
        return curve.seconds
    if axis == "tokens":
        tokens = trial.batch_size * trial.block_size
        return array("d", [step * tokens for step in curve.steps])
    return curve.steps


def tokens_name(trial: Trial) -> str:
    """Return what a trial's tokens are: char, byte, bpe 512."""
    return f"{trial.tokenizer} {trial.vocab_size}" if trial.vocab_size else trial.tokenizer
