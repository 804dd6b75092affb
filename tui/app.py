"""The console: `litegpt-tui [STUDY.toml]`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from litegpt import __version__
from litegpt.arguments import Parser
from litegpt.display import inert
from litegpt.errors import InputError
from tui import actions
from tui.feed import Feed, FeedSource
from tui.location import StudyLocation, find_location
from tui.messages import FeedChanged
from tui.screen import StudyScreen
from tui.session import Session
from tui.settings import Settings, load_settings, settings_path
from tui.sources import Files
from tui.terminal import announce, check_terminal, set_title
from tui.themes import NAMES, THEMES
from tui.view import TABS, StudyView, load_view, save_view, view_path

# A console that does not end in this time after a signal ends without restoring the terminal.
SIGNAL_SECONDS = 5.0


class ConsoleApp(App[None]):
    """One study on six tabs. The session holds everything that the tabs share."""

    TITLE = "litegpt"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"switch_tab('{name}')", title, show=False, id=f"tab.{name}")
            for number, (name, title) in enumerate(TABS.items(), start=1)
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
        location: StudyLocation,
        *,
        settings: Settings | None = None,
        view_file: Path | None = None,
        readonly: bool = False,
        replay: float | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        settings = settings or Settings()
        feed = Feed(location, _source(location, replay), self.post_message, settings.refresh_seconds)
        view = load_view(view_file) if view_file else StudyView()
        self.session = Session(feed, view, settings, readonly or replay is not None)
        self._view_file = view_file
        # None until the journal has been read once: phases that ended earlier are not announced.
        self._ended_phases: set[str] | None = None
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = settings.theme if settings.theme in NAMES else Settings.theme
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled_for = self._theme_key()
        for name in TABS:
            self.add_mode(name, partial(open_tab, name, self.session))
        self.set_keymap(dict(settings.keymap))

    @property
    def feed(self) -> Feed:
        return self.session.feed

    @property
    def view(self) -> StudyView:
        return self.session.view

    def on_load(self) -> None:
        # textual-serve's driver handles the signals itself.
        if not self.is_web:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._end_by_signal, 128 + number)

    def _end_by_signal(self, code: int) -> None:
        """Quit as `q` does, with the exit code that shells use for the signal."""
        # If the terminal has gone, writing to it can block for ever.
        watchdog = threading.Timer(SIGNAL_SECONDS, os._exit, [code])
        watchdog.daemon = True
        watchdog.start()
        self.exit(return_code=code)

    async def on_mount(self) -> None:
        self.feed.start()
        # Wait for the first data: drawing an empty screen first would only cost time.
        await self.feed.wait_for_first_read()
        await self.switch_mode(self.view.tab)
        if not gc.isenabled():
            # `main` has switched garbage collection off until the first picture is drawn.
            self.call_after_refresh(_enable_garbage_collection)
        if problem := self.session.settings.problem:
            self.notify(inert(problem), severity="warning", markup=False)

    def on_unmount(self) -> None:
        self.feed.stop()
        if self._view_file:
            save_view(self.view, self._view_file)

    def on_feed_changed(self, changed: FeedChanged) -> None:
        """Draw the news on the current tab. Other tabs draw everything when they come on screen."""
        # While the application closes, its widgets are already being removed.
        if not self.is_running:
            return
        stack = self.screen_stack
        if stack and isinstance(stack[0], StudyScreen) and stack[0].is_drawn:
            stack[0].update(changed)
        if changed.state:
            self._announce_ended_phases()
            set_title(self, self.feed)

    def _announce_ended_phases(self) -> None:
        ended = {phase.name for phase in self.feed.state.phases.values() if phase.ended is not None}
        if self._ended_phases is not None and self.session.settings.bell:
            for name in sorted(ended - self._ended_phases):
                announce(self, f"{inert(name)} has ended")
        self._ended_phases = ended

    def _theme_key(self) -> tuple[object, ...]:
        return self.theme, self.ansi_theme

    def refresh_css(self, animate: bool = True) -> None:
        """Parse the style sheets only after a change of theme; Textual parses them for every screen that opens."""
        if self._styled_for != self._theme_key():
            self._styled_for = self._theme_key()
            super().refresh_css(animate)

    async def action_switch_tab(self, name: str) -> None:
        """Show a tab."""
        self.view.tab = name
        await self.switch_mode(name)

    async def action_next_tab(self, by: int) -> None:
        """Show the tab to the right or to the left."""
        names = list(TABS)
        await self.action_switch_tab(names[(names.index(self.view.tab) + by) % len(names)])

    def action_help(self) -> None:
        """Show the keys of the focused pane."""
        from tui.dialogs.help import HelpScreen

        self.push_screen(HelpScreen.of(self.screen))

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        self.theme = NAMES[(NAMES.index(self.theme) + 1) % len(NAMES)] if self.theme in NAMES else NAMES[0]

    def action_run_study(self) -> None:
        """Run or resume the study in the background."""
        actions.run_study(self, self.session)

    def action_new_study(self) -> None:
        """Ask for a text, and write a study for it."""
        actions.write_new_study(self, self.session, self._open_study)

    def _open_study(self, path: Path) -> None:
        location = find_location(path, self.session.location.folder.root)
        self.feed.open_study(location, _source(location, None))

    def action_control(self, kind: str) -> None:
        """Ask the runner to stop, pause or retry: the marked trials, or the whole study."""
        actions.control(self, self.session, kind)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield every action that has a key on this screen, for the palette."""
        seen: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled and binding.action not in seen:
                seen.add(binding.action)
                keys = self.get_key_display(binding)
                run = partial(self.run_action, binding.action, active.node)
                yield SystemCommand(binding.description, f"{binding.tooltip or binding.description} ({keys})", run)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Warn about actions that share a key in the user's keymap."""
        names = ", ".join(sorted(binding.id or binding.action for binding in clashed_bindings))
        self.notify(f"the keymap in {settings_path()} gives one key to two actions: {names}", severity="warning")


