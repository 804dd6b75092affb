"""The command line of the console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from tests.tui.conftest import run
from tui.app import ConsoleApp, main
from tui.location import StudyLocation, find_location
from tui.messages import FeedChanged
from tui.widgets.top_bar import TopBar

ROOT = Path(__file__).parents[2]

START = """
import asyncio, sys
from pathlib import Path
from tui.app import ConsoleApp
from tui.location import find_location

async def session():
    app = ConsoleApp(find_location(Path(sys.argv[1]), Path(sys.argv[2])))
    async with app.run_test() as pilot:
        for key in ("2", "1"):
            await pilot.press(key)

asyncio.run(session())
heavy = {"torch", "pandas", "sklearn", "numpy", "plotext", "matplotlib"} & set(sys.modules)
assert not heavy, f"the console loads {heavy}"
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.toml"], "missing.toml: no such study file"),
        (["."], "not the folder of a study"),
        (["broken.toml"], "broken.toml:1:"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.toml").write_text("[study\n")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_invalid_speed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--replay", "-3"])
    assert ending.value.code == 2
    assert "is not a speed" in capsys.readouterr().err


def test_serving_needs_a_package(
    finished: StudyLocation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)  # cannot be imported
    assert main([str(finished.study_path), "--serve"]) == 2
    assert "--serve needs textual_serve, which is not installed: " in capsys.readouterr().err


def test_a_study_is_found_by_file_by_folder_and_by_default(
    finished: StudyLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finished.name == "small"
    assert find_location(finished.folder.path, Path("elsewhere")).folder == finished.folder
    monkeypatch.chdir(tmp_path)
    assert find_location(None, Path("results")) == StudyLocation(None, StudyFolder(Path("results"), "experiments"))
    Path("experiments.toml").write_text('[study]\nname = "mine"\n')
    assert find_location(None, Path("results")).name == "mine"
    with pytest.raises(InputError):
        find_location(tmp_path, Path("results"))


def test_the_console_loads_nothing_heavy(finished: StudyLocation) -> None:
    process = subprocess.run(
        [sys.executable, "-c", START, str(finished.study_path), str(finished.folder.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr


def test_news_during_the_close_is_ignored(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    app = ConsoleApp(finished)
    close = ConsoleApp._close_all
    told = False

    async def close_and_tell(self: ConsoleApp) -> None:
        nonlocal told
        await self.screen_stack[0].query_one(TopBar).remove()
        self.on_feed_changed(FeedChanged.everything())
        told = True
        await close(self)

    async def drive(pilot: Pilot[None]) -> None:
        monkeypatch.setattr(ConsoleApp, "_close_all", close_and_tell)

    run(app, drive)
    assert told
