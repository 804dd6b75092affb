"""The console in a pseudo-terminal: launch, watch, quit and reopen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from litegpt.results.journal import read_journal
from litegpt.study.phase import Promotion
from litegpt.study.study import read_study

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 120, 36

SMALL = """
[study]
name = "tiny"
corpus = "corpus.txt"

[defaults]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 16
batch_size = 8
max_iters = 600
eval_interval = 20

[[phase]]
name = "phase1"
[phase.grid]
learning_rate = [1e-3, 3e-3]
"""


class Terminal:
    """A screen of 120 x 36, and the process that paints on it."""

    def __init__(self, master: int, slave: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._slave = slave
        self.process = process
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def quit(self) -> int:
        """Press q, and take in what is painted until the process has ended: a full terminal would hold it up."""
        self.press("q")
        self.wait_for(lambda _: self.process.poll() is not None)
        return self.process.wait()

    def modes(self) -> list[object]:
        """Return the settings of the terminal's line discipline."""
        return termios.tcgetattr(self._slave)

    def private_modes(self) -> set[str]:
        """Return the private modes (alternate screen, mouse, ...) that the console has switched on and not off."""
        modes: set[str] = set()
        for numbers, action in re.findall(rb"\x1b\[\?([0-9;]+)([hl])", self.raw):
            change = modes.update if action == b"h" else modes.difference_update
            change(numbers.decode().split(";"))
        return modes

    def is_focused(self, title: str) -> bool:
        """Tell whether the pane of that title has the focus: then its title is bold."""
        for row, line in enumerate(self._screen.display):
            column = line.find(f"─ {title} ─")
            if column >= 0:
                return bool(self._screen.buffer[row][column + 2].bold)
        return False

    def wait_for(self, ready: Callable[[str], bool], seconds: float = 60) -> str:
        """Take in what is painted until the screen shows it; return the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:  # its end is closed
                    data = b""
                self.raw += data
                self._stream.feed(data)
            text = "\n".join(self._screen.display)
            if ready(text):
                return text
        raise AssertionError("\n".join(self._screen.display))


@contextmanager
def console(folder: Path, variables: dict[str, str] | None = None) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        **(variables or {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.app", "tiny.toml"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        yield Terminal(master, slave, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(10)
        os.close(slave)
        os.close(master)


def braille(text: str) -> int:
    """Return how many cells of a screen are drawn on by a chart."""
    return sum("⠀" < cell <= "⣿" for cell in text)


def steps(text: str) -> list[int]:
    """Return the steps that the trials in the table of the live tab have reached."""
    return [int(step.replace(",", "")) for step in re.findall(r"([\d,]+)/600", text)]


def edit_the_grid(terminal: Terminal) -> None:
    """Add a learning rate in the grid tab, and save."""
    terminal.press("3")
    terminal.wait_for(lambda text: "2 permutations = 2 trials" in text)
    terminal.press("l")
    terminal.wait_for(lambda _: terminal.is_focused("phase1"))
    terminal.press("j\r")
    terminal.wait_for(lambda text: "Cancel" in text)  # the line is open
    terminal.press(", 1e-2")
    terminal.wait_for(lambda text: "3 permutations = 3 trials" in text)
    terminal.press("\r")
    terminal.wait_for(lambda text: "not saved: ctrl+s" in text)
    terminal.press("\x13")
    terminal.wait_for(lambda text: "+learning_rate = [1e-3, 3e-3, 1e-2]" in text)
    terminal.press("\r")
    terminal.wait_for(lambda text: "saved tiny.toml" in text and "not saved" not in text)


def promote(terminal: Terminal) -> None:
    """Promote the two best of the first phase, and leave the run for later."""
    terminal.press("2")
    terminal.wait_for(lambda text: "all phases · 3 trials" in text)
    terminal.press("p")
    terminal.wait_for(lambda text: "phase2: the 3 best of phase1" in text)
    terminal.press("j2")
    terminal.wait_for(lambda text: "phase2: the 2 best of phase1" in text)
    terminal.press("\r")
    terminal.wait_for(lambda text: "Run it now?" in text)
    terminal.press("n")
    terminal.wait_for(lambda text: "Run it now?" not in text)


def generate(terminal: Terminal) -> None:
    """Have a trial go on from a prompt."""
    terminal.press("6")
    terminal.wait_for(lambda text: "samples by loss" in text and "phase1 · 1x16" in text)
    terminal.press("/")
    terminal.wait_for(lambda text: "Cancel" in text)
    terminal.press("the qui\r")
    terminal.wait_for(lambda text: "─ generated · phase1" in text and text.count("the qui") > 1)
    terminal.wait_for(lambda text: "x stops" not in text)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("the quick brown fox jumps over the lazy dog. " * 100, encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path


def test_grid_edit_is_saved_and_reopened(tiny: Path) -> None:
    with console(tiny) as terminal:
        terminal.wait_for(lambda text: "Nothing has run yet: r runs the study." in text)
        edit_the_grid(terminal)
        assert terminal.quit() == 0
    assert read_study(tiny / "tiny.toml").phase("phase1").axes["learning_rate"] == (1e-3, 3e-3, 1e-2)
    with console(tiny) as terminal:
        terminal.wait_for(lambda text: "3 permutations = 3 trials" in text)  # the tab that was left
        assert terminal.quit() == 0


@pytest.mark.slow
def test_whole_study_in_a_terminal(tiny: Path) -> None:
    with console(tiny) as terminal:
        terminal.wait_for(lambda text: "Nothing has run yet: r runs the study." in text)
        edit_the_grid(terminal)
        terminal.press("1r")
        begun = terminal.wait_for(lambda text: "─ running · " in text and bool(steps(text)) and braille(text) > 0)
        terminal.wait_for(lambda text: sum(steps(text)) > sum(steps(begun)) and braille(text) != braille(begun))
        assert terminal.quit() == 0
    with console(tiny) as terminal:  # the runner kept running
        terminal.wait_for(lambda text: "3/3 trials ended" in text)
        generate(terminal)
        terminal.press("\x1b")
        terminal.wait_for(lambda text: "Cancel" not in text)
        promote(terminal)
        assert terminal.quit() == 0
        assert b"\x1b]2;tiny" in terminal.raw
    study = read_study(tiny / "tiny.toml")
    assert study.phase("phase2").promotion == Promotion("phase1", 2)
    assert read_journal(tiny / "results" / "tiny" / "journal.jsonl").counts()["done"] == 3
    with console(tiny) as terminal:
        terminal.wait_for(lambda text: "all phases · 3 trials" in text)  # the tab that was left
        terminal.press("3")
        terminal.wait_for(lambda text: re.search(r"phase2 +2 ", text) is not None)
        assert terminal.quit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(tiny: Path, number: signal.Signals) -> None:
    with console(tiny) as terminal:
        before = terminal.modes()
        terminal.wait_for(lambda text: "Nothing has run yet" in text)
        assert terminal.modes() != before
        terminal.process.send_signal(number)
        terminal.wait_for(lambda _: terminal.process.poll() is not None)
        assert terminal.process.wait() == 128 + number
        assert terminal.modes() == before
        assert terminal.private_modes() <= {"7", "25"}  # line wrap and the cursor


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TERM": "dumb"}, "cannot show the console"),
        ({"TERM": "xterm", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}, "set PYTHONUTF8=1"),
    ],
)
def test_a_terminal_that_cannot_draw_gets_one_line(tiny: Path, variables: dict[str, str], message: str) -> None:
    with console(tiny, variables) as terminal:
        text = terminal.wait_for(lambda text: message in text and terminal.process.poll() is not None)
        assert terminal.process.wait() == 2
        assert "\x1b" not in terminal.raw.decode()
        assert text.startswith("litegpt-tui: ")


def test_without_a_terminal_there_is_one_line(tiny: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tui.app", "tiny.toml"],
        cwd=tiny,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert process.returncode == 2
    assert not process.stdout
    assert process.stderr.startswith(b"litegpt-tui: the console needs a terminal")
    assert process.stderr.count(b"\n") == 1
