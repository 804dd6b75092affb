"""The metadata of a hyperparameter: range, choices, scope, names and help.

The fields of `Trial` are declared with this metadata, and everything else derives from it: the checks of a study file,
which trials share a pack, column headings, the names that filters accept, the editor's help, and the table in
docs/study.md. To add a hyperparameter, declare a field of `Trial` and use it in the training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Value = int | float | str  # a bool is an int

Scope = Literal["shape", "step", "length", "trial"]
"""The part of the training that a hyperparameter belongs to. A pack shares all scopes except "trial".

shape: what the model computes and which weights it has. A phase that starts from a checkpoint cannot change it.
step: how a training step is computed, and how fast.
length: how long the training is. A promotion never inherits it.
trial: what each trial of a pack has for itself.
"""


@dataclass(frozen=True)
class Range:
    """The numbers that a hyperparameter can have."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, number: float) -> bool:
        return (
            (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"between {self.least} and {self.most}"
        limits = {"at least": self.least, "more than": self.above, "at most": self.most, "less than": self.below}
        return " and ".join(f"{words} {limit}" for words, limit in limits.items() if limit is not None)


SIZE = Range(least=1, most=2**31 - 1)
COUNT = Range(least=0, most=2**31 - 1)
FRACTION = Range(least=0, below=1)
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(least=0)


@dataclass(frozen=True)
class Hyperparameter:
    """The metadata of one field of `Trial`."""

    help: str  # one line of Markdown
    scope: Scope
    range: Range = Range()  # of a number
    choices: tuple[str, ...] = ()  # of a text
    short: str = ""  # the heading of its column and, with "_" for spaces, a name in filters; "" for the field's name
    is_minor: bool = False  # a narrow table leaves its column out early
    changes_memory: bool = False  # although its scope is "trial"

    # These are filled in from the field itself.
    name: str = ""
    kind: type = object  # int, float, bool or str
    default: Value | None = None  # None: a study must set it

    @property
    def heading(self) -> str:
        """The heading of its column in tables."""
        return self.short or self.name

    @property
    def alias(self) -> str:
        """A short name that filters accept in place of its name."""
        return self.heading.replace(" ", "_")

    @property
    def is_number(self) -> bool:
        """True for numbers, which may also be derived from other hyperparameters."""
        return self.kind in (int, float)

    @property
    def plain_help(self) -> str:
        """Its help without the marks of Markdown."""
        return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", self.help).replace("`", "")
