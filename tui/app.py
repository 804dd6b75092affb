"""The console: `litegpt-tui [STUDY.toml]`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from litegpt.display import inert
from litegpt.errors import InputError
from tui import actions, first_run
from tui.arguments import parse_arguments
from tui.feed import Feed, Source
from tui.location import Place, find_place
from tui.messages import FeedChanged
from tui.screen import StudyScreen
from tui.settings import Settings, load_settings, settings_path
from tui.sources import Files
from tui.tabs import TABS
from tui.terminal import announce, set_title
from tui.themes import NAMES, THEMES
from tui.view import View, load_view, save_view, view_path

if TYPE_CHECKING:
    from tui.devices import Devices


class ConsoleApp(App[None]):
    """One study on one screen: six tabs over one feed."""

    TITLE = "litegpt"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"switch_tab('{tab.name}')", tab.title, show=False, id=f"tab.{tab.name}")
            for number, tab in enumerate(TABS, start=1)
        ),
        Binding("left_square_bracket", "next_tab(-1)", "Previous tab", show=False, id="tab.previous"),
        Binding("right_square_bracket", "next_tab(1)", "Next tab", show=False, id="tab.next"),
        Binding("question_mark,f1", "help", "Help", key_display="?", id="console.help"),
        Binding("ctrl+p", "command_palette", "Actions", key_display="^p", show=False, id="console.palette"),
        Binding("r", "run_study", "Run", id="study.run"),
        Binding("n", "new_study", "New study", show=False, id="study.new"),
        Binding("K", "control('stop')", "Stop", show=False, id="study.stop"),
        Binding("P", "control('pause')", "Pause or resume", show=False, id="study.pause"),
        Binding("R", "control('retry')", "Retry", show=False, id="study.retry"),
        Binding("T", "next_theme", "Theme", show=False, id="console.theme"),
        Binding("q", "quit", "Quit", id="console.quit"),
        Binding("ctrl+q,ctrl+c", "quit", "Quit", show=False, id="console.quit_always", priority=True),
    ]

    def __init__(
        self,
        place: Place,
        *,
        settings: Settings | None = None,
        view_file: Path | None = None,
        readonly: bool = False,
        replay: float | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.readonly = readonly or replay is not None
        self.animation_level = "none"
        self.devices: Devices | None = None  # made where they are first sampled, off this thread
        self._view_file = view_file
        self.view: View = load_view(view_file) if view_file else View()
        if self.view.tab not in {tab.name for tab in TABS}:
            self.view.tab = TABS[0].name
        self.feed = Feed(place, _source(place, replay), self.post_message, self.settings.refresh_seconds)
        self._ended_phases: set[str] | None = None  # None until the journal has been read once
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.theme if self.settings.theme in NAMES else Settings.theme
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled_for = self._theme_key()
        for tab in TABS:
            self.add_mode(tab.name, tab.open)
        self.set_keymap(dict(self.settings.keymap))

    async def on_mount(self) -> None:
        self.feed.start()
        await self.feed.begun()  # a first picture with nothing in it would be drawn for nothing
        await self.switch_mode(self.view.tab)
        if not gc.isenabled():  # `main` put it off until there is something to see
            self.call_after_refresh(_collect_garbage_again)
        if self.settings.problem:
            self.notify(inert(self.settings.problem), severity="warning", markup=False)

    def on_unmount(self) -> None:
        self.feed.stop()
        if self._view_file:
            save_view(self.view, self._view_file)

    def on_feed_changed(self, changed: FeedChanged) -> None:
        """Give the tab on screen the news; the others catch up when they are shown."""
        if not self.is_running:  # its widgets are being put away
            return
        stack = self.screen_stack
        if stack and isinstance(stack[0], StudyScreen) and stack[0].is_drawn:
            stack[0].update(changed)
        if changed.state:
            self._mark_phase_ends()
            set_title(self)

    def _mark_phase_ends(self) -> None:
        ended = {phase.name for phase in self.feed.state.phases.values() if phase.ended is not None}
        if self._ended_phases is not None and self.settings.bell:
            for name in sorted(ended - self._ended_phases):
                announce(self, f"{inert(name)} has ended")
        self._ended_phases = ended

    def _theme_key(self) -> tuple[object, ...]:
        return self.theme, self.ansi_theme

    def refresh_css(self, animate: bool = True) -> None:
        """Parse the style sheets again if the theme has changed; Textual would for every screen that is opened."""
        if self._styled_for != self._theme_key():
            self._styled_for = self._theme_key()
            super().refresh_css(animate)

    async def action_switch_tab(self, name: str) -> None:
        """Show a tab."""
        self.view.tab = name
        await self.switch_mode(name)

    async def action_next_tab(self, by: int) -> None:
        """Show the tab to the right or to the left."""
        names = [tab.name for tab in TABS]
        await self.action_switch_tab(names[(names.index(self.view.tab) + by) % len(names)])

    def action_help(self) -> None:
        """Show the keys of the focused pane."""
        from tui.dialogs.help import HelpScreen

        self.push_screen(HelpScreen.of(self.screen))

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        self.theme = NAMES[(NAMES.index(self.theme) + 1) % len(NAMES)] if self.theme in NAMES else NAMES[0]

    def action_run_study(self) -> None:
        """Run the study, or what is left of it, in the background."""
        actions.run_study(self)

    def action_new_study(self) -> None:
        """Write the default study, where there is none."""
        first_run.write_default_study(self)

    def action_control(self, kind: str) -> None:
        """Ask the runner to stop, pause or retry the marked trials, or what the screen is about."""
        actions.control(self, kind)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return every action there is on this screen, for the palette."""
        yield from actions.palette(self, screen)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say which keys of the user's keymap two actions share."""
        names = ", ".join(sorted(binding.id or binding.action for binding in clashed_bindings))
        self.notify(f"the keymap in {settings_path()} gives one key to two actions: {names}", severity="warning")


def _source(place: Place, replay: float | None) -> Source:
    if replay is None:
        return Files(place.folder)
    from tui.replay import Replay

    return Replay(place.folder, replay)


def _collect_garbage_again() -> None:
    gc.freeze()
    gc.enable()


def main(argv: list[str] | None = None) -> int:
    """Entry of the script `litegpt-tui`."""
    arguments = parse_arguments(argv)
    try:
        place = find_place(arguments.study, arguments.results)
        if arguments.serve:
            from tui.serve import serve

            serve(arguments)
            return 0
        settings = load_settings(settings_path())
        app = ConsoleApp(
            place,
            settings=settings,
            view_file=view_path(place.folder.path),
            readonly=arguments.readonly,
            replay=arguments.replay,
        )
    except InputError as error:
        print(f"litegpt-tui: {inert(str(error))}", file=sys.stderr)  # noqa: T201 - the one line there is to say
        return 2
    gc.disable()  # thousands of objects are made until the first picture, and none of them is garbage
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
