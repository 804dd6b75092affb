"""Whether a trial still learns what carries over to unseen text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from litegpt.results.metric import History

Course = Literal["improving", "flat", "overfitting"]

TOLERANCE = 0.01  # of the loss: what evaluations of one model differ by, and more


@dataclass(frozen=True)
class Overfitting:
    """How the validation loss went."""

    course: Course
    best_val_loss: float
    best_val_step: int
    last_val_loss: float
    gap: float | None  # validation less training loss at the end
    since: int | None  # the step after which the validation loss only got worse; None unless overfitting
    worse_than_guessing: bool  # than a uniform guess over the vocabulary, at the end

    @property
    def word(self) -> str:
        """What it is in plain words: improving, flat, overfitting since step N."""
        word = self.course if self.since is None else f"overfitting since step {self.since:,}"
        return f"{word}, worse than guessing" if self.worse_than_guessing and self.since is not None else word


def overfitting(curve: History, vocabulary: int | None = None, noise: float = 0.0) -> Overfitting | None:
    """Return how a trial's validation loss went; None with fewer than two evaluations of it.

    Overfitting: it ends above its best by more than a hundredth and twice the noise. Improving: it ends below what it
    was halfway, by as much. Flat: neither. `vocabulary` is how many tokens a uniform guess chooses from.
    """
    points = curve.points("val_loss")
    if len(points) < 2:
        return None
    best_step, best_loss = min(points, key=lambda point: point[1])
    last_step, last_loss = points[-1]
    last_train = curve.at(last_step, "train_loss")
    margin = max(TOLERANCE * best_loss, 2 * noise)
    halfway = points[(len(points) - 1) // 2][1]
    course: Course = "flat"
    if last_loss - best_loss > margin:
        course = "overfitting"
    elif halfway - last_loss > margin:
        course = "improving"
    return Overfitting(
        course=course,
        best_val_loss=best_loss,
        best_val_step=best_step,
        last_val_loss=last_loss,
        gap=None if last_train is None else last_loss - last_train,
        since=best_step if course == "overfitting" else None,
        worse_than_guessing=vocabulary is not None and vocabulary > 1 and last_loss > math.log(vocabulary),
    )
