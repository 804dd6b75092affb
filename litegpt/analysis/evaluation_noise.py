"""The noise of a metric between evaluations, and the margin within which trials tie."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from litegpt.results.metric import METRICS, History
from litegpt.results.ranking import rank
from litegpt.results.state import TrialState

THIRD_DIFFERENCE = (1, -3, 3, -1)
NORMAL_MAD = 0.6745  # the median absolute deviation of a standard normal distribution
TIE_SIGMAS = 1.96 * math.sqrt(2)  # 95 % margin of the difference of two values
NEAR = 4  # evaluations on either side of a minimum
SAMPLED_TRIALS = 48  # enough for a stable estimate, and quick to read


def noise_sample(trials: Iterable[TrialState], by: str) -> list[TrialState]:
    """Return the trials whose curves give the noise: the best of each phase, because ties matter there.

    If few trials have ended, the others follow. Commands, report and console sample the same trials, so that they mark
    the same ties.
    """
    phases: dict[str, list[TrialState]] = {}
    for trial in trials:
        phases.setdefault(trial.phase, []).append(trial)
    share = max(1, SAMPLED_TRIALS // max(1, len(phases)))
    # Imported trials may lack the metric.
    is_measured = any(trial.metrics.value(by) is not None for phase in phases.values() for trial in phase)
    sample: list[TrialState] = []
    for phase in phases.values():
        best = rank(phase, by if is_measured else None)[:share]
        ids = {trial.id for trial in best}
        sample += [*best, *(trial for trial in phase if trial.id not in ids)][:share]
    return sample


def evaluation_noise(curves: Iterable[History], metric: str) -> float | None:
    """Return the standard deviation of a metric around its smooth curves, pooled; None with too few evaluations.

    Third differences remove every trend up to a parabola. They are taken over the later half of each curve, or, for a
    metric that is the minimum of its curve, around that minimum: a trial that overfits is noisier long after its best
    evaluation. On curves with few evaluations some of the trend remains, so the estimate is too high.
    """
    if metric == "seconds":  # only grows
        return None
    scale = math.sqrt(sum(weight**2 for weight in THIRD_DIFFERENCE))
    differences: list[float] = []
    for curve in curves:
        values = [value for _, value in curve.points(METRICS[metric].curve.name)]
        near = _around_minimum(values) if METRICS[metric].best_of else _later_half(values)
        for start in range(len(near) - 3):
            differences.append(
                sum(w * v for w, v in zip(THIRD_DIFFERENCE, near[start : start + 4], strict=True)) / scale
            )
    if len(differences) < 3:
        return None
    return statistics.median(map(abs, differences)) / NORMAL_MAD


def _later_half(values: Sequence[float]) -> Sequence[float]:
    return values[min(len(values) // 2, max(1, len(values) - 4)) :]


def _around_minimum(values: Sequence[float]) -> Sequence[float]:
    """Return the values near the minimum; as many on one side if it is near an end of the curve."""
    size = 2 * NEAR + 1
    if len(values) <= size:
        return _later_half(values)
    lowest = min(range(len(values)), key=values.__getitem__)
    start = min(max(0, lowest - NEAR), len(values) - size)
    return values[start : start + size]


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float | None:
    """Return the pooled standard deviation within groups of repeats; None without repeats."""
    repeated = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    return math.sqrt(sum(statistics.variance(group) * (len(group) - 1) for group in repeated) / freedom)
