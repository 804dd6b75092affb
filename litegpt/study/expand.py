"""From a phase to its trials.

A grid is the product of its axes in the order of the file, minus the exclusions. A *narrow* promotion spans a grid by
the values of the promoted trials; an *exact* one takes those trials. What the phase sets itself replaces what it
inherits, and `max_iters` and `eval_interval` are never inherited. Equal trials count once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from litegpt.errors import InputError
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Exclusion, Phase, Promotion
from litegpt.study.settings import Resolver, Setting, derived_value, unpaired_vocabulary
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial, of_scope

PERMUTATIONS_MAX = 100_000
"""The largest number of permutations that a study can have, in one phase or in all phases together."""
COMPARISONS_MAX = 5_000_000
"""The largest number of permutations times kinds of exclusions in a phase. Kinds name different hyperparameters."""

Axes = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Expansion:
    """A phase's trials and exclusions, and the axes that span its grid (empty without one)."""

    trials: tuple[Trial, ...]
    excluded: tuple[Exclusion, ...]
    axes: Axes
    doubles: int = field(default=0, compare=False)  # combinations in the file that repeat another


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


def bound(phase: Phase, source: Bound | None, remaining: int = PERMUTATIONS_MAX) -> Bound:
    """Return the upper bound of a phase, given the bound of the phase it promotes from, if any.

    `remaining` is the number of permutations that the study may still have. InputError: a phase without a promotion has
    more. The candidates of a promotion are not listed if there are more.
    """
    if phase.promotion is None or source is None:
        expansion = _expand(phase, (), remaining)
        return Bound(len(expansion.trials), expansion)
    promotion = phase.promotion
    grid_size = math.prod(map(len, phase.axes.values()))
    # Promoting all trials of the source may be too many, while the few that will be promoted are not.
    try:
        candidates = _expand(phase, source.candidates.trials, remaining) if source.candidates else None
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


def check_size(permutations: int, phase: str, remaining: int = PERMUTATIONS_MAX) -> None:
    """Raise InputError if a phase has too many permutations to list."""
    if permutations > PERMUTATIONS_MAX:
        raise InputError(f"phase '{phase}' has {permutations:,} permutations, more than {PERMUTATIONS_MAX:,}")
    if permutations > remaining:
        used = PERMUTATIONS_MAX - remaining
        raise InputError(
            f"phase '{phase}' has {permutations:,} permutations and the phases before it {used:,}, "
            f"together more than {PERMUTATIONS_MAX:,}"
        )


def _expand(phase: Phase, promoted: Sequence[Trial], remaining: int = PERMUTATIONS_MAX) -> Expansion:
    grids = [*_grids(phase, promoted), *_listed(phase)]
    permutations, exclusions = sum(map(len, grids)), _Exclusions(phase.all_excludes)
    check_size(permutations, phase.name, remaining)
    if permutations * len(exclusions) > COMPARISONS_MAX:
        raise InputError(
            f"phase '{phase.name}' has {permutations:,} permutations and {len(exclusions):,} kinds of exclusions; "
            f"their product must be at most {COMPARISONS_MAX:,}"
        )
    trials: dict[Trial, None] = {}
    excluded: dict[tuple[object, ...], Exclusion] = {}
    unique = math.prod(map(len, phase.axes.values()))
    written = 0
    for grid in grids:
        # A grid repeats a permutation wherever one of the phase's own axes repeats a value.
        written += len(grid) * phase.written // unique if grid.axes else len(grid)
        resolver = Resolver({name: rule for name, rule in grid.shared.items() if name not in grid.axes})
        varying = [name for name, values in grid.axes.items() if len(values) > 1]
        for point in grid.points():
            values, illegal = resolver.resolve(point)
            reason = exclusions.reason(values) or _unpaired(point)
            if reason or illegal:
                label = {**grid.label, **({name: point[name] for name in varying} or point)}
                excluded[tuple(label.items())] = Exclusion(label, reason or illegal or "", illegal=not reason)
            else:
                trials[Trial(**values)] = None
    doubles = written - len(trials) - len(excluded)
    return Expansion(tuple(trials), tuple(excluded.values()), grids[0].axes if grids else {}, doubles)


class _Exclusions:
    """The exclusions of a phase, grouped by the hyperparameters they name, so that one look-up checks a whole group."""

    def __init__(self, excludes: Sequence[Mapping[str, Value]]) -> None:
        self._groups: dict[tuple[str, ...], dict[tuple[Value | None, ...], tuple[int, str]]] = {}
        for number, exclude in enumerate(excludes):
            names = tuple(sorted(exclude))
            reasons = self._groups.setdefault(names, {})
            reasons.setdefault(tuple(exclude[name] for name in names), (number, excluded_by(exclude)))

    def __len__(self) -> int:
        return len(self._groups)

    def reason(self, values: Mapping[str, Value]) -> str | None:
        """Return the reason of the first exclusion in the file that these values meet."""
        if not self._groups:
            return None
        matches = (reasons.get(tuple(values.get(name) for name in names)) for names, reasons in self._groups.items())
        return min((match for match in matches if match is not None), default=(0, None))[1]


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


def _grids(phase: Phase, promoted: Sequence[Trial]) -> Iterator[_Grid]:
    rules = phase.rules
    if phase.promotion is None:
        if phase.axes:
            yield _Grid(rules, phase.axes, {})
    elif phase.promotion.how == "narrow":
        narrowed = _narrowed_axes(phase, promoted)
        # A hyperparameter that never was an axis and has one value is a setting of the new grid, not an axis.
        written = phase.all_axes
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
    written = phase.source.all_axes if phase.source else {}
    rules = phase.rules
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
    promotion, rules = phase.promotion, phase.rules
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
