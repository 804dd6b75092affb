"""The Leaderboard tab: sort, filter, mark, details, copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from litegpt.cli.main import main
from tests.builders import trial_state
from tests.tui.conftest import QUICK, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.leaderboard.detail import _settings
from tui.leaderboard.screen import LeaderboardScreen
from tui.location import StudyLocation
from tui.view import StudyView, load_view, save_view, view_path
from tui.widgets.chart import Chart
from tui.widgets.table import Table


def board_of(app: ConsoleApp) -> LeaderboardScreen:
    assert isinstance(app.screen, LeaderboardScreen)
    return app.screen


def open_board(place: StudyLocation) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = "leaderboard"
    return app


def test_leaderboard_ranks_trials_and_shows_the_promotion(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("full_stop")
        await settled(app, pilot, lambda: "phase2 promotes the 3 best by best_val_loss" in text_of(app))
        assert app.view.phase == "phase1"
        rows = board_of(app).board.rows
        assert [row.rank for row in rows] == [*range(1, 12), None]
        assert rows[-1].state == "diverged"
        assert [board_of(app)._flags(index) for index in range(4)] == ["", "", "cut", ""]
        assert text_of(app).count("▲") == 3

    run(app, drive)


def test_filter_applies_while_typing_and_is_kept(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("slash", *"x1")
        assert not board_of(app).board.rows
        board_of(app).query_one(Input).value = "lr>=3e-3 phase1"
        await pilot.pause()
        assert len(board_of(app).board.rows) == 8
        await pilot.press("enter")
        assert board_of(app).query_one(Table).has_focus
        assert app.view.filter == "lr>=3e-3 phase1"
        await pilot.press("escape")
        assert len(board_of(app).board.rows) == 15

    run(app, drive)


def test_invalid_filter_shows_the_mistake(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("slash")
        board_of(app).query_one(Input).value = "leraning_rate:1"
        await pilot.pause()
        assert "unknown field" in str(board_of(app).query_one(Table).border_subtitle)

    run(app, drive)


def test_filter_by_step_ranks_as_of_that_step(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(app.feed._curves) == 15)
        await pilot.press("slash", *"@20", "enter")
        row = board_of(app).board.rows[0]
        assert row.metrics.step == 20
        assert row.metrics.val_loss is not None
        assert row.metrics.val_loss > 2
        assert "as of step 20" in text_of(app)

    run(app, drive)


def test_a_trial_that_diverged_later_ranks_alike_in_command_and_console(
    finished: StudyLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", str(finished.folder.path), "--phase", "phase1", "--filter", "@20"]
    assert main([*command, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert main(command) == 0
    assert "running, diverged later" in capsys.readouterr().out
    (expected,) = [record for record in records if record["later"]]
    assert (expected["state"], expected["later"], expected["rank"]) == (
        "running",
        "diverged",
        records.index(expected) + 1,
    )
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(app.feed._curves) == 15)
        await pilot.press("full_stop", "slash", *"@20", "enter")
        rows = board_of(app).board.rows
        assert [(row.id, row.rank, row.later) for row in rows] == [(r["id"], r["rank"], r["later"]) for r in records]
        assert "✗ nan later" in text_of(app)

    run(app, drive, (160, 40))


def test_chart_cursor_ranks_as_of_its_step(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(app.feed._curves) == 15)
        app.screen.query_one(Chart).focus()
        await pilot.press("l")
        await settled(app, pilot, lambda: board_of(app).board.step is not None)
        assert "as of step" in text_of(app)
        await pilot.press("escape")
        assert board_of(app).board.step is None

    run(app, drive)


def test_any_column_sorts_both_ways(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        before = app.view.sort
        await pilot.press("s")
        assert app.view.sort != before
        app.view.sort = "learning_rate"
        await pilot.press("S")
        rates = [row.settings.learning_rate for row in board_of(app).board.rows]
        assert rates == sorted(rates, reverse=True)

    run(app, drive)


def test_marks_by_row_by_range_and_all(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("g", "space")
        assert len(app.view.marks) == 1
        assert board_of(app).query_one(Table).cursor == 1
        await pilot.press("v", "j", "j", "space")
        assert len(app.view.marks) == 4
        await pilot.press("asterisk")
        assert len(app.view.marks) == 15
        await pilot.press("asterisk")
        assert not app.view.marks

    run(app, drive)


def test_detail_follows_the_cursor_and_opens_on_a_narrow_screen(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("G", "enter")
        await settled(app, pilot, lambda: "the loss is not a number" in text_of(app))
        await pilot.press("escape")
        assert board_of(app).query_one(Table).has_focus
        await settled(app, pilot, lambda: "#" in text_of(app).splitlines()[2])

    run(app, drive, (80, 24))


def test_columns_are_chosen(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "phase1" in text_of(app))
        await pilot.press("c", "space", "escape")
        await pilot.pause()
        assert app.view.of("leaderboard")["hidden"] == ["phase"]

    run(app, drive)


def test_copying_writes_a_file_too(finished: StudyLocation, tmp_path: Path) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("y")
        lines = (tmp_path / "state" / "litegpt" / "copied" / "leaderboard.tsv").read_text().splitlines()
        assert len(lines) == 16
        assert lines[0].startswith("rank\t")
        assert app.clipboard == "\n".join(lines) + "\n"

    run(app, drive)


def test_view_survives_a_restart(finished: StudyLocation) -> None:
    path = view_path(finished.folder.path)
    app = ConsoleApp(finished, settings=QUICK, view_file=path)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        await pilot.press("full_stop", "space", "s", "slash", *"phase1", "enter")

    run(app, drive)
    view = load_view(path)
    assert (view.tab, view.phase, view.filter, view.sort) == ("leaderboard", "phase1", "phase1", app.view.sort)
    assert len(view.marks) == 1


def test_detail_aligns_names_and_settings() -> None:
    (trial,) = phase_trials(1)
    lines = _settings(trial_state(trial, "queued"), []).plain.splitlines()
    assert {"gradient_accumulation     1", "activation_checkpointing  false"} < {line.rstrip() for line in lines}


def test_damaged_view_file_gives_a_new_view(tmp_path: Path) -> None:
    path = tmp_path / "view.json"
    save_view(StudyView(tab="grid", marks={("a", "b")}), path)
    assert load_view(path).marks == {("a", "b")}
    for text in ("", "[]", '{"marks": 3}', '{"tab": 3}', '{"focus": "x"}', '{"marks": [["a"]]}'):
        path.write_text(text)
        assert load_view(path) == StudyView()


def test_a_click_on_a_heading_sorts(finished: StudyLocation) -> None:
    app = open_board(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: board_of(app).board.total == 15)
        heading = text_of(app).splitlines()[2]
        await pilot.click(offset=(heading.index("lr"), 2))
        await pilot.pause()
        assert app.view.sort == "learning_rate"

    run(app, drive)
