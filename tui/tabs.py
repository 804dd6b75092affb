"""The tabs, and the screens behind them; a screen's module is imported when its tab is first opened."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from textual.screen import Screen


class Tab(NamedTuple):
    """One tab: its name, the title people read, and its screen's class in `tui.<name>.screen`."""

    name: str
    title: str
    screen: str

    def open(self) -> Screen[None]:
        """Return a new screen."""
        screen: Screen[None] = getattr(importlib.import_module(f"tui.{self.name}.screen"), self.screen)()
        return screen


TABS = (
    Tab("live", "Live", "LiveScreen"),
    Tab("leaderboard", "Leaderboard", "LeaderboardScreen"),
    Tab("grid", "Grid", "GridScreen"),
    Tab("curves", "Curves", "CurvesScreen"),
    Tab("importance", "Importance", "ImportanceScreen"),
    Tab("samples", "Samples", "SamplesScreen"),
)
