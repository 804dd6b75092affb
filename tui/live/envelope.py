"""The least and the greatest of many curves, step by step; each curve is taken in once."""

from __future__ import annotations

import math

from tui.charts.plot import Band
from tui.curve import Curve, Figure
from tui.messages import TrialKey


class Envelope:
    """What the trials of a phase that have ended lie between, by a figure."""

    def __init__(self, figure: Figure) -> None:
        self._figure: Figure = figure
        self._taken: set[TrialKey] = set()
        self._limits: dict[float, tuple[float, float]] = {}

    def take(self, key: TrialKey, curve: Curve) -> None:
        """Take a curve in that will not change any more."""
        if key in self._taken:
            return
        self._taken.add(key)
        limits = self._limits
        for step, value in zip(curve.steps, curve.column(self._figure), strict=True):
            if not math.isnan(value):
                low, high = limits.get(step, (value, value))
                limits[step] = (min(low, value), max(high, value))

    def __contains__(self, key: TrialKey) -> bool:
        return key in self._taken

    def band(self, colour: str) -> Band | None:
        """Return it as an area, None while there are not two curves."""
        if len(self._taken) < 2 or not self._limits:
            return None
        steps = sorted(self._limits)
        lows, highs = zip(*(self._limits[step] for step in steps), strict=True)
        return Band(steps, lows, highs, colour)
