"""Exact analysis of variance on complete grids: every main effect and two-way interaction, without estimates."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from litegpt.analysis.design import Design, design
from litegpt.errors import InputError
from litegpt.results.state import TrialState

Cell = tuple[object, ...]


@dataclass(frozen=True)
class Effect:
    """The average effect of one factor, or the interaction of two."""

    factors: tuple[str, ...]
    share: float  # of the total variance
    sum_of_squares: float
    freedom: int

    @property
    def name(self) -> str:
        return " x ".join(self.factors)


@dataclass(frozen=True)
class Anova:
    """The variance of a target on a complete grid, split into effects, the largest first."""

    target: str
    phase: str
    effects: tuple[Effect, ...]
    rest: float  # share of interactions of three or more factors, and of chance
    cells: int
    trials: int  # of the phase
    notes: tuple[str, ...]


def anova(trials: Iterable[TrialState], target: str = "loss") -> Anova:
    """Return the analysis of the target's first metric in the phase with the largest complete grid among the trials.

    If combinations are missing, levels are left out until the grid is complete; a note names them. Repeats of a
    setting count as their mean. InputError: there is not enough data.
    """
    phases: dict[str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        phases[trial.phase].append(trial)
    results: list[Anova] = []
    refusal = InputError("not enough data: no trials")
    for phase, phase_trials in phases.items():
        try:
            results.append(_anova(design(phase_trials, target), phase))
        except InputError as error:
            refusal = error
    if not results:
        raise refusal
    return max(results, key=lambda result: result.cells)


def _anova(data: Design, phase: str) -> Anova:
    values = next(iter(data.values.values()))
    groups: dict[Cell, list[float]] = defaultdict(list)
    for index, value in enumerate(values):
        groups[tuple(tuple(data.columns[n][index] for n in f.members) for f in data.factors)].append(value)
    means = {cell: statistics.fmean(group) for cell, group in groups.items()}
    kept, dropped = _complete(set(means), [factor.name for factor in data.factors])
    levels = [sorted({cell[i] for cell in kept}) for i in range(len(data.factors))]  # type: ignore[type-var]
    varying = [i for i, values in enumerate(levels) if len(values) > 1]
    if len(kept) < 4 or not varying:
        raise InputError(f"not enough data: the grid of phase '{phase}' has no complete part")
    table = np.array([means[cell] for cell in itertools.product(*levels)]).reshape([len(values) for values in levels])
    effects, rest = _split(table, [factor.name for factor in data.factors], varying)
    notes = [*data.notes]
    if dropped:
        notes.append(
            f"on the complete part of the grid, {len(kept):,} of {len(means):,} settings: {', '.join(dropped)}"
        )
    return Anova(data.target, phase, effects, rest, len(kept), len(data.trials), tuple(notes))


def _complete(cells: set[Cell], names: list[str]) -> tuple[set[Cell], list[str]]:
    """Return the cells of a complete grid, and the levels that were left out, those with most cells missing first."""
    dropped: list[str] = []
    while cells:
        levels = [Counter(cell[i] for cell in cells) for i in range(len(names))]
        size = int(np.prod([len(counts) for counts in levels]))
        if size == len(cells):
            break
        whole = [
            (size // len(counts), i, level, count) for i, counts in enumerate(levels) for level, count in counts.items()
        ]
        _, i, level, _ = max(
            ((full - count) / full, i, level, count) for full, i, level, count in whole if len(levels[i]) > 1
        )
        cells = {cell for cell in cells if cell[i] != level}
        dropped.append(f"without {names[i]} {' '.join(f'{value:g}' for value in level)}")  # type: ignore[attr-defined]
    return cells, dropped


def _split(table: np.ndarray, names: list[str], varying: list[int]) -> tuple[tuple[Effect, ...], float]:
    grand = table.mean()
    total = float(((table - grand) ** 2).sum())
    main = {i: table.mean(axis=tuple(a for a in range(table.ndim) if a != i), keepdims=True) - grand for i in varying}
    effects = []
    for i in varying:
        squares = float(np.broadcast_to(main[i] ** 2, table.shape).sum())
        effects.append(Effect((names[i],), squares / total if total else 0.0, squares, table.shape[i] - 1))
    for i, j in itertools.combinations(varying, 2):
        pair = table.mean(axis=tuple(a for a in range(table.ndim) if a not in (i, j)), keepdims=True) - grand
        squares = float(np.broadcast_to((pair - main[i] - main[j]) ** 2, table.shape).sum())
        freedom = (table.shape[i] - 1) * (table.shape[j] - 1)
        effects.append(Effect((names[i], names[j]), squares / total if total else 0.0, squares, freedom))
    rest = max(0.0, 1 - sum(effect.share for effect in effects)) if total else 0.0
    return tuple(sorted(effects, key=lambda effect: -effect.share)), rest
