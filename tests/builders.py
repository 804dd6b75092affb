"""Builders of trials and studies. Each value has a default, so that a test states only what matters to it."""

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


def study_text(
    phases: str, *, name: str = "small", corpus: str = "text.txt", study: str = "", defaults: str = ""
) -> str:
    """Return a study file of tiny trials: `phases` after a [study] and a [defaults] table, with keys added to each."""
    return f"""\
[study]
name = "{name}"
corpus = "{corpus}"
{study}
[defaults]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 8
batch_size = 4
learning_rate = 1e-2
{defaults}
{phases}"""
