"""Messages that several parts of the console exchange."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.message import Message

TrialKey = tuple[str, str]
"""A trial of a study, as its phase and its id."""


@dataclass
class FeedChanged(Message):
    """The feed has new data. Posted from the feed's thread, at most twice per second except while it reads curves."""

    # The journal: phases, trials, workers.
    state: bool = False
    # The study file, or the mistake in it.
    study: bool = False
    runner: bool = False
    log: bool = False
    curves: frozenset[TrialKey] = field(default_factory=frozenset)
    samples: frozenset[TrialKey] = field(default_factory=frozenset)
    # The feed's revision with this change.
    revision: int | None = None

    @classmethod
    def everything(cls) -> FeedChanged:
        """Return the change for a tab that comes on screen and must draw everything."""
        return cls(state=True, study=True, runner=True, log=True)

    def __bool__(self) -> bool:
        return self.state or self.study or self.runner or self.log or bool(self.curves or self.samples)