def open_tab(name: str, session: Session) -> StudyScreen:
    """Create the screen of a tab. Each module is imported when its tab is first opened, for a quick start."""
    if name == "leaderboard":
        from tui.leaderboard.screen import LeaderboardScreen

        return LeaderboardScreen(session)
    if name == "grid":
        from tui.grid.screen import GridScreen

        return GridScreen(session)
    if name == "curves":
        from tui.curves.screen import CurvesScreen

        return CurvesScreen(session)
    if name == "importance":
        from tui.importance.screen import ImportanceScreen

        return ImportanceScreen(session)
    if name == "samples":
        from tui.samples.screen import SamplesScreen

        return SamplesScreen(session)
    from tui.live.screen import LiveScreen

    return LiveScreen(session)


def _source(location: StudyLocation, replay: float | None) -> FeedSource:
    if replay is None:
        return Files(location.folder)
    from tui.replay import Replay

    return Replay(location.folder, replay)


def _enable_garbage_collection() -> None:
    gc.freeze()
    gc.enable()


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line; --help and wrong arguments end the process, as argparse does."""
    parser = Parser(prog="litegpt-tui", description="The console for studies of small GPTs.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "study", nargs="?", type=Path, help="a study file, or a study's results folder (default: experiments.toml)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="the results folder, with one folder per study"
    )
    parser.add_argument("--readonly", action="store_true", help="only look: nothing is launched or written")
    parser.add_argument("--replay", type=_speed, metavar="SPEED", help="replay a study, SPEED times as fast as it ran")
    parser.add_argument(
        "--serve", action="store_true", help="show the console in a browser on this machine; prints the address"
    )
    parser.add_argument("--port", type=_port, default=8000, help="the port for --serve (default: 8000)")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: give a number from 1 to 65535")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a speed: give a number above 0, for example 20")
    return speed


def main(argv: list[str] | None = None) -> int:
    """Entry point of the script `litegpt-tui`."""
    arguments = parse_arguments(argv)
    try:
        location = find_location(arguments.study, arguments.results)
        if arguments.serve:
            from tui.serve import serve

            serve(arguments)
            return 0
        check_terminal()
        app = ConsoleApp(
            location,
            settings=load_settings(settings_path()),
            view_file=view_path(location.folder.path),
            readonly=arguments.readonly,
            replay=arguments.replay,
        )
    except InputError as error:
        print(f"litegpt-tui: {inert(str(error))}", file=sys.stderr)  # noqa: T201
        return 2
    # The start creates thousands of objects that all stay; collecting garbage meanwhile would only slow it down.
    gc.disable()
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
