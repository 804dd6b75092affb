"""Which trials are best."""

from __future__ import annotations

from collections.abc import Iterable

from litegpt.plan.errors import InputError, did_you_mean
from litegpt.plan.phase import RANKINGS
from litegpt.results.state import TrialState

DEFAULT_RANKING = "best_val_loss"


def rank(trials: Iterable[TrialState], by: str = DEFAULT_RANKING) -> list[TrialState]:
    """Return the trials that are done and have the figure, the least first; equal ones in the order of their ids.

    Raises InputError for a figure that is none of RANKINGS.
    """
    if by not in RANKINGS:
        raise InputError(f"'{by}' ranks no trials{did_you_mean(by, RANKINGS)}; it is one of {', '.join(RANKINGS)}")
    ranked = [(figure, trial.id, trial) for trial in trials if (figure := getattr(trial, by)) is not None]
    return [trial for _, _, trial in sorted(ranked, key=lambda entry: entry[:2]) if trial.state == "done"]
