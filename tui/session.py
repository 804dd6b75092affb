"""One run of the console: the study it shows and everything that its tabs and dialogs share.

The application makes the session and hands it to each tab and dialog. They never import the application, so imports
run one way: app -> tabs -> dialogs and widgets -> session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.feed import Feed
from tui.location import StudyLocation
from tui.settings import Settings
from tui.view import StudyView

if TYPE_CHECKING:
    from tui.devices import DeviceSampler


@dataclass
class Session:
    """The feed reads the results; the view is what the user has set up; the settings come from settings.toml."""

    feed: Feed
    view: StudyView
    settings: Settings
    readonly: bool = False
    # None until the first sample: the Live tab creates it in a thread, because NVIDIA's library starts slowly.
    device_sampler: DeviceSampler | None = None

    @property
    def location(self) -> StudyLocation:
        return self.feed.location
