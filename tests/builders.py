"""Builders of trials. Each value has a default, so that a test states only what matters to it."""

from __future__ import annotations

from litegpt.study.trial import Trial

SMALLEST_SETTINGS = {
    "n_layer": 2,
    "n_head": 1,
    "n_embd": 64,
    "block_size": 32,
    "batch_size": 32,
    "learning_rate": 6e-4,
    "max_iters": 500,
}
"""The smallest trial of the original study."""


def make_trial(**settings: object) -> Trial:
    """Return the smallest trial of the original study, with some settings changed."""
    return Trial(**{**SMALLEST_SETTINGS, **settings})


def make_trials(count: int, **settings: object) -> list[Trial]:
    """Return trials that differ in their seed."""
    return [make_trial(**{"seed": seed, **settings}) for seed in range(count)]
