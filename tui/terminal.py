"""What the terminal around the screen is told: its title, a bell, a notification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litegpt.display import inert

if TYPE_CHECKING:
    from tui.app import ConsoleApp


def set_title(app: ConsoleApp) -> None:
    """Put phase and progress in the terminal's title (OSC 2)."""
    counts = app.feed.state.counts()
    total, open_ = counts.total, counts.unfinished
    at_work = [phase.name for phase in app.feed.state.phases.values() if phase.started and not phase.ended]
    parts = [app.feed.place.name or "litegpt", *at_work[-1:], f"{total - open_}/{total}"]
    _write(app, f"\x1b]2;{inert(' '.join(parts))}\x07")


def announce(app: ConsoleApp, sentence: str) -> None:
    """Ring, and tell terminals that show notifications (OSC 9)."""
    app.notify(sentence, markup=False)
    app.bell()
    _write(app, f"\x1b]9;{inert(sentence)}\x07")


def _write(app: ConsoleApp, sequence: str) -> None:
    driver = app._driver
    if driver is not None and not app.is_headless:
        driver.write(sequence)
