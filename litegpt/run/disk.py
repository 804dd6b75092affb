"""Disk space: how much a phase will need, and which weights stay after its trials have ended."""

from __future__ import annotations

import contextlib
import heapq
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from litegpt.display import byte_size
from litegpt.estimate.cost import weight_bytes
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.run.context import RunContext
from litegpt.study.study import Study
from litegpt.study.trial import Trial

BEST_KEPT = 10  # trials per phase whose weights stay for sampling, under keep = "promoted"
CHECKPOINT_WEIGHTS = 3  # a checkpoint holds the weights and the optimizer's two moments
LOG_BYTES = 1 << 16  # an upper estimate for a trial's metrics and samples


def shortage(context: RunContext, phase: str) -> str | None:
    """Return a message if the disk has less space than a phase needs, None otherwise."""
    packing = context.packing

    def trials_at_once(trial: Trial) -> int:
        return packing.width(trial) * len(packing.slots)

    needed = needed_bytes(context.study, context.state, phase, trials_at_once, context.n_symbols)
    path = context.folder.path
    free = free_bytes(path)
    if needed <= free:
        return None
    return (
        f"{phase} needs about {byte_size(needed)} and {path} has {byte_size(free)} left; "
        "free space, or keep fewer weights (keep in [study]), then `litegpt resume`"
    )


def needed_bytes(study: Study, state: StudyState, phase: str, at_once: Callable[[Trial], int], n_symbols: int) -> int:
    """Return about how many bytes the unfinished trials of a phase will occupy.

    `at_once` returns how many trials of one shape are trained at the same time.
    """
    trials = [trial.settings for trial in state.phases[phase].current() if not trial.is_ended]
    sizes = [weight_bytes(trial, n_symbols) for trial in trials]
    whole = CHECKPOINT_WEIGHTS + 1  # a checkpoint and the best weights
    # A checkpoint is replaced only when the new one is complete, so one of them exists twice for a moment.
    rewritten = max(sizes, default=0) * CHECKPOINT_WEIGHTS
    logs = len(trials) * LOG_BYTES
    if study.keep == "all":
        return sum(sizes) * whole + rewritten + logs
    widths = [min(at_once(trial), len(trials)) for trial in trials]
    working = max((width * size * whole for width, size in zip(widths, sizes, strict=True)), default=0)
    kept = heapq.nlargest(sum(_kept_counts(study, state, phase).values()), sizes)
    return working + rewritten + sum(kept) + logs


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk that holds `path`, which need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


class Retention:
    """Deletes the weights of a phase's ended trials that the study's `keep` does not keep.

    An ended trial never resumes, so its checkpoint goes. Its best weights stay while it is among the trials that a
    later phase may promote, or (keep = "promoted") among the best to sample from. A trial that has dropped out of
    those can never return, because further trials only push it down. Failed and stopped trials keep everything for
    another attempt.
    """

    def __init__(self, context: RunContext, phase: str) -> None:
        self._context = context
        self._phase = phase
        self._finished: set[str] = set()  # trials that have nothing left to delete

    def delete_unneeded(self) -> None:
        """Delete the weights that are no longer kept."""
        study, state = self._context.study, self._context.state
        if study.keep == "all":
            return
        phase = state.phases[self._phase]
        ended = [trial for trial in phase.current() if trial.state in ("done", "diverged")]
        ended = [trial for trial in ended if trial.id not in self._finished]
        kept = kept_weights(study, state, phase, ended)
        for trial in ended:
            files = self._context.folder.trial(self._phase, trial.id)
            # A file that cannot be deleted only costs space. The run continues.
            with contextlib.suppress(OSError):
                files.checkpoint.unlink(missing_ok=True)
                if trial.id not in kept:
                    files.best.unlink(missing_ok=True)
                    self._finished.add(trial.id)


def kept_weights(study: Study, state: StudyState, phase: PhaseState, trials: Sequence[TrialState]) -> set[str]:
    """Return the ids of the trials that keep their best weights."""
    counts = _kept_counts(study, state, phase.name)
    return {trial.id for by, count in counts.items() for trial in rank(trials, by)[:count]}


def _kept_counts(study: Study, state: StudyState, phase: str) -> dict[str, int]:
    """Return for each ranking how many of its best trials keep their weights."""
    counts = {ranking_of(state.phases[phase].current()): BEST_KEPT} if study.keep == "promoted" else {}
    for later in study.phases:
        promotion = later.promotion
        if promotion is None or promotion.source != phase:
            continue
        later_state = state.phases.get(later.name)
        is_waiting = later_state is None or later_state.ended is None
        needs_weights = promotion.start == "checkpoint" and is_waiting
        if study.keep == "promoted" or needs_weights:
            counts[promotion.by] = max(counts.get(promotion.by, 0), promotion.top)
    return counts


def weights_needed(study: Study, phase: str) -> bool:
    """Return whether a later phase starts from this phase's weights."""
    promotions = (later.promotion for later in study.phases)
    return any(p is not None and p.source == phase and p.start == "checkpoint" for p in promotions)
