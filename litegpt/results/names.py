"""Short names of trials, which distinguish the trials of one screen, chart or table from each other."""

from __future__ import annotations

from collections.abc import Sequence

from litegpt.display import inert
from litegpt.results.state import TrialState
from litegpt.study.trial import HYPERPARAMETERS, NAMED_IN_ID, Trial

NAMED_ELSEWHERE = (*NAMED_IN_ID, "vocab_size")
"""Hyperparameters that a short name contains already, in the trial's id or next to its tokenizer."""


def tokens_name(trial: Trial) -> str:
    """Name a trial's tokenizer and its vocabulary size, for example: char, byte, bpe 512."""
    return f"{trial.tokenizer} {trial.vocab_size}" if trial.vocab_size else trial.tokenizer


def short_names(trials: Sequence[TrialState]) -> dict[tuple[str, str], str]:
    """Name each trial by its id without the hash, plus the values that distinguish it from the other trials."""
    shapes = [trial.id.rsplit("-", 1)[0] for trial in trials]
    others = [name for name in HYPERPARAMETERS if name not in NAMED_ELSEWHERE]
    columns = [[_word(trial.settings, name) for trial in trials] for name in others]
    # Keep only the hyperparameters that distinguish trials with the same id without the hash.
    columns = [words for words in columns if len(set(zip(shapes, words, strict=True))) > len(set(shapes))]
    return {
        (trial.phase, trial.id): inert(" ".join((shapes[row], *(words[row] for words in columns if words[row]))))
        for row, trial in enumerate(trials)
    }


def _word(trial: Trial, name: str) -> str:
    value = getattr(trial, name)
    if name == "tokenizer":
        return tokens_name(trial)
    if isinstance(value, str):
        return value
    heading = HYPERPARAMETERS[name].heading
    return f"{heading} {value:g}" if not isinstance(value, bool) else heading if value else ""
