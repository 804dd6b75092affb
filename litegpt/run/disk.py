"""Room on the disk: what a phase will need, and which weights stay when its trials have ended."""

from __future__ import annotations

import contextlib
import heapq
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from litegpt.display import byte_size
from litegpt.estimate.cost import weight_bytes
from litegpt.results.folder import StudyFolder
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.study import Study
from litegpt.study.trial import Trial

BEST_KEPT = 10  # trials of each phase whose weights stay to sample from, under keep = "promoted"
CHECKPOINT_WEIGHTS = 3  # a checkpoint holds the weights and the optimizer's two moments
LOG_BYTES = 1 << 16  # a trial's metrics and samples, generously


def shortage(
    study: Study,
    state: StudyState,
    folder: StudyFolder,
    phase: str,
    at_once: Callable[[Trial], int],
    n_symbols: int,
) -> str | None:
    """Return in words what room on the disk a phase will not find, None where it will find enough.

    `at_once` tells how many trials of a shape are at work together.
    """
    needed = needed_bytes(study, state, phase, at_once, n_symbols)
    free = free_bytes(folder.path)
    if needed <= free:
        return None
    return (
        f"{phase} needs about {byte_size(needed)} and {folder.path} has {byte_size(free)} left; "
        "make room, or keep less (keep in [study]), then `litegpt resume`"
    )


def needed_bytes(study: Study, state: StudyState, phase: str, at_once: Callable[[Trial], int], n_symbols: int) -> int:
    """Return about how much the trials of a phase that have not ended will take up."""
    trials = [trial.settings for trial in state.phases[phase].current() if not trial.is_ended]
    sizes = [weight_bytes(trial, n_symbols) for trial in trials]
    whole = CHECKPOINT_WEIGHTS + 1  # a checkpoint and the best weights
    rewritten = max(sizes, default=0) * CHECKPOINT_WEIGHTS  # the old one stays until the new one is whole
    logs = len(trials) * LOG_BYTES
    if study.keep == "all":
        return sum(sizes) * whole + rewritten + logs
    widths = [min(at_once(trial), len(trials)) for trial in trials]
    working = max((width * size * whole for width, size in zip(widths, sizes, strict=True)), default=0)
    kept = heapq.nlargest(sum(_kept_counts(study, state, phase).values()), sizes)
    return working + rewritten + sum(kept) + logs


def free_bytes(path: Path) -> int:
    """Return how much room there is where `path` is, or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


class Retention:
    """Deletes what `keep` of a phase does not keep, as its trials end.

    A trial that has ended needs no checkpoint to go on from. Its best weights stay while it is among those that a
    later phase may promote, or (keep = "promoted") among the best to sample from: who has dropped out of those by now
    cannot come back. Failed and stopped trials keep all, for another attempt.
    """

    def __init__(self, study: Study, folder: StudyFolder, phase: str) -> None:
        self._study, self._folder, self._phase = study, folder, phase
        self._settled: set[str] = set()  # trials that have nothing left to delete

    def tidy(self, state: StudyState) -> None:
        """Delete what is no longer kept."""
        if self._study.keep == "all":
            return
        phase = state.phases[self._phase]
        ended = [trial for trial in phase.current() if trial.state in ("done", "diverged")]
        ended = [trial for trial in ended if trial.id not in self._settled]
        kept = kept_weights(self._study, state, phase, ended)
        for trial in ended:
            files = self._folder.trial(self._phase, trial.id)
            with contextlib.suppress(OSError):  # then it stays, and the run goes on
                files.checkpoint.unlink(missing_ok=True)
                if trial.id not in kept:
                    files.best.unlink(missing_ok=True)
                    self._settled.add(trial.id)


def kept_weights(study: Study, state: StudyState, phase: PhaseState, trials: Sequence[TrialState]) -> set[str]:
    """Return which of a phase's trials keep their best weights."""
    counts = _kept_counts(study, state, phase.name)
    return {trial.id for by, count in counts.items() for trial in rank(trials, by)[:count]}


def _kept_counts(study: Study, state: StudyState, phase: str) -> dict[str, int]:
    """Return how many of the best trials by each ranking keep their weights."""
    counts = {ranking_of(state.phases[phase].current()): BEST_KEPT} if study.keep == "promoted" else {}
    for later in study.phases:
        promotion = later.promotion
        if promotion is None or promotion.source != phase:
            continue
        known = state.phases.get(later.name)
        needs_weights = promotion.start == "checkpoint" and (known is None or known.ended is None)
        if study.keep == "promoted" or needs_weights:
            counts[promotion.by] = max(counts.get(promotion.by, 0), promotion.top)
    return counts


def weights_wanted(study: Study, phase: str) -> bool:
    """Tell whether a later phase goes on from this one's weights."""
    promotions = (later.promotion for later in study.phases)
    return any(p is not None and p.source == phase and p.start == "checkpoint" for p in promotions)
