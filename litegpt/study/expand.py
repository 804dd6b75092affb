"""From a phase to its trials.

A grid is the product of its axes in the order of the file, minus the exclusions. A *narrow* promotion spans a grid by
the values of the promoted trials; an *exact* one takes those trials. What the phase sets itself replaces what it
inherits, and `max_iters` and `eval_interval` are never inherited. Equal trials count once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from litegpt.errors import InputError
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Exclusion, Phase, Promotion
from litegpt.study.settings import Setting, derived_value, resolve, unpaired_vocabulary
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial, of_scope

PERMUTATIONS_MAX = 1_000_000

Axes = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Expansion:
    """A phase's trials and exclusions, and the axes that span its grid (empty without one)."""

    trials: tuple[Trial, ...]
    excluded: tuple[Exclusion, ...]
    axes: Axes


@dataclass(frozen=True)
class Bound:
    """An upper bound of a phase before its promotions are known; exact for a phase without a promotion."""

    trials_max: int
    candidates: Expansion | None  # all trials that are possible, often more than `trials_max`; None: too many to list


@dataclass(frozen=True)
class _Grid:
    """The product of axes, on top of the settings that all its permutations share."""

    shared: Mapping[str, Setting | None]
    axes: Axes
    label: Mapping[str, Value]  # settings that tell an excluded permutation from those of other grids

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values()))

    def points(self) -> Iterator[dict[str, Value]]:
        return (dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values()))


def expand(phase: Phase, promoted: Sequence[Trial] | None = None) -> Expansion | None:
    """Return the trials of a phase, given the trials of its source phase, best first.

    Returns None if the phase has a promotion and `promoted` is None, because its source is not finished. InputError:
    the phase has more than `PERMUTATIONS_MAX` permutations.
    """
    if phase.promotion is None:
        return _expand(phase, ())
    return None if promoted is None else _expand(phase, promoted[: phase.promotion.top])


def expand_phases(
    phases: Iterable[Phase], ranked: Callable[[Promotion, Expansion], Sequence[Trial] | None]
) -> dict[str, Expansion]:
    """Return the expansions, by phase name, of all phases that do not wait for another.

    `ranked(promotion, source)` returns the trials of an expanded source phase, best first. It returns None while the
    source is unfinished, and the phase that promotes from it then has to wait.
    """
    expansions: dict[str, Expansion] = {}
    for phase in phases:
        promoted: Sequence[Trial] | None = None
        if phase.promotion is not None and phase.promotion.source in expansions:
            promoted = ranked(phase.promotion, expansions[phase.promotion.source])
        expansion = expand(phase, promoted)
        if expansion is not None:
            expansions[phase.name] = expansion
    return expansions


def bound(phase: Phase, source: Bound | None) -> Bound:
    """Return the upper bound of a phase, given the bound of the phase it promotes from, if any."""
    if phase.promotion is None or source is None:
        expansion = _expand(phase, ())
        return Bound(len(expansion.trials), expansion)
    promotion = phase.promotion
    grid_size = math.prod(map(len, phase.axes.values()))
    # Promoting all trials of the source may be too many, while the few that will be promoted are not.
    try:
        candidates = _expand(phase, source.candidates.trials) if source.candidates else None
    except InputError:
        candidates = None
    trials_max = PERMUTATIONS_MAX if candidates is None else len(candidates.trials)
    if promotion.how == "exact":
        permutations = min(promotion.top, source.trials_max) * grid_size
    elif source.candidates:
        narrowed = _narrowed_axes(phase, source.candidates.trials)
        permutations = grid_size * math.prod(min(promotion.top, len(values)) for values in narrowed.values())
    else:
        permutations = PERMUTATIONS_MAX
    return Bound(min(trials_max, permutations + len(phase.listed)), candidates)


def check_size(permutations: int, phase: str) -> None:
    """Raise InputError if a phase has too many permutations to list."""
    if permutations > PERMUTATIONS_MAX:
        raise InputError(f"phase '{phase}' has {permutations:,} permutations, more than {PERMUTATIONS_MAX:,}")


def _expand(phase: Phase, promoted: Sequence[Trial]) -> Expansion:
    grids = [*_grids(phase, promoted), *_listed(phase)]
    check_size(sum(map(len, grids)), phase.name)
    trials: dict[Trial, None] = {}
    excluded: dict[tuple[object, ...], Exclusion] = {}
    excludes = [(exclude, excluded_by(exclude)) for exclude in phase.all_excludes()]
    for grid in grids:
        varying = [name for name, values in grid.axes.items() if len(values) > 1]
        for point in grid.points():
            values, illegal = resolve({**grid.shared, **point})
            reason = next((reason for rule, reason in excludes if _matches(rule, values)), None) or _unpaired(point)
            if reason or illegal:
                label = {**grid.label, **({name: point[name] for name in varying} or point)}
                excluded[tuple(label.items())] = Exclusion(label, reason or illegal or "", illegal=not reason)
            else:
                trials[Trial(**values)] = None
    return Expansion(tuple(trials), tuple(excluded.values()), grids[0].axes if grids else {})


