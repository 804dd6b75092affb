"""Evaluations and samples: the work of a trial besides its training steps.

The training follows these decisions, and the estimates count their cost.
"""

from __future__ import annotations

from litegpt.study.trial import Trial

EVALUATED_TOKENS = 1 << 18
"""An evaluation reads at most about this many tokens per split, in evenly spaced windows."""
EVALUATION_BATCH_TOKENS = {"cpu": 4096, "cuda": 131072}
"""Tokens in one forward pass of an evaluation, by kind of device: as many as the caches or the memory hold well."""
SAMPLE_CHARACTERS = 300
"""The length of the text that a trial writes at its end, and once more from its best weights."""


def evaluation_steps(trial: Trial) -> list[int]:
    """Return the steps (updates made) at which a trial is evaluated: 0, every `eval_interval`, and the last."""
    steps = list(range(0, trial.max_iters, trial.eval_interval))
    return [*steps, trial.max_iters]
