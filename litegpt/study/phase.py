"""A phase of a study and its promotion, as read from the file and not yet expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.settings import Setting
from litegpt.study.trial import DEFAULTS, LENGTH

RANKINGS = ("train_loss", "val_loss", "best_val_loss", "final_loss", "best_bits_per_char", "seconds")
PROMOTION_MODES = ("narrow", "exact")
STARTS = ("scratch", "checkpoint")


def default_ranking(tokens_differ: bool) -> str:
    """Return what trials are ranked by where nothing else is asked for: losses compare where tokens are the same."""
    return "best_bits_per_char" if tokens_differ else "best_val_loss"


@dataclass(frozen=True)
class Promotion:
    """Which trials of an earlier phase a phase goes on from, and how.

    narrow: the values of the best trials span a new grid; exact: those trials themselves. start: "scratch", or
    "checkpoint" to go on from the promoted trial's weights.
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
    """A permutation that is no trial: what tells it from the others, and why."""

    settings: dict[str, Value]
    reason: str
    illegal: bool = False  # no exclusion asked for it: its values do not go together


@dataclass(frozen=True)
class Phase:
    """What a phase's table says: its own keys, its grid, its listed trials, its exclusions, its promotion."""

    name: str
    defaults: Mapping[str, Setting]  # the study's
    fixed: Mapping[str, Setting]
    axes: Mapping[str, tuple[Value, ...]]  # in the order written
    excludes: tuple[Mapping[str, Value], ...]
    listed: tuple[Mapping[str, Setting], ...]
    promotion: Promotion | None = None
    source: Phase | None = None  # the phase that the promotion is from

    def rules(self) -> dict[str, Setting]:
        """Return what is written for all trials of this phase, off its axes: defaults, the source phase's, its own."""
        rules = dict(self.defaults)
        if self.source is not None:
            inherited = self.source.rules()
            rules = {name: rule for name, rule in rules.items() if name in LENGTH}
            rules |= {name: rule for name, rule in inherited.items() if name not in LENGTH}
        return {name: rule for name, rule in {**rules, **self.fixed}.items() if name not in self.axes}

    def all_excludes(self) -> tuple[Mapping[str, Value], ...]:
        """Return its exclusions after those of the phases it comes from."""
        inherited = () if self.source is None else self.source.all_excludes()
        return (*inherited, *self.excludes)

    def all_axes(self) -> dict[str, tuple[Value, ...]]:
        """Return its axes after those of the phases it comes from."""
        inherited = {} if self.source is None else self.source.all_axes()
        return {**inherited, **self.axes}

    def tokens_differ(self) -> bool:
        """Tell whether its trials may differ in what their tokens are."""
        choices = (self._choices(name) for name in ("tokenizer", "vocab_size"))
        return any(len(values) > 1 or any(isinstance(value, Expression) for value in values) for values in choices)

    def _choices(self, name: str) -> set[Setting]:
        """Return the values that its trials may have of a hyperparameter which has a default."""
        own = self.fixed.get(name, self.defaults.get(name, DEFAULTS[name]))
        choices = {settings.get(name, own) for settings in self.listed}
        if name in self.axes:
            choices.update(self.axes[name])
        elif self.source is not None and name not in self.fixed:
            choices |= self.source._choices(name)
        elif self.axes or self.source is not None:
            choices.add(own)
        return choices
