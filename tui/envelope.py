"""The least and the greatest of many curves, step by step; each curve is taken in once."""

from __future__ import annotations

import math

from tui.charts.plot import Band
from tui.curve import Curve
from tui.messages import TrialKey


class Envelope:
    """What the trials of a phase that have ended lie between, by validation loss."""

    def __init__(self) -> None:
        self._taken: set[TrialKey] = set()
        self._limits: dict[float, tuple[float, float]] = {}

    def take(self, key: TrialKey, curve: Curve) -> None:
        """Take a curve in that will not change any more."""
        if key in self._taken:
            return
        self._taken.add(key)
        limits = self._limits
        for step, loss in zip(curve.steps, curve.val_loss, strict=True):
            if not math.isnan(loss):
                low, high = limits.get(step, (loss, loss))
                limits[step] = (min(low, loss), max(high, loss))

    def __contains__(self, key: TrialKey) -> bool:
        return key in self._taken

    def band(self, colour: str) -> Band | None:
        """Return it as an area, None while there are not two curves."""
        if len(self._taken) < 2 or not self._limits:
            return None
        steps = sorted(self._limits)
        lows, highs = zip(*(self._limits[step] for step in steps), strict=True)
        return Band(steps, lows, highs, colour)
