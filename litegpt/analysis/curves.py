"""The evaluations of a study's trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from litegpt.results.folder import StudyFolder
from litegpt.results.metric import History
from litegpt.results.metrics import Evaluations, read_metrics
from litegpt.results.state import TrialState

Key = tuple[str, str]  # (phase, trial id)
Curves = Mapping[Key, History]


def key_of(trial: TrialState) -> Key:
    """Return the phase and id of a trial, which identify it in a study."""
    return (trial.phase, trial.id)


def read_curves(folder: StudyFolder, trials: Iterable[TrialState]) -> dict[Key, Evaluations]:
    """Read the evaluations of trials."""
    return {key_of(trial): read_metrics(folder.trial(trial.phase, trial.id).metrics) for trial in trials}
