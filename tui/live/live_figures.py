"""What the live chart can draw: its figures, and what they are drawn by."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

from litegpt.study.trial import Trial
from tui.curve import Curve, Figure

Figures = tuple[str, tuple[Figure, ...]]
"""A title, and the figures under it."""

FIGURES: tuple[Figures, ...] = (
    ("validation ━ and training ╌ loss, nats per token", ("val_loss", "train_loss")),
    ("validation loss, nats per token", ("val_loss",)),
    ("minibatch loss, nats per token", ("final_loss",)),
)
BETWEEN_TOKENIZERS: tuple[Figures, ...] = (
    ("validation, bits per character", ("bits_per_char",)),
    *FIGURES,
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
