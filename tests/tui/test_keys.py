"""Keys, help, palette, themes and dialogs, and the list of keys in docs/console.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot

from litegpt.results.events import StudyPaused
from litegpt.results.journal import Journal
from litegpt.results.lines import LineReader
from litegpt.run.lock import StudyLock
from litegpt.run.requests import take_requests
from tests.tui.conftest import QUICK, run, settled, text_of
from tui import actions
from tui.app import ConsoleApp
from tui.dialogs.confirm import ConfirmScreen
from tui.dialogs.help import HelpScreen
from tui.keys import bindings, key_list
from tui.location import StudyLocation
from tui.settings import Settings, load_settings
from tui.sources import Files, RunnerStatus
from tui.themes import NAMES
from tui.widgets.chart import Chart
from tui.widgets.table import Table

ROOT = Path(__file__).parents[2]


def test_key_list_in_the_docs_is_current() -> None:
    page = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")
    assert key_list() in page, "run: python -m tui.keys docs/console.md"


def test_every_binding_has_a_unique_id_and_a_description() -> None:
    found = [binding for _, group in bindings() for binding in group]
    ids = [binding.id for binding in found]
    assert None not in ids
    assert sorted(set(ids), key=str) == sorted(ids, key=str)
    assert all(binding.description for binding in found)


def test_help_shows_the_keys_of_the_focused_pane(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = text_of(app)
        assert "All trials, the best first" in text
        assert "Filter" in text
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)

    run(app, drive, (120, 60))


def test_the_palette_has_every_action_of_the_screen(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await pilot.pause()
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Run", "Stop", "Filter", "Sort", "Promote", "Theme", "Quit", "Zoom", "Samples"} <= titles
        await pilot.press("ctrl+p")
        await pilot.press(*"reverse")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await settled(app, pilot, lambda: app.view.descending)

    run(app, drive)


def test_tabs_by_number_and_by_bracket(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        assert app.view.tab == "leaderboard"
        await pilot.press("left_square_bracket")
        assert app.view.tab == "live"
        await pilot.press("left_square_bracket")
        assert app.view.tab == "samples"
        await pilot.press("right_square_bracket")
        assert app.view.tab == "live"

    run(app, drive)


def test_a_tab_and_a_key_are_clicked(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.click(offset=(text_of(app).splitlines()[0].index("Leaderboard"), 0))
        await settled(app, pilot, lambda: app.view.tab == "leaderboard")
        bar = text_of(app).splitlines()[-1]
        assert bar.strip() == "space Mark  / Filter  s Sort  . Phase  p Promote  ? Help  r Run  q Quit"
        await pilot.click(offset=(bar.index("Help"), app.size.height - 1))
        await settled(app, pilot, lambda: isinstance(app.screen, HelpScreen))

    run(app, drive)


def test_key_bar_drops_the_last_keys_of_the_pane(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "m Metric  ? Help  r Run  q Quit" in text_of(app).splitlines()[-1])

    run(app, drive, (36, 20))


def test_a_pane_is_zoomed_and_left(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        app.screen.query_one("#live-chart").focus()
        await pilot.press("z")
        assert app.screen.maximized is app.screen.query_one("#live-chart")
        await pilot.press("escape")
        assert app.screen.maximized is None

    run(app, drive)


def test_the_chart_has_a_cursor_zoom_and_scales(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "★" in text_of(app))
        chart = app.screen.query_one(Chart)
        chart.focus()
        await pilot.press("l", "l", "h")
        assert chart.cursor is not None
        await pilot.press("plus")
        assert chart._zoomed is not None
        await pilot.press("s")
        assert chart.y_scale == "log"
        await pilot.press("0")
        assert (chart.cursor, chart._zoomed) == (None, None)
        assert await pilot.click(chart, offset=(30, 4))
        assert chart.cursor is not None

    run(app, drive)


def test_vim_keys_and_arrows_move(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)
    app.view.tab = "leaderboard"

    async def drive(pilot: Pilot[None]) -> None:
        table = app.screen.query_one(Table)
        await settled(app, pilot, lambda: table.count == 15)
        await pilot.press("g", "j", "down", "k", "up", "j")
        assert table.cursor == 1
        await pilot.press("G")
        assert table.cursor == 14
        await pilot.press("g")
        assert table.cursor == 0

    run(app, drive)


def test_open_tabs_follow_a_change_of_theme(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=Settings(theme=NAMES[0], refresh_seconds=0.1))

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        before = app.screen.query_one(Table).styles.background
        await pilot.press("1", "T", "2")
        after = app.screen.query_one(Table).styles.background
        assert after.hex.lower() == app.theme_variables["background"].lower()
        assert after != before

    run(app, drive)


def test_every_theme_draws(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=Settings(theme=NAMES[0], refresh_seconds=0.1))

    async def drive(pilot: Pilot[None]) -> None:
        for name in (*NAMES[1:], NAMES[0]):
            await pilot.press("T")
            await pilot.pause()
            assert app.theme == name
            assert "phase1" in text_of(app)

    run(app, drive)


def test_without_colour_nothing_is_coloured(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await settled(app, pilot, lambda: "phase1" in text_of(app))
        svg = app.export_screenshot()
        reds = {colour for colour in ("#4cc2ff", "#ffb454", "#7ee787", "#ff7b72") if colour in svg.lower()}
        assert not reds

    run(app, drive)


def test_keymap_replaces_keys(finished: StudyLocation, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('theme = "litegpt-light"\nrefresh_seconds = 0.1\n[keymap]\n"tab.leaderboard" = "f2"\n')
    settings = load_settings(path)
    assert settings.problem is None
    app = ConsoleApp(finished, settings=settings)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        assert app.view.tab == "live"
        await pilot.press("f2")
        assert app.view.tab == "leaderboard"
        assert app.theme == "litegpt-light"

    run(app, drive)


def test_invalid_settings_are_named_and_ignored(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('theme = 3\nbell = false\nrefresh_seconds = 0\ncolour = "red"\n')
    settings = load_settings(path)
    assert not settings.bell
    assert settings.theme == Settings.theme
    assert settings.problem is not None
    assert settings.problem.endswith("ignored colour, refresh_seconds, theme")
    path.write_text("theme =")
    assert load_settings(path).problem


def test_r_launches_detached(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[tuple[str, ...]] = []
    monkeypatch.setattr(actions, "_run_litegpt", lambda app, session, *arguments: launched.append(arguments))
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        assert finished.study_path is not None
        await settled(app, pilot, lambda: app.feed.runner.state != "running")
        await pilot.press("r")
        await settled(app, pilot, lambda: any("nothing is left to run" in n.message for n in app._notifications))
        assert not launched
        text = finished.study_path.read_text("utf-8")
        finished.study_path.write_text(text.replace("top = 3", "top = 4"), "utf-8")
        await pilot.press("r")
        await settled(app, pilot, lambda: bool(launched))
        assert launched[0] == ("run", str(finished.study_path), "--detach")

    run(app, drive)


def test_retry_without_a_runner_queues_again(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: app.feed.state.counts()["diverged"] == 1)
        await pilot.press("R")
        await settled(app, pilot, lambda: app.feed.state.counts()["diverged"] == 0)

    run(app, drive)


def test_pause_is_shown_and_can_be_resumed(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        with StudyLock(finished.folder):  # as a runner holds it
            await settled(app, pilot, lambda: app.feed.runner.state == "running")
            await pilot.press("P")
            assert [request.kind for request in take_requests(finished.folder)] == ["pause"]
            with Journal(finished.folder.journal, "small") as journal:
                journal.append(StudyPaused(reason="asked for"))
            await settled(app, pilot, lambda: "❚❚ paused" in text_of(app))
            await pilot.press("P")
            assert [request.kind for request in take_requests(finished.folder)] == ["resume"]

    run(app, drive)


def test_readonly_changes_nothing(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_run_litegpt", lambda *_: pytest.fail("launched"))
    before = {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*")}
    app = ConsoleApp(finished, settings=QUICK, readonly=True)

    async def drive(pilot: Pilot[None]) -> None:
        for key in ("r", "K", "P", "R", "n", "2", "space", "1"):
            await pilot.press(key)
        assert not isinstance(app.screen, ConfirmScreen)

    run(app, drive)
    assert before == {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*")}


def test_stop_asks_first_and_sends_a_request(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "runner", lambda _: RunnerStatus("running", 1, "box"))
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: app.feed.runner.state == "running")
        await pilot.press("K")
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await settled(app, pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert not list(finished.folder.path.glob("requests/*.json"))
        await pilot.press("K")
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await settled(app, pilot, lambda: bool(list(finished.folder.path.glob("requests/*.json"))))
        (path,) = finished.folder.path.glob("requests/*.json")
        assert json.loads(path.read_text())["kind"] == "stop"

    run(app, drive)
    assert LineReader(finished.folder.journal).read()
