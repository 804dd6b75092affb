"""What every tab is made of: a bar with the tabs above, the keys below, and the feed's news in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from tui.feed import Feed
from tui.messages import FeedChanged
from tui.view import View
from tui.widgets.key_bar import KeyBar
from tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from tui.app import ConsoleApp


class StudyScreen(Screen[None]):
    """One tab. A subclass yields its panes in `compose_panes` and draws the feed in `show_feed`."""

    TAB: ClassVar[str] = ""
    AUTO_FOCUS = ""  # each tab says where the focus begins; a line of text that is hidden would take keys
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (170, "-huge")]  # noqa: RUF012 - Textual's own type
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="pane.back"),
        Binding("z", "zoom", "Zoom", show=False, id="pane.zoom"),
        Binding("tab", "app.focus_next", "Next pane", show=False, id="pane.next"),
        Binding("shift+tab", "app.focus_previous", "Pane before", show=False, id="pane.before"),
    ]

    is_drawn = False  # whether the panes are there to be drawn on
    _is_shown = False
    _drawn_revision = 0  # of the feed

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield from self.compose_panes()
        yield KeyBar()

    def compose_panes(self) -> ComposeResult:
        """Yield the panes between the two bars."""
        raise NotImplementedError

    def show_feed(self, changed: FeedChanged) -> None:
        """Draw what has changed. Called only while the tab is on screen, and with everything when it is shown."""
        raise NotImplementedError

    @property
    def console_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def feed(self) -> Feed:
        return self.console_app.feed

    @property
    def view(self) -> View:
        return self.console_app.view

    def update(self, changed: FeedChanged) -> None:
        """Take the feed's news to the bar and the panes, unless they were drawn after it came."""
        if changed.revision is None:
            self._drawn_revision = self.feed.revision
        elif changed.revision <= self._drawn_revision:
            return
        self.query_one(TopBar).show(self.feed, self.view)
        self.show_feed(changed)

    def step_phase(self, by: int) -> None:
        """Look at the next phase; after the last, at all of them."""
        names = [None, *self.feed.state.phases]
        at = names.index(self.view.phase) if self.view.phase in names else 0
        self.view.phase = names[(at + by) % len(names)]

    def on_screen_resume(self) -> None:
        if not self._is_shown:  # a new screen is told twice
            self.is_drawn = self._is_shown = True
            self.update(FeedChanged.everything())

    def on_screen_suspend(self) -> None:
        self._is_shown = False

    def action_back(self) -> None:
        """Leave the zoomed pane; a screen with more layers leaves those first."""
        if self.maximized is not None:
            self.minimize()

    def action_zoom(self) -> None:
        """Give the focused pane the whole screen, or take it back."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(zoomable(self.focused))


def zoomable(widget: Widget) -> Widget:
    """Return the pane a widget is in: the widget itself, or the first parent that allows to be zoomed."""
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and node.has_class("pane"):
            return node
    return widget
