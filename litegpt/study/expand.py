"""From a phase to its trials.

A grid is the product of its axes, in the order written, less what is excluded. A promotion *narrow* spans a grid by the
values that the promoted trials have; *exact* takes those trials. What the phase itself sets goes before what it carries
over, and `max_iters` and `eval_interval` never carry over. Trials of one setting are one trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from litegpt.errors import InputError
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import RANKINGS, Exclusion, Phase, Promotion
from litegpt.study.settings import Setting, derived_value, resolve, unpaired_vocabulary
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial, of_scope

__all__ = [
    "PERMUTATIONS_MAX",
    "RANKINGS",
    "Bound",
    "Exclusion",
    "Expansion",
    "bound",
    "check_size",
    "expand",
    "expand_phases",
]

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
    """What a phase can come to before the promotions it waits for are known; exact where it waits for none."""

    trials_max: int
    candidates: Expansion | None  # every trial it could have, often more than `trials_max`; None: too many to list


@dataclass(frozen=True)
class _Grid:
    """Axes over a base; `told` is what names its permutations beside their values on the axes."""

    base: Mapping[str, Setting | None]
    axes: Axes
    told: Mapping[str, Value]

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values()))

    def points(self) -> Iterator[dict[str, Value]]:
        return (dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values()))


def expand(phase: Phase, promoted: Sequence[Trial] | None = None) -> Expansion | None:
    """Return the trials of a phase; `promoted` are the best trials of its source phase, best first.

    None where the phase has a promotion and `promoted` is None: its source is not finished. InputError: more than
    `PERMUTATIONS_MAX` permutations.
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
    """Return the upper bound of a phase, given that of the phase it promotes from (None without a promotion)."""
    if phase.promotion is None or source is None:
        expansion = _expand(phase, ())
        return Bound(len(expansion.trials), expansion)
    promotion, own = phase.promotion, math.prod(map(len, phase.axes.values()))
    try:
        candidates = _expand(phase, source.candidates.trials) if source.candidates else None
    except InputError:  # all of the source would be too many; the few that are promoted need not be
        candidates = None
    trials_max = PERMUTATIONS_MAX if candidates is None else len(candidates.trials)
    if promotion.how == "exact":
        permutations = min(promotion.top, source.trials_max) * own
    elif source.candidates:
        narrowed = _narrowed_axes(phase, source.candidates.trials)
        permutations = own * math.prod(min(promotion.top, len(values)) for values in narrowed.values())
    else:
        permutations = PERMUTATIONS_MAX
    return Bound(min(trials_max, permutations + len(phase.listed)), candidates)


def check_size(permutations: int, phase: str) -> None:
    """InputError where a phase has too many permutations to list."""
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
            values, illegal = resolve({**grid.base, **point})
            reason = next((reason for rule, reason in excludes if _matches(rule, values)), None) or _unpaired(point)
            if reason or illegal:
                told = {**grid.told, **({name: point[name] for name in varying} or point)}
                excluded[tuple(told.items())] = Exclusion(told, reason or illegal or "", illegal=not reason)
            else:
                trials[Trial(**values)] = None
    return Expansion(tuple(trials), tuple(excluded.values()), grids[0].axes if grids else {})


def _unpaired(point: Mapping[str, Value]) -> str | None:
    """Return why a point of a grid is left out that has tokenizers and vocabularies as axes: only some are pairs."""
    tokenizer, vocab_size = point.get("tokenizer"), point.get("vocab_size")
    if isinstance(tokenizer, str) and isinstance(vocab_size, int):
        return unpaired_vocabulary(tokenizer, vocab_size)
    return None


def excluded_by(exclude: Mapping[str, Value]) -> str:
    """Return the reason that an exclusion of the study file gives."""
    return "excluded: " + ", ".join(f"{name} = {_number(value)}" for name, value in exclude.items())


def _number(value: Value) -> str:
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
        written = phase.all_axes()
        constant = {name: values[0] for name, values in narrowed.items() if len(values) == 1 and name not in written}
        axes = {name: values for name, values in narrowed.items() if name not in constant}
        yield _Grid({**rules, **constant}, {**axes, **phase.axes}, {})
    else:
        for trial in promoted:
            yield _Grid(_carried(phase, trial), phase.axes, _told(trial))


def _told(trial: Trial) -> dict[str, Value]:
    """Return what tells a trial from others: all that is no default, but for the length of the training."""
    values = {name: getattr(trial, name) for name in HYPERPARAMETERS if name not in LENGTH}
    return {name: value for name, value in values.items() if value != DEFAULTS.get(name)}


def _listed(phase: Phase) -> Iterator[_Grid]:
    for settings in phase.listed:
        told = {name: rule.source if isinstance(rule, Expression) else rule for name, rule in settings.items()}
        yield _Grid({**phase.defaults, **phase.fixed, **settings}, {}, told)


def _narrowed_axes(phase: Phase, promoted: Sequence[Trial]) -> dict[str, tuple[Value, ...]]:
    """Return every hyperparameter's values among the promoted trials, where the phase does not set or derive it."""
    axes: dict[str, tuple[Value, ...]] = {}
    written = phase.source.all_axes() if phase.source else {}
    rules = phase.rules()
    for name in (*written, *(name for name in HYPERPARAMETERS if name not in written)):
        if name in LENGTH or name in phase.fixed or name in phase.axes:
            continue
        rule = rules.get(name)
        if isinstance(rule, Expression) and all(_agrees(name, rule, trial) for trial in promoted):
            continue
        order = {value: index for index, value in enumerate(written.get(name, ()))}
        values = {getattr(trial, name) for trial in promoted}
        axes[name] = tuple(sorted(values, key=lambda value: (order.get(value, len(order)), value)))
    return axes


def _carried(phase: Phase, trial: Trial) -> dict[str, Setting | None]:
    """Return a promoted trial's settings under the phase's own; what its source derives stays derived."""
    promotion, rules = phase.promotion, phase.rules()
    resumes = promotion is not None and promotion.start == "checkpoint"
    carried: dict[str, Setting | None] = {}
    kept = of_scope("shape") if resumes else ()  # the promoted weights have a shape
    for name in HYPERPARAMETERS:
        rule = rules.get(name)
        if name in LENGTH or name in phase.fixed:
            if rule is not None:
                carried[name] = rule
        elif isinstance(rule, Expression) and name not in kept and _agrees(name, rule, trial):
            carried[name] = rule
        else:
            carried[name] = getattr(trial, name)
    if promotion is not None and resumes:
        carried["start_from"] = f"{promotion.source}/{trial.id}"
    return carried


def _agrees(name: str, rule: Expression, trial: Trial) -> bool:
    """Tell whether a trial has the value that a rule derives: then the rule, not the value, carries over."""
    try:
        return bool(derived_value(name, rule, vars(trial)) == getattr(trial, name))
    except ValueError:
        return False
