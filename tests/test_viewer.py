"""A light install, without the packages that training needs, shows copied results."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.extras import EXTRAS

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "tests" / "results" / "written_by_0_1"

HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
sys.path.insert(0, {root!r})
"""
COMMAND = "from litegpt.cli.main import main; sys.exit(main(sys.argv[1:]))"
RUN = "from litegpt.cli.run import main; sys.exit(main(sys.argv[1:]))"
CONSOLE = """
import asyncio
from pathlib import Path
from tui.app import ConsoleApp
from tui.location import find_location
from tui.view import TABS

async def show_every_tab():
    app = ConsoleApp(find_location(Path(sys.argv[1]), Path("results")))
    async with app.run_test(size=(120, 40)) as pilot:
        for number, name in enumerate(TABS, start=1):
            await pilot.press(str(number))
            await pilot.pause()
            assert app.view.tab == name
        await pilot.press("2")
        await pilot.pause()
        assert "0.01" in app.export_screenshot()

asyncio.run(show_every_tab())
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A results folder that was copied from another machine, without its text."""
    shutil.copytree(KEPT / "kept", tmp_path / "kept")
    return tmp_path / "kept"


def run_without(hidden: set[str], code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    script = HIDE.format(hidden={*hidden, "pandas"}, root=str(ROOT)) + code
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


TRAINING = {package for package, extra in EXTRAS.items() if extra == "train"}


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["leaderboard"], ""),
        (["report", "--out", "OUT"], "report.html"),
        (["export", "--out", "OUT"], "trials.csv"),
        (["export", "--out", "OUT", "--format", "parquet"], "metrics.parquet"),
        (["export", "--out", "OUT", "--format", "tensorboard"], "first"),
    ],
)
def test_results_are_shown_without_the_packages_for_training(
    copied: Path, tmp_path: Path, command: list[str], written: str
) -> None:
    out = tmp_path / "out"
    command = [str(out) if word == "OUT" else word for word in command]
    ran = run_without(TRAINING, COMMAND, command[0], copied, *command[1:])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
    assert not written or (out / written).exists()


def test_the_console_shows_every_tab_without_the_packages_for_training(copied: Path) -> None:
    ran = run_without(TRAINING, CONSOLE, copied)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (COMMAND, ["importance", "RESULTS", "--phase", "first"], "importance needs sklearn, which is not installed: "),
        (COMMAND, ["sample", "TRIAL"], "generating text needs torch, which is not installed: "),
        (COMMAND, ["quantize", "TRIAL"], "quantizing needs torch, which is not installed: "),
        (COMMAND, ["report", "RESULTS", "--out", "OUT"], "the report needs matplotlib, which is not installed: "),
        (COMMAND, ["export", "RESULTS", "--out", "OUT", "--format", "parquet"], "Parquet needs pyarrow"),
        (COMMAND, ["export", "RESULTS", "--out", "OUT", "--format", "tensorboard"], "TensorBoard needs tensorboardX"),
        (RUN, ["experiments.toml", "--results", "OUT"], "training needs torch, which is not installed: "),
    ],
)
def test_what_a_light_install_cannot_do_is_one_line(
    copied: Path, tmp_path: Path, code: str, arguments: list[str], message: str
) -> None:
    (trial,) = (copied / "second").iterdir()
    words = {"RESULTS": copied, "TRIAL": trial, "OUT": tmp_path / "out"}
    ran = run_without(set(EXTRAS), code, *(words.get(word, word) for word in arguments))
    assert ran.returncode == 2
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert " -m pip install -c constraints.txt -e " in ran.stderr
