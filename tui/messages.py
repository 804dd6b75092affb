"""What the feed and the widgets tell the screens."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.message import Message

TrialKey = tuple[str, str]
"""A trial of a study: its phase and its id."""


@dataclass
class FeedChanged(Message):
    """The feed holds something new. Posted from the feed's thread, at most twice a second while nothing is loading."""

    state: bool = False  # the journal: phases, trials, workers
    study: bool = False  # the study file, or what is wrong with it
    runner: bool = False
    log: bool = False
    curves: frozenset[TrialKey] = field(default_factory=frozenset)
    samples: frozenset[TrialKey] = field(default_factory=frozenset)
    revision: int | None = None  # of the feed, when it told this

    @classmethod
    def everything(cls) -> FeedChanged:
        """Return what a screen is given when it is shown: draw it all."""
        return cls(state=True, study=True, runner=True, log=True)

    def __bool__(self) -> bool:
        return self.state or self.study or self.runner or self.log or bool(self.curves or self.samples)
