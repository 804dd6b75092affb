"""The hyperparameters that vary in a set of trials, as numbers, and those that vary together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from litegpt.errors import InputError, did_you_mean
from litegpt.results.metric import METRICS, comparable_metrics
from litegpt.results.ranking import measured
from litegpt.results.state import TrialState
from litegpt.study.phase import RANKINGS, default_ranking
from litegpt.study.trial import HYPERPARAMETERS, LENGTH, tokens_differ

TRIALS_MIN = 8
ORDER = ("learning_rate", "n_head", "n_embd", "block_size", "batch_size", "n_layer")  # as in the original
UNJUDGED = (*LENGTH, "seed")  # length and chance are not part of a setting

TARGETS: dict[str, tuple[str, ...]] = {
    "loss": ("final_loss",),
    "best_val_loss": ("best_val_loss",),
    "loss and time": ("final_loss", "seconds"),
    **{name: (name,) for name in RANKINGS},
}
"""The targets of importance, each with its metrics."""


def comparable_targets(trials: Iterable[TrialState]) -> tuple[str, ...]:
    """Return the targets that compare between the tokenizers of these trials, the default one first."""
    differ = tokens_differ(trial.settings for trial in trials)
    default = default_ranking(True) if differ else "loss"
    targets = (name for name, metrics in TARGETS.items() if comparable_metrics(metrics, differ) == metrics)
    return tuple(dict.fromkeys((default, *targets)))


def target_label(target: str) -> str:
    """Return a target in words."""
    return " and ".join(METRICS[name].label for name in TARGETS[target])


@dataclass(frozen=True)
class Factor:
    """A hyperparameter, or several whose effects cannot be separated because they vary together."""

    members: tuple[str, ...]

    @property
    def name(self) -> str:
        return " + ".join(self.members)


@dataclass(frozen=True)
class Design:
    """The finished trials that have the target's metrics, their settings as numbers, and their factors."""

    target: str
    trials: tuple[TrialState, ...]
    columns: dict[str, tuple[float, ...]]  # by hyperparameter, in ORDER; texts as the index of their value
    values: dict[str, tuple[float, ...]]  # by metric of the target
    factors: tuple[Factor, ...]
    notes: tuple[str, ...]

    @property
    def categories(self) -> set[str]:
        """The hyperparameters without an order: texts, and vocabulary sizes, where 0 means the default."""
        settings = self.trials[0].settings
        return {name for name in self.columns if name == "vocab_size" or isinstance(getattr(settings, name), str)}


def design(trials: Iterable[TrialState], target: str = "loss", *, with_length: bool = False) -> Design:
    """Return the design of trials for a target. InputError: an unknown target, or not enough data.

    `with_length` treats `max_iters` as a hyperparameter; otherwise trials of all lengths are pooled.
    """
    if target not in TARGETS:
        raise InputError(f"no importance for '{target}'{did_you_mean(target, TARGETS)}: one of {', '.join(TARGETS)}")
    names = TARGETS[target]
    known = [t for t in trials if t.state == "done" and all(t.metrics.value(name) is not None for name in names)]
    columns = _columns(known, (*ORDER, "max_iters") if with_length else ORDER)
    if len(known) < TRIALS_MIN or not columns:
        reason = f"{len(known)} finished trials with {' and '.join(names)}"
        reason += (
            ", and no hyperparameter varies" if len(known) >= TRIALS_MIN else f"; at least {TRIALS_MIN} are needed"
        )
        raise InputError(f"not enough data: {reason}")
    factors = _factors(columns)
    return Design(
        target=target,
        trials=tuple(known),
        columns=columns,
        values={name: tuple(value for _, value in measured(known, name)) for name in names},
        factors=factors,
        notes=_notes(known, factors, with_length),
    )


def _columns(trials: Sequence[TrialState], first: Sequence[str]) -> dict[str, tuple[float, ...]]:
    names = (*first, *(name for name in HYPERPARAMETERS if name not in (*first, *UNJUDGED)))
    columns: dict[str, tuple[float, ...]] = {}
    for name in names:
        values = [getattr(trial.settings, name) for trial in trials]
        levels = sorted(set(values))
        if len(levels) > 1:
            texts = isinstance(levels[0], str)
            columns[name] = tuple(float(levels.index(value) if texts else value) for value in values)
    return columns


def _factors(columns: dict[str, tuple[float, ...]]) -> tuple[Factor, ...]:
    groups: list[list[str]] = []
    for name, column in columns.items():
        group = next((group for group in groups if _varies_with(columns[group[0]], column)), None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return tuple(Factor(tuple(group)) for group in groups)


def _varies_with(first: Sequence[float], second: Sequence[float]) -> bool:
    """Return whether each follows from the other, with enough repeated values to exclude chance."""
    pairs = len(set(zip(first, second, strict=True)))
    levels = max(len(set(first)), len(set(second)))
    return pairs == levels and 2 * levels <= len(first)


def _notes(trials: Sequence[TrialState], factors: Sequence[Factor], with_length: bool) -> tuple[str, ...]:
    notes = [f"{factor.name}: they vary together, so they have one effect" for factor in factors if factor.members[1:]]
    lengths = sorted({trial.settings.max_iters for trial in trials})
    if len(lengths) > 1 and not with_length:
        lengths_text = ", ".join(f"{length:,}" for length in lengths)
        notes.append(f"trials of {lengths_text} iterations are pooled; --phase NAME analyses one phase")
    return tuple(notes)
