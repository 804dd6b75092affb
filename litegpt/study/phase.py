"""A phase of a study and its promotion, as read from the file and not yet expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.settings import Setting
from litegpt.study.trial import DEFAULTS, LENGTH

RANKINGS = ("train_loss", "val_loss", "best_val_loss", "final_loss", "best_bits_per_char", "seconds")
PROMOTION_MODES = ("narrow", "exact")
STARTS = ("scratch", "checkpoint")
RESERVED_NAMES = (
    *("study.toml", "journal.jsonl", "runner.lock", "runner.log", "requests", "tokenizers"),
    *("baselines.json", "autotune.json"),
)
"""Files of the results folder, beside the folders of studies and phases."""
RESERVED_ENDINGS = (".tmp", ".damaged")
"""Endings of unfinished and repaired files in the results folder."""


def is_reserved(name: str) -> bool:
    """Tell whether a study or a phase cannot have a name because a file of the results has it."""
    return name.casefold() in RESERVED_NAMES or name.casefold().endswith(RESERVED_ENDINGS)


def default_ranking(tokens_differ: bool) -> str:
    """Return the ranking for trials with equal or different tokens, unless a study or a user names another."""
    return "best_bits_per_char" if tokens_differ else "best_val_loss"


@dataclass(frozen=True)
class Promotion:
    """The rule by which a phase takes over the best trials of an earlier phase.

    how: "narrow" spans a new grid by the values of the best trials, "exact" takes those trials. start: "scratch" begins
    with new weights, "checkpoint" with the weights of the promoted trial.
    """

    source: str  # the key `from` of the file
    top: int
    by: str = "best_val_loss"
    how: str = "narrow"
    start: str = "scratch"

    def table(self) -> dict[str, Any]:
        """Return the promotion as the table of a study file."""
        return {"from": self.source, "top": self.top, "by": self.by, "how": self.how, "start": self.start}


@dataclass(frozen=True)
class Exclusion:
    """A permutation that is left out: the settings that identify it, and the reason."""

    settings: dict[str, Value]
    reason: str
    illegal: bool = False  # its values do not go together; no exclusion names it


@dataclass(frozen=True)
class Phase:
    """The table of a phase: its own settings, grid, listed trials, exclusions and promotion."""

    name: str
    defaults: Mapping[str, Setting]  # the study's
    fixed: Mapping[str, Setting]
    axes: Mapping[str, tuple[Value, ...]]  # in the order written
    excludes: tuple[Mapping[str, Value], ...]
    listed: tuple[Mapping[str, Setting], ...]
    promotion: Promotion | None = None
    source: Phase | None = None  # the phase that the promotion is from
    written: int = 1  # permutations of its own axes as they are written, with repeated values

    @cached_property
    def rules(self) -> dict[str, Setting]:
        """The settings of all trials of the phase, without its axes.

        Later ones win: the defaults, the settings of the source phase (but never the length), the phase's own.
        """
        rules = dict(self.defaults)
        if self.source is not None:
            inherited = self.source.rules
            rules = {name: rule for name, rule in rules.items() if name in LENGTH}
            rules |= {name: rule for name, rule in inherited.items() if name not in LENGTH}
        return {name: rule for name, rule in {**rules, **self.fixed}.items() if name not in self.axes}

    @cached_property
    def all_excludes(self) -> tuple[Mapping[str, Value], ...]:
        """The exclusions of the phases it promotes from, then its own."""
        inherited = () if self.source is None else self.source.all_excludes
        return (*inherited, *self.excludes)

    @cached_property
    def all_axes(self) -> dict[str, tuple[Value, ...]]:
        """The axes of the phases it promotes from, then its own."""
        inherited = {} if self.source is None else self.source.all_axes
        return {**inherited, **self.axes}

    def tokens_differ(self) -> bool:
        """Tell whether its trials may have different tokenizers or vocabularies."""
        choices = (self._choices(name) for name in ("tokenizer", "vocab_size"))
        return any(len(values) > 1 or any(isinstance(value, Expression) for value in values) for values in choices)

    def _choices(self, name: str) -> set[Setting]:
        """Return the values that its trials may have of a hyperparameter with a default."""
        setting = self.fixed.get(name, self.defaults.get(name, DEFAULTS[name]))
        choices = {settings.get(name, setting) for settings in self.listed}
        if name in self.axes:
            choices.update(self.axes[name])
        elif self.source is not None and name not in self.fixed:
            choices |= self.source._choices(name)
        elif self.axes or self.source is not None:
            choices.add(setting)
        return choices
