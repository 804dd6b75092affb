"""Whether the validation loss of a trial still improves, or the trial overfits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from litegpt.results.metric import History

Course = Literal["improving", "flat", "overfitting"]

TOLERANCE = 0.01  # of the loss: more than the noise of evaluations


@dataclass(frozen=True)
class Overfitting:
    """The trend of a validation loss."""

    course: Course
    best_val_loss: float
    best_val_step: int
    last_val_loss: float
    gap: float | None  # validation minus training loss at the end
    since: int | None  # the step of the best validation loss; None unless overfitting
    worse_than_guessing: bool  # at the end, compared with a uniform guess

    @property
    def word(self) -> str:
        """The trend in words, for example: overfitting since step 700."""
        word = self.course if self.since is None else f"overfitting since step {self.since:,}"
        return f"{word}, worse than guessing" if self.worse_than_guessing and self.since is not None else word


def uniform_guess(vocabulary: int | None) -> float | None:
    """Return the loss of guessing all tokens with equal probability, ln V; None without a choice of tokens."""
    return math.log(vocabulary) if vocabulary is not None and vocabulary > 1 else None


def overfitting(curve: History, vocabulary: int | None = None, noise: float = 0.0) -> Overfitting | None:
    """Return the trend of a trial's validation loss; None with fewer than two evaluations.

    The margin is 1 % of the best loss, or twice the noise if that is more. Overfitting: the last loss exceeds the best
    by more than the margin. Improving: the last loss is that much below the loss at half time. Flat: neither.
    `vocabulary` is the number of tokens that a uniform guess chooses from.
    """
    points = curve.points("val_loss")
    if len(points) < 2:
        return None
    best_step, best_loss = min(points, key=lambda point: point[1])
    last_step, last_loss = points[-1]
    last_train = curve.at(last_step, "train_loss")
    margin = max(TOLERANCE * best_loss, 2 * noise)
    halfway = points[(len(points) - 1) // 2][1]
    guess = uniform_guess(vocabulary)
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
        worse_than_guessing=guess is not None and last_loss > guess,
    )
