"""How fast a study's machine has been."""

from __future__ import annotations

from litegpt.estimate.cost import training_flops
from litegpt.results.state import StudyState


def measured_speed(state: StudyState, n_symbols: int) -> float | None:
    """Return the training FLOP/s of the whole machine over this study's packs so far, None before the first."""
    flops = sum(
        training_flops(trial.settings, n_symbols) for trial in state.trials() if trial.state == "done" and trial.attempt
    )
    seconds = sum(phase.pack_wall_seconds for phase in state.phases.values())
    return flops / seconds * max(1, len(state.devices)) if flops and seconds else None
