"""How long a study still takes, at the speed that its packs have reached so far.

Runner, console and `litegpt plan` all ask this module, so they show the same time left for the same state. Work is
counted in floating-point operations and includes the evaluations: a trial of a few steps that is evaluated over a long
text spends most of its time there.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from litegpt.estimate.cost import training_flops
from litegpt.estimate.forecast import FORWARD_SHARE
from litegpt.results.folder import StudyFolder
from litegpt.results.metrics import read_metrics
from litegpt.results.state import StudyState, TrialState
from litegpt.study.evaluation import EVALUATED_TOKENS, evaluation_steps
from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial

MEASURED_SECONDS = 1.0  # a speed measured over a shorter time means nothing

Steps = Mapping[tuple[str, str], int]
"""The last step reached by each running trial, by phase and trial id. A trial before its first evaluation is absent."""


def reached_steps(folder: StudyFolder, state: StudyState) -> dict[tuple[str, str], int]:
    """Return the last evaluated step of each running trial, from its metrics."""
    steps = {}
    for trial in state.trials():
        if trial.state == "running":
            evaluations = read_metrics(folder.trial(trial.phase, trial.id).metrics)
            if evaluations:
                steps[trial.phase, trial.id] = evaluations[-1].step
    return steps


@dataclass(frozen=True)
class _Work:
    """The operations of one trial."""

    training: float
    evaluation: float  # of one evaluation
    steps: list[int]  # those with an evaluation

    @property
    def total(self) -> float:
        return self.training + self.evaluation * len(self.steps)

    def until(self, step: int, max_iters: int) -> float:
        evaluations = bisect.bisect_right(self.steps, step)
        return self.training * min(1.0, step / max_iters) + self.evaluation * evaluations


class Forecast:
    """Measures a study's speed and predicts its remaining time; remembers what each trial costs."""

    def __init__(self, n_symbols: int, validation_characters: int) -> None:
        self._n_symbols = n_symbols
        # An evaluation covers this many tokens of each split.
        self._evaluated_tokens = min(validation_characters, EVALUATED_TOKENS)
        self._works: dict[str, _Work] = {}  # by trial id, which follows from the settings

    @classmethod
    def of(cls, state: StudyState, split: SplitRule | None = None) -> Forecast:
        """Return the forecast for the corpus that a journal names."""
        if state.corpus is None:
            return cls(1, 0)
        fraction = (split or SplitRule()).fraction
        return cls(state.corpus.vocab_size, round(fraction * state.corpus.characters))

    def work(self, trials: Iterable[Trial], most: int | None = None) -> float:
        """Return the operations of trials, or of the `most` expensive ones."""
        totals = (self._work(trial.id, trial).total for trial in trials)
        return sum(totals) if most is None else sum(heapq.nlargest(most, totals))

    def speed(self, state: StudyState, steps: Steps | None = None, now: datetime | None = None) -> float | None:
        """Return the operations per second of all workers together; None until something was measured.

        Running trials count from their `steps` up to `now`; without these only ended packs count.
        """
        per_worker = self._speed_per_worker(state, steps or {}, now)
        return None if per_worker is None else per_worker * max(1, len(state.devices))

    def seconds(self, trials: Iterable[Trial], state: StudyState, most: int | None = None) -> float | None:
        """Return how long trials take, or the `most` expensive ones; None until something was measured."""
        speed = self.speed(state)
        return None if speed is None else self.work(trials, most) / speed

    def seconds_left(self, state: StudyState, steps: Steps, now: datetime) -> dict[str, float]:
        """Return how many seconds from `now` each phase still takes until its end, by phase name.

        Phases run one after another, so a later phase includes the time of the earlier ones. Phases without trials left
        are absent, and so are all phases while the speed is unknown.
        """
        speed = self._speed_per_worker(state, steps, now)
        if speed is None:
            return {}
        workers = max(1, len(state.devices))
        left: dict[str, float] = {}
        total = 0.0
        for phase in state.phases.values():
            waiting = [trial for trial in phase.current() if not trial.is_ended]
            if waiting:
                # Towards the end of a phase fewer packs than workers are left.
                busy = len({trial.pack for trial in waiting if trial.state == "running"})
                busy += sum(trial.state == "queued" for trial in waiting)
                rest = sum(self._rest(trial, steps) for trial in waiting)
                total += rest / (speed * min(workers, max(1, busy)))
                left[phase.name] = total
        return left

    def _speed_per_worker(self, state: StudyState, steps: Steps, now: datetime | None) -> float | None:
        """Return the operations per second of one worker, over all packs of this study so far."""
        seconds = sum(phase.pack_wall_seconds for phase in state.phases.values())
        done = 0.0
        running: dict[str | None, float] = {}  # seconds since the start, by pack
        for trial in state.trials():
            work = self._work(trial.id, trial.settings)
            # A trial without an attempt was imported, or took over its results from another phase.
            if trial.is_ended and trial.attempt:
                done += work.until(trial.metrics.step or 0, trial.settings.max_iters)
            elif trial.state == "running" and now is not None and trial.started is not None:
                step = steps.get((trial.phase, trial.id))
                done += 0.0 if step is None else work.until(step, trial.settings.max_iters)
                running[trial.pack] = max(0.0, (now - trial.started).total_seconds())
        seconds += sum(running.values())
        return done / seconds if done and seconds > MEASURED_SECONDS else None

    def _rest(self, trial: TrialState, steps: Steps) -> float:
        work = self._work(trial.id, trial.settings)
        step = steps.get((trial.phase, trial.id)) if trial.state == "running" else None
        return work.total if step is None else work.total - work.until(step, trial.settings.max_iters)

    def _work(self, trial_id: str, trial: Trial) -> _Work:
        work = self._works.get(trial_id)
        if work is None:
            training = training_flops(trial, self._n_symbols)
            per_token = training / (trial.max_iters * trial.batch_size * trial.block_size)
            # An evaluation is a forward pass over both splits.
            evaluation = 2 * self._evaluated_tokens * per_token * FORWARD_SHARE
            work = self._works[trial_id] = _Work(training, evaluation, evaluation_steps(trial))
        return work
