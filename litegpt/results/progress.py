"""How far a study is."""

from __future__ import annotations

from dataclasses import dataclass

from litegpt.results.ranking import rank
from litegpt.results.state import PhaseState, StudyState, TrialState


@dataclass(frozen=True, kw_only=True)
class PhaseProgress:
    """How many of a phase's trials are in each state."""

    phase: str
    trials: int  # in all, without the excluded
    queued: int
    running: int
    done: int
    diverged: int
    failed: int
    stopped: int
    excluded: int
    best: TrialState | None  # of the trials that are done

    @property
    def ended(self) -> int:
        """How many trials will not change any more."""
        return self.done + self.diverged + self.failed + self.stopped

    @property
    def best_val_loss(self) -> float | None:
        return None if self.best is None else self.best.best_val_loss

    @property
    def best_bits_per_char(self) -> float | None:
        return None if self.best is None else self.best.best_bits_per_char


def phase_progress(phase: PhaseState) -> PhaseProgress:
    """Return how far a phase is."""
    counts = phase.counts()
    return PhaseProgress(
        phase=phase.name,
        trials=sum(counts.values()),
        **counts,
        excluded=len(phase.excluded),
        best=next(iter(rank(phase.current())), None),
    )


def study_progress(state: StudyState) -> list[PhaseProgress]:
    """Return how far each phase is, in the order in which they were planned."""
    return [phase_progress(phase) for phase in state.phases.values()]
