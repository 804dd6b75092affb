"""Which hyperparameters mattered: forest, permutation, and the simple scores. Import it late: it loads scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import f_classif, f_regression, mutual_info_regression, r_regression
from sklearn.model_selection import KFold

from litegpt.analysis.design import Design, design
from litegpt.results.state import TrialState

TREES = 100  # scikit-learn's default, which the original used
PERMUTATION_TREES = 50  # one forest a fold
SECONDS_MIN = 1e-3
FOLDS = 5
REPEATS = 10
INTERVAL = (2.5, 97.5)  # per cent


@dataclass(frozen=True)
class Bar:
    """The importance of one factor."""

    name: str
    value: float
    low: float | None = None  # of the 95 % interval; None where the method gives none
    high: float | None = None
    members: tuple[tuple[str, float], ...] = ()  # each joint hyperparameter's own share, where the method tells one


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
    """How one hyperparameter alone goes with the target: of amounts on a line, of categories by their groups."""

    name: str
    f: float | None  # None where no group has two trials, or all are alike
    p: float | None
    mutual_information: float  # nats
    pearson: float | None  # None of a category


def forest(trials: Iterable[TrialState], target: str = "loss", seed: int = 0) -> Importance:
    """Return the impurity importance of a random forest, as the original published it: the shares add up to one.

    With two metrics as a target the forest predicts both in their own units, as the original's did, so the one with
    the larger numbers weighs more. Hyperparameters that vary together are one bar, the sum of their shares.
    """
    known = design(trials, target)
    shares = dict(zip(known.columns, _forest(seed).fit(*_arrays(known)).feature_importances_, strict=True))
    bars = [
        Bar(
            factor.name,
            float(sum(shares[name] for name in factor.members)),
            members=tuple((name, float(shares[name])) for name in factor.members if factor.members[1:]),
        )
        for factor in known.factors
    ]
    notes = known.notes
    if len(known.values) > 1:
        notes = (*notes, f"{' and '.join(known.values)} in their own units: the one with larger numbers weighs more")
    return Importance("forest", target, _sorted(bars), len(known.trials), None, notes)


def permutation(
    trials: Iterable[TrialState], target: str = "loss", seed: int = 0, repeats: int = REPEATS
) -> Importance:
    """Return by how much R squared on held-out trials falls when a factor is shuffled, with a 95 % interval.

    Over 5 folds and `repeats` shuffles each; joint hyperparameters are shuffled together. Trials of different lengths
    have their length as a factor. Metrics are standardised, so that two of them weigh the same, and seconds are taken
    on a logarithmic scale, so that one trial that hung does not make the result.
    """
    known = design(trials, target, with_length=True)
    x, y = _arrays(known, logarithmic_time=True)
    y = (y - y.mean(axis=0)) / np.where(y.std(axis=0) > 0, y.std(axis=0), 1)
    y = y.reshape(len(y), -1)
    places = {name: place for place, name in enumerate(known.columns)}
    generator = np.random.default_rng(seed)
    drops: list[list[float]] = [[] for _ in known.factors]
    held_out = np.zeros_like(y)
    folds = KFold(min(FOLDS, len(x) // 2), shuffle=True, random_state=seed)
    for fitted, held in folds.split(x):
        model = _forest(seed, PERMUTATION_TREES).fit(x[fitted], y[fitted] if y.shape[1] > 1 else y[fitted, 0])
        model.n_jobs = 1  # threads add up trees in any order, and the last bits would not be seeded
        held_out[held] = model.predict(x[held]).reshape(len(held), -1)
        error = np.mean((held_out[held] - y[held]) ** 2)
        for factor, found in zip(known.factors, drops, strict=True):
            shuffled = np.tile(x[held], (repeats, 1))
            columns = np.array([places[name] for name in factor.members])
            orders = np.concatenate([held[generator.permutation(len(held))] for _ in range(repeats)])
            shuffled[:, columns] = x[np.ix_(orders, columns)]
            errors = (model.predict(shuffled).reshape(repeats, len(held), -1) - y[held]) ** 2
            found.extend((errors.mean(axis=(1, 2)) - error).tolist())
    bars = []
    for factor, found in zip(known.factors, drops, strict=True):
        low, high = np.percentile(found, INTERVAL)
        bars.append(Bar(factor.name, float(np.mean(found)), float(low), float(high)))
    fit = 1 - float(np.mean((held_out - y) ** 2))
    notes = known.notes if fit > 0.5 else (*known.notes, f"the forest explains little (R² {fit:.2f}): take it lightly")
    return Importance("permutation", target, _sorted(bars), len(known.trials), fit, notes)


def scores(trials: Iterable[TrialState], target: str = "loss") -> list[Score]:
    """Return F, mutual information and Pearson's correlation of every hyperparameter with the target's first metric."""
    known = design(trials, target)
    x, y = _arrays(known)
    y = y.reshape(len(y), -1)[:, 0]
    information = mutual_info_regression(x, y, discrete_features=True, random_state=0)
    found = []
    for name, column, shared in zip(known.columns, x.T, information, strict=True):
        is_category = name in known.categories
        (f,), (p,) = f_classif(y[:, None], column) if is_category else f_regression(column[:, None], y)
        pearson = None if is_category else _finite(r_regression(column[:, None], y)[0])
        found.append(Score(name, _finite(f), _finite(p), float(shared), pearson))
    return found


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _forest(seed: int, trees: int = TREES) -> RandomForestRegressor:
    return RandomForestRegressor(n_estimators=trees, random_state=seed, n_jobs=2)


def _arrays(known: Design, *, logarithmic_time: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x = np.array(list(known.columns.values())).T
    values = {name: np.array(values) for name, values in known.values.items()}
    if logarithmic_time and "seconds" in values:
        values["seconds"] = np.log(np.maximum(values["seconds"], SECONDS_MIN))
    y = np.array(list(values.values())).T
    return x, y[:, 0] if y.shape[1] == 1 else y


def _sorted(bars: list[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: -bar.value))
