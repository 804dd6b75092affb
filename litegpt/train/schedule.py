"""The learning rate of every step."""

from __future__ import annotations

import math

from litegpt.study.trial import Trial


def learning_rate(trial: Trial, step: int) -> float:
    """Return the rate of the update that follows `step` updates.

    Linear warm-up over `warmup_iters`, then constant, or a cosine down to `min_learning_rate` at `max_iters`
    (the schedule of nanoGPT, https://github.com/karpathy/nanoGPT).
    """
    if step < trial.warmup_iters:
        return trial.learning_rate * (step + 1) / (trial.warmup_iters + 1)
    if trial.lr_schedule == "constant":
        return trial.learning_rate
    progress = (step - trial.warmup_iters) / max(1, trial.max_iters - trial.warmup_iters)
    span = trial.learning_rate - trial.min_learning_rate
    return trial.min_learning_rate + 0.5 * (1 + math.cos(math.pi * progress)) * span
