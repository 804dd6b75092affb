"""Importance of hyperparameters: forest, permutation, and simple scores.

The functions import scikit-learn. They raise InputError if it is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from litegpt.analysis.anova import Anova
from litegpt.analysis.design import Design, design, target_label
from litegpt.extras import optional_imports
from litegpt.results.state import TrialState

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

TREES = 100  # scikit-learn's default, which the original used
PERMUTATION_TREES = 50  # one forest per fold
SECONDS_MIN = 1e-3
FOLDS = 5
REPEATS = 10
INTERVAL = (2.5, 97.5)  # percentiles
HUNG = 20  # times the median time: such a trial can decide a forest of seconds
LARGE, SMALL = 0.1, 0.02  # shares of importance that contradict each other


@dataclass(frozen=True)
class Bar:
    """The importance of one factor."""

    name: str
    value: float
    low: float | None = None  # of the 95 % interval; None if the method has none
    high: float | None = None
    members: tuple[tuple[str, float], ...] = ()  # the share of each joint hyperparameter, if the method has one


@dataclass(frozen=True)
class Importance:
    """The importance of every factor, the largest first."""

    method: str
    target: str
    bars: tuple[Bar, ...]
    trials: int
    fit: float | None  # R squared on held-out trials
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """The relation of one hyperparameter alone with the target: linear for numbers, between groups for categories."""

    name: str
    f: float | None  # None if no group has two trials or all trials are equal
    p: float | None
    mutual_information: float  # nats
    pearson: float | None  # None for a category


def forest(trials: Iterable[TrialState], target: str = "loss", seed: int = 0) -> Importance:
    """Return the impurity importance of a random forest, as the original published it; the shares add up to 1.

    A forest for two metrics predicts both in their own units, as in the original, so the one with the larger numbers
    weighs more. Hyperparameters that vary together are one bar with the sum of their shares.
    """
    data = design(trials, target)
    shares = dict(zip(data.columns, _forest(seed).fit(*_arrays(data)).feature_importances_, strict=True))
    bars = [
        Bar(
            factor.name,
            float(sum(shares[name] for name in factor.members)),
            members=tuple((name, float(shares[name])) for name in factor.members if factor.members[1:]),
        )
        for factor in data.factors
    ]
    notes = data.notes
    if len(data.values) > 1:
        notes = (*notes, f"{' and '.join(data.values)} are not rescaled, so the larger numbers dominate the forest")
    if hung := _hung(data):
        notes = (
            *notes,
            f"{hung} trial{'s' * (hung > 1)} took over {HUNG} times the median time and can decide this forest",
        )
    return Importance("forest", target, _sorted(bars), len(data.trials), None, notes)


def permutation(
    trials: Iterable[TrialState], target: str = "loss", seed: int = 0, repeats: int = REPEATS
) -> Importance:
    """Return the fall of R squared on held-out trials when a factor is shuffled, with a 95 % interval.

    The interval is over 5 folds with `repeats` shuffles each. Joint hyperparameters are shuffled together. The length
    is a factor if trials differ in it. Metrics are standardised, so that two weigh the same, and the logarithm of
    seconds is predicted, so that a trial that hung does not decide the result.
    """
    with optional_imports("importance"):
        from sklearn.model_selection import KFold

    data = design(trials, target, with_length=True)
    x, y = _arrays(data, logarithmic_time=True)
    y = (y - y.mean(axis=0)) / np.where(y.std(axis=0) > 0, y.std(axis=0), 1)
    y = y.reshape(len(y), -1)
    places = {name: place for place, name in enumerate(data.columns)}
    generator = np.random.default_rng(seed)
    drops: list[list[float]] = [[] for _ in data.factors]
    held_out = np.zeros_like(y)
    folds = KFold(min(FOLDS, len(x) // 2), shuffle=True, random_state=seed)
    for fitted, held in folds.split(x):
        model = _forest(seed, PERMUTATION_TREES).fit(x[fitted], y[fitted] if y.shape[1] > 1 else y[fitted, 0])
        # Threads add up trees in any order, which changes the last bits.
        model.n_jobs = 1
        held_out[held] = model.predict(x[held]).reshape(len(held), -1)
        error = np.mean((held_out[held] - y[held]) ** 2)
        for factor, found in zip(data.factors, drops, strict=True):
            shuffled = np.tile(x[held], (repeats, 1))
            columns = np.array([places[name] for name in factor.members])
            orders = np.concatenate([held[generator.permutation(len(held))] for _ in range(repeats)])
            shuffled[:, columns] = x[np.ix_(orders, columns)]
            errors = (model.predict(shuffled).reshape(repeats, len(held), -1) - y[held]) ** 2
            found.extend((errors.mean(axis=(1, 2)) - error).tolist())
    bars = []
    for factor, found in zip(data.factors, drops, strict=True):
        low, high = np.percentile(found, INTERVAL)
        bars.append(Bar(factor.name, float(np.mean(found)), float(low), float(high)))
    fit = 1 - float(np.mean((held_out - y) ** 2))
    notes = (
        data.notes
        if fit > 0.5
        else (*data.notes, f"the forest explains little (R² {fit:.2f}), so its importance is uncertain")
    )
    return Importance("permutation", target, _sorted(bars), len(data.trials), fit, notes)


def disagreements(forest: Importance, permutation: Importance, variance: Anova | None) -> tuple[str, ...]:
    """Name the factors that matter to the forest alone; all three results are about the same metric.

    An impurity importance counts splits on a few extreme trials, which held-out trials and means do not confirm.
    """
    total = sum(max(0.0, bar.value) for bar in permutation.bars) or 1.0
    shuffled = {bar.name: bar.value / total for bar in permutation.bars}
    found = []
    for bar in forest.bars:
        explained = (
            sum(effect.share for effect in variance.effects if effect.factors == (bar.name,)) if variance else 0.0
        )
        if bar.value >= LARGE and shuffled.get(bar.name, 0.0) < SMALL and explained < SMALL:
            others = "permutation and ANOVA show" if variance else "permutation shows"
            found.append(
                f"{bar.name}: the forest gives it {bar.value:.0%} of the {target_label(forest.target)}, but {others} "
                "no effect; a few extreme trials can cause this"
            )
    return tuple(found)


def scores(trials: Iterable[TrialState], target: str = "loss") -> list[Score]:
    """Return F, mutual information and Pearson's correlation of every hyperparameter with the target's first metric."""
    with optional_imports("importance"):
        from sklearn.feature_selection import f_classif, f_regression, mutual_info_regression, r_regression

    data = design(trials, target)
    x, y = _arrays(data)
    y = y.reshape(len(y), -1)[:, 0]
    information = mutual_info_regression(x, y, discrete_features=True, random_state=0)
    found = []
    for name, column, shared in zip(data.columns, x.T, information, strict=True):
        is_category = name in data.categories
        (f,), (p,) = f_classif(y[:, None], column) if is_category else f_regression(column[:, None], y)
        pearson = None if is_category else _finite(r_regression(column[:, None], y)[0])
        found.append(Score(name, _finite(f), _finite(p), float(shared), pearson))
    return found


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _forest(seed: int, trees: int = TREES) -> RandomForestRegressor:
    with optional_imports("importance"):
        from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=trees, random_state=seed, n_jobs=2)


def _arrays(data: Design, *, logarithmic_time: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x = np.array(list(data.columns.values())).T
    values = {name: np.array(values) for name, values in data.values.items()}
    if logarithmic_time and "seconds" in values:
        values["seconds"] = np.log(np.maximum(values["seconds"], SECONDS_MIN))
    y = np.array(list(values.values())).T
    return x, y[:, 0] if y.shape[1] == 1 else y


def _hung(data: Design) -> int:
    """Return the number of trials that took far longer than the median."""
    seconds = data.values.get("seconds", ())
    return int((np.array(seconds) > HUNG * np.median(seconds)).sum()) if seconds else 0


def _sorted(bars: list[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: -bar.value))
