"""Base class of the tabs: the tab bar on top, the panes of the tab, the key bar below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from tui.feed import Feed
from tui.messages import FeedChanged
from tui.session import Session
from tui.view import StudyView
from tui.widgets.key_bar import KeyBar
from tui.widgets.top_bar import TopBar

FIRST_RUN = "There is no study here yet: n writes one for a text, sized to this machine and to your time; r runs it."
NOT_RUN = "Nothing has run yet: r runs the study."


class StudyScreen(Screen[None]):
    """A tab. Subclasses yield their panes in `compose_panes` and draw the feed's news in `show_feed`.

    The tabs do not use Textual's reactive attributes. A change of the feed touches several panes at once, often many
    times per second, and each tab knows which of its panes to redraw; `show_feed` and the `_show...` methods say so.
    """

    TAB: ClassVar[str] = ""
    # Each tab sets the focus itself: Textual's default could focus a hidden input line, which would swallow keys.
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (170, "-huge")]  # noqa: RUF012 - Textual's own type
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="pane.back"),
        Binding("z", "zoom", "Zoom", show=False, id="pane.zoom"),
        Binding("tab", "app.focus_next", "Next pane", show=False, id="pane.next"),
        Binding("shift+tab", "app.focus_previous", "Previous pane", show=False, id="pane.before"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        # True once the panes exist.
        self.is_drawn = False
        self._is_shown = False
        # The feed's revision that the panes show.
        self._drawn_revision = 0

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield from self.compose_panes()
        yield KeyBar()

    def compose_panes(self) -> ComposeResult:
        """Yield the panes between the two bars."""
        raise NotImplementedError

    def show_feed(self, changed: FeedChanged) -> None:
        """Draw the changes. Called only while the tab is on screen, and with everything when it comes on screen."""
        raise NotImplementedError

    @property
    def feed(self) -> Feed:
        return self.session.feed

    @property
    def view(self) -> StudyView:
        return self.session.view

    @property
    def invitation(self) -> str:
        """The sentence for a study that has not run: how to write one, or how to run it."""
        return FIRST_RUN if self.session.location.study_path is None else NOT_RUN

    def update(self, changed: FeedChanged) -> None:
        """Draw the feed's news in the bar and the panes, unless they already show a later revision."""
        if changed.revision is None:
            self._drawn_revision = self.feed.revision
        elif changed.revision <= self._drawn_revision:
            return
        self.query_one(TopBar).show(self.feed, self.view)
        self.show_feed(changed)

    def step_phase(self, by: int) -> None:
        """Select the next phase; after the last, all phases."""
        names = [None, *self.feed.state.phases]
        index = names.index(self.view.phase) if self.view.phase in names else 0
        self.view.phase = names[(index + by) % len(names)]

    def on_screen_resume(self) -> None:
        # Textual sends the event twice to a new screen.
        if not self._is_shown:
            self.is_drawn = self._is_shown = True
            self.update(FeedChanged.everything())

    def on_screen_suspend(self) -> None:
        self._is_shown = False

    def action_back(self) -> None:
        """Leave the zoomed pane. Tabs with more layers override this."""
        if self.maximized is not None:
            self.minimize()

    def action_zoom(self) -> None:
        """Give the focused pane the whole screen, or restore the panes."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(zoomable(self.focused))


def zoomable(widget: Widget) -> Widget:
    """Return the pane that contains a widget, or the widget itself if there is none."""
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and node.has_class("pane"):
            return node
    return widget
