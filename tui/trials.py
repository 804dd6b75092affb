"""What several screens tell of trials: names to tell them apart by, and their samples' bits per character."""

from __future__ import annotations

from collections.abc import Sequence

from litegpt.display import inert
from litegpt.results.samples import Sample
from litegpt.results.state import TrialState
from litegpt.study.trial import HYPERPARAMETERS, NAMED_IN_ID, Trial
from tui.messages import TrialKey

TOLD_ELSEWHERE = (*NAMED_IN_ID, "vocab_size")
"""Hyperparameters that a short name shows in the part it takes from the id, or with the tokenizer."""


def tokens_name(trial: Trial) -> str:
    """Return what a trial's tokens are: char, byte, bpe 512."""
    return f"{trial.tokenizer} {trial.vocab_size}" if trial.vocab_size else trial.tokenizer


def short_names(trials: Sequence[TrialState]) -> dict[TrialKey, str]:
    """Return each trial's id without its digest, and the values that tell it from others of these with the same."""
    shapes = [trial.id.rsplit("-", 1)[0] for trial in trials]
    told = [[_word(trial.settings, name) for trial in trials] for name in HYPERPARAMETERS if name not in TOLD_ELSEWHERE]
    telling = [words for words in told if len(set(zip(shapes, words, strict=True))) > len(set(shapes))]
    return {
        (trial.phase, trial.id): inert(" ".join((shapes[place], *(words[place] for words in telling if words[place]))))
        for place, trial in enumerate(trials)
    }


def sample_bits(sample: Sample, trial: TrialState) -> float | None:
    """Return a sample's loss in bits per character: a trial's tokens have the same length all along."""
    if sample.loss is None or not trial.metrics.best_val_loss or trial.metrics.best_bits_per_char is None:
        return None
    return sample.loss * trial.metrics.best_bits_per_char / trial.metrics.best_val_loss


def reasons_text(reasons: Sequence[tuple[str, int]], height: int) -> list[tuple[str, str]]:
    """Say why combinations are excluded, one reason per line, in at most `height` lines and at least one."""
    listed = reasons if len(reasons) <= height else reasons[: max(1, height - 1)]
    lines = [f"{count:,} {inert(reason)}" for reason, count in listed]
    if rest := sum(count for _, count in reasons[len(listed) :]):
        lines.append(f"{rest:,} for other reasons")
    return [("\n".join(lines), "$warning")]


def _word(trial: Trial, name: str) -> str:
    value = getattr(trial, name)
    if name == "tokenizer":
        return tokens_name(trial)
    if isinstance(value, str):
        return value
    heading = HYPERPARAMETERS[name].heading
    return f"{heading} {value:g}" if not isinstance(value, bool) else heading if value else ""
