"""What a report is written from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from litegpt.analysis.baselines import Baselines, baseline_levels, study_baselines
from litegpt.analysis.curves import Curves, read_curves
from litegpt.analysis.imported import imported_vocab_size
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.ranking import ranking_of
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.trial import Trial, vocabulary_size


@dataclass(frozen=True)
class Material:
    """A study's results, read whole."""

    folder: StudyFolder
    state: StudyState
    phases: tuple[PhaseState, ...]  # those with trials that are done
    trials: tuple[TrialState, ...]
    curves: Curves
    n_symbols: int | None  # how many different characters the text has
    baselines: Baselines | None = None

    @cached_property
    def best(self) -> str:
        """The figure that trials of all phases compare by: the best validation loss, or its bits per character."""
        return ranking_of(self.trials)

    @property
    def last(self) -> str:
        """The same figure at the last evaluation, and at each evaluation of a curve."""
        return self.best.removeprefix("best_")

    @property
    def levels(self) -> Baselines:
        """Where the baselines stand beside that figure."""
        return baseline_levels(self.baselines, [trial.settings for trial in self.trials], self.best)

    def vocabulary(self, trial: Trial) -> int | None:
        """Return how many tokens a trial's model knows, None where the files do not tell."""
        return vocabulary_size(trial, self.n_symbols or 0) or None


def read_material(folder: StudyFolder) -> Material:
    """Read what a report is written from. InputError: the study has no trial that is done."""
    state = read_journal(folder.journal)
    phases = tuple(phase for phase in state.phases.values() if phase.counts()["done"])
    if not phases:
        raise InputError("no trial is done yet: there is nothing to report", folder.path)
    trials = tuple(trial for phase in phases for trial in phase.current())
    n_symbols = state.corpus.vocab_size if state.corpus else imported_vocab_size(folder.journal)
    baselines = study_baselines(folder, state)
    return Material(folder, state, phases, trials, read_curves(folder, trials), n_symbols, baselines)
