"""Trials that no other beats at their cost, and suspicious trials."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from litegpt.analysis.curves import Curves, key_of
from litegpt.analysis.overfitting import overfitting, uniform_guess
from litegpt.estimate.cost import training_flops
from litegpt.results.ranking import measured
from litegpt.results.state import TrialState
from litegpt.study.trial import vocabulary_size

SLOW = 2.0  # times the median of comparable trials
SIBLINGS_MIN = 3
UNLEARNED = 0.98  # of a uniform guess's loss
UNKNOWN_VOCABULARY = 64  # the vocabulary hardly changes the ratio of costs


def pareto_front(trials: Iterable[TrialState], loss: str = "best_val_loss", cost: str = "seconds") -> list[TrialState]:
    """Return the trials that no other beats at the same cost or less, the cheapest first. Both names are metrics."""
    done = [trial for trial in trials if trial.state == "done"]
    losses = {key_of(trial): value for trial, value in measured(done, loss)}
    costs = [(trial, value) for trial, value in measured(done, cost) if key_of(trial) in losses]
    points = [(value, losses[key_of(trial)], trial.id, trial) for trial, value in costs]
    front: list[TrialState] = []
    least = math.inf
    for _, value, _, trial in sorted(points, key=lambda point: point[:3]):
        if value < least:
            front.append(trial)
            least = value
    return front


@dataclass(frozen=True)
class Suspicion:
    """A suspicious trial and the reason."""

    phase: str
    trial: str
    kind: str  # slow | diverged | failed | stopped | worse than guessing | learned nothing
    words: str


def suspicious(
    trials: Iterable[TrialState], curves: Curves | None = None, n_symbols: int | None = None
) -> list[Suspicion]:
    """Return the trials that were slow, failed, or predict worse than guessing.

    `n_symbols` is the number of different characters of the text.
    """
    listed = list(trials)
    found = [s for trial in listed if (s := _badly_ended(trial)) is not None]
    for phase in dict.fromkeys(trial.phase for trial in listed):
        found += _slow([trial for trial in listed if trial.phase == phase and trial.state == "done"], n_symbols)
    for trial in listed:
        if trial.state == "done" and (guessing := _guessing(trial, n_symbols, curves)) is not None:
            found.append(guessing)
    return found


def _badly_ended(trial: TrialState) -> Suspicion | None:
    if not trial.failed:
        return None
    at = "" if trial.metrics.step is None else f" at step {trial.metrics.step:,}"
    reason = f": {trial.reason}" if trial.reason else ""
    return Suspicion(trial.phase, trial.id, trial.state, f"{trial.state}{at}{reason}")


def _slow(trials: Sequence[TrialState], n_symbols: int | None) -> list[Suspicion]:
    """Compare each trial's seconds with trials of its shape, or, if there are too few, of similar arithmetic cost."""
    timed = [
        (trial, trial.metrics.seconds)
        for trial in trials
        if trial.metrics.seconds is not None and trial.metrics.seconds > 0
    ]
    by_shape: dict[object, list[float]] = defaultdict(list)
    for trial, seconds in timed:
        by_shape[_shape(trial)].append(seconds)
    speeds = [(trial, seconds / _flops(trial, n_symbols)) for trial, seconds in timed]
    found = []
    for (trial, seconds), (_, speed) in zip(timed, speeds, strict=True):
        siblings = by_shape[_shape(trial)]
        if len(siblings) > SIBLINGS_MIN:
            usual, others = statistics.median(siblings), f"{len(siblings) - 1} trials of its shape"
        elif len(timed) > SIBLINGS_MIN:
            near = sorted(
                speeds, key=lambda other: abs(math.log(_flops(other[0], n_symbols) / _flops(trial, n_symbols)))
            )
            rates = [rate for other, rate in near if other is not trial][: 2 * SIBLINGS_MIN]
            usual, others = statistics.median(rates) * seconds / speed, "trials of similar cost"
        else:
            continue
        if seconds > SLOW * usual:
            words = f"{seconds:,.0f} s, {seconds / usual:.1f} times the median of {others}"
            found.append(Suspicion(trial.phase, trial.id, "slow", words))
    return found


def _guessing(trial: TrialState, n_symbols: int | None, curves: Curves | None) -> Suspicion | None:
    """Report a trial that learned nothing, or that predicts worse than a uniform guess at its end."""
    vocabulary = vocabulary_size(trial.settings, n_symbols or 0)
    guess, best, last = uniform_guess(vocabulary), trial.metrics.best_val_loss, trial.metrics.val_loss
    if guess is None or last is None:
        return None
    words = f"validation loss {last:.2f} at the end, a uniform guess has {guess:.2f}"
    if best is not None and best > UNLEARNED * guess:
        return Suspicion(trial.phase, trial.id, "learned nothing", words)
    if last <= guess:
        return None
    course = overfitting(curves[key_of(trial)], vocabulary) if curves and key_of(trial) in curves else None
    if course is not None and course.since is not None:
        words += f"; its best was {course.best_val_loss:.2f} at step {course.best_val_step:,}"
    return Suspicion(trial.phase, trial.id, "worse than guessing", words)


def _shape(trial: TrialState) -> tuple[object, ...]:
    settings = trial.settings
    return (
        settings.n_layer,
        settings.n_head,
        settings.n_embd,
        settings.block_size,
        settings.batch_size,
        settings.max_iters,
        settings.tokenizer,
        settings.vocab_size,
    )


def _flops(trial: TrialState, n_symbols: int | None) -> float:
    return training_flops(trial.settings, n_symbols or UNKNOWN_VOCABULARY)
