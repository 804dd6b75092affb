"""Time left of a study, from the FLOPs of its trials and the speed of this run."""

from __future__ import annotations

from litegpt.estimate.cost import training_flops
from litegpt.results.state import PhaseState, TrialState
from tui.feed import Feed


class Forecast:
    """Estimates the seconds left of each phase."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        # By trial id: trials with the same settings have the same id.
        self._flops: dict[str, float] = {}

    def seconds_left(self) -> dict[str, float]:
        """Return the seconds from now to the end of each unfinished phase; empty while the speed is unknown."""
        state = self._feed.state
        speed = self._speed()
        if speed is None:
            return {}
        left: dict[str, float] = {}
        total = 0.0
        for phase in state.phases.values():
            rest = sum(self._left(trial) for trial in phase.current() if not trial.is_ended)
            if rest:
                total += rest / speed
                left[phase.name] = total
        return left

    def _speed(self) -> float | None:
        """Return the FLOP/s of this run so far, None while unknown."""
        state = self._feed.state
        if state.started is None:
            return None
        seconds = (self._feed.now() - state.started).total_seconds()
        done = sum(self._done(trial) for phase in state.phases.values() for trial in self._of_this_run(phase))
        return done / seconds if done and seconds > 1 else None

    def _of_this_run(self, phase: PhaseState) -> list[TrialState]:
        start = self._feed.state.started
        return [
            trial
            for trial in phase.trials.values()
            if trial.attempt and (trial.state == "running" or (trial.ended and start and trial.ended >= start))
        ]

    def _done(self, trial: TrialState) -> float:
        return self._cost(trial) - self._left(trial) if trial.state == "running" else self._cost(trial)

    def _left(self, trial: TrialState) -> float:
        curve = self._feed.curve((trial.phase, trial.id)) if trial.state == "running" else None
        step = curve.steps[-1] if curve is not None and len(curve) else 0
        return self._cost(trial) * (1 - step / trial.settings.max_iters)

    def _cost(self, trial: TrialState) -> float:
        if trial.id not in self._flops:
            n_symbols = self._feed.state.corpus.vocab_size if self._feed.state.corpus else 1
            self._flops[trial.id] = training_flops(trial.settings, n_symbols)
        return self._flops[trial.id]