def _unpaired(point: Mapping[str, Value]) -> str | None:
    """Return why a grid over tokenizers and vocabulary sizes leaves a pair out; None if the two belong together."""
    tokenizer, vocab_size = point.get("tokenizer"), point.get("vocab_size")
    if isinstance(tokenizer, str) and isinstance(vocab_size, int):
        return unpaired_vocabulary(tokenizer, vocab_size)
    return None


def excluded_by(exclude: Mapping[str, Value]) -> str:
    """Return the reason that is reported for the permutations that an [[phase.exclude]] leaves out."""
    return "excluded: " + ", ".join(f"{name} = {_short(value)}" for name, value in exclude.items())


def _short(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _matches(exclude: Mapping[str, Value], values: Mapping[str, Value]) -> bool:
    return all(name in values and values[name] == value for name, value in exclude.items())


def _grids(phase: Phase, promoted: Sequence[Trial]) -> Iterator[_Grid]:
    rules = phase.rules()
    if phase.promotion is None:
        if phase.axes:
            yield _Grid(rules, phase.axes, {})
    elif phase.promotion.how == "narrow":
        narrowed = _narrowed_axes(phase, promoted)
        # A hyperparameter that never was an axis and has one value is a setting of the new grid, not an axis.
        written = phase.all_axes()
        constant = {name: values[0] for name, values in narrowed.items() if len(values) == 1 and name not in written}
        axes = {name: values for name, values in narrowed.items() if name not in constant}
        yield _Grid({**rules, **constant}, {**axes, **phase.axes}, {})
    else:
        for trial in promoted:
            yield _Grid(_carried(phase, trial), phase.axes, _label(trial))


def _label(trial: Trial) -> dict[str, Value]:
    """Return the settings of a trial that differ from the defaults, without the length of the training."""
    values = {name: getattr(trial, name) for name in HYPERPARAMETERS if name not in LENGTH}
    return {name: value for name, value in values.items() if value != DEFAULTS.get(name)}


def _listed(phase: Phase) -> Iterator[_Grid]:
    for settings in phase.listed:
        label = {name: rule.source if isinstance(rule, Expression) else rule for name, rule in settings.items()}
        yield _Grid({**phase.defaults, **phase.fixed, **settings}, {}, label)


def _narrowed_axes(phase: Phase, promoted: Sequence[Trial]) -> dict[str, tuple[Value, ...]]:
    """Return the values that the promoted trials have of each hyperparameter the phase neither sets nor derives."""
    axes: dict[str, tuple[Value, ...]] = {}
    written = phase.source.all_axes() if phase.source else {}
    rules = phase.rules()
    # The axes of the source come first, in the order of the file, so that the new grid is listed in the same order.
    for name in (*written, *(name for name in HYPERPARAMETERS if name not in written)):
        if name in LENGTH or name in phase.fixed or name in phase.axes:
            continue
        # A derived value stays derived, so that n_head = "n_embd // 64" is right for every new width. A listed trial
        # may contradict the rule; then its value becomes an axis.
        rule = rules.get(name)
        if isinstance(rule, Expression) and all(_agrees(name, rule, trial) for trial in promoted):
            continue
        # Values keep the order of the source's axis. Values that were not on the axis follow, from low to high.
        order = {value: index for index, value in enumerate(written.get(name, ()))}
        values = {getattr(trial, name) for trial in promoted}
        axes[name] = tuple(sorted(values, key=lambda value: (order.get(value, len(order)), value)))
    return axes


def _carried(phase: Phase, trial: Trial) -> dict[str, Setting | None]:
    """Return the settings of a promoted trial in its new phase."""
    promotion, rules = phase.promotion, phase.rules()
    resumes = promotion is not None and promotion.start == "checkpoint"
    # With weights from a checkpoint the shape of the model is given, even where the phase would derive another one.
    kept = of_scope("shape") if resumes else ()
    carried: dict[str, Setting | None] = {}
    for name in HYPERPARAMETERS:
        rule = rules.get(name)
        # The promoted trial never decides the length, or what the phase sets itself.
        if name in LENGTH or name in phase.fixed:
            if rule is not None:
                carried[name] = rule
        # A value that a rule derived stays derived: with an axis of widths, the heads follow the width.
        elif isinstance(rule, Expression) and name not in kept and _agrees(name, rule, trial):
            carried[name] = rule
        else:
            carried[name] = getattr(trial, name)
    if promotion is not None and resumes:
        carried["start_from"] = f"{promotion.source}/{trial.id}"
    return carried


def _agrees(name: str, rule: Expression, trial: Trial) -> bool:
    """Tell whether a rule derives the value that a trial has."""
    try:
        return bool(derived_value(name, rule, vars(trial)) == getattr(trial, name))
    except ValueError:
        return False
