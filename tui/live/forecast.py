"""How long a study still takes, from what its trials cost and how fast this run has been."""

from __future__ import annotations

from litegpt.estimate.cost import training_flops
from litegpt.results.state import PhaseState, TrialState
from tui.feed import Feed


class Forecast:
    """Seconds left, by phase; None where no speed is known yet."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._flops: dict[str, float] = {}  # by trial id, which follows from the settings

    def seconds_left(self) -> dict[str, float]:
        """Return the seconds left of each phase that has trials left, counted from now; none while speed is unknown."""
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
        """Return the FLOP/s of this run so far."""
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
        known = self._flops.get(trial.id)
        if known is None:
            n_symbols = self._feed.state.corpus.vocab_size if self._feed.state.corpus else 1
            known = self._flops[trial.id] = training_flops(trial.settings, n_symbols)
        return known
