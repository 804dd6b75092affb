"""A phase of a study and its promotion, as read from the file and not yet expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from litegpt.plan.settings import LENGTH, Setting, Value

RANKINGS = ("train_loss", "val_loss", "best_val_loss", "final_loss", "seconds")
HOWS = ("narrow", "exact")
STARTS = ("scratch", "checkpoint")


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
