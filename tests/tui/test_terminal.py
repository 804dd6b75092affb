"""The console in a real pseudo-terminal: launch, watch a curve grow, quit, come back."""

from __future__ import annotations

import fcntl
import os
import pty
import select
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
max_iters = 400
eval_interval = 20

[[phase]]
name = "phase1"
[phase.grid]
learning_rate = [1e-3, 3e-3]
"""


class Terminal:
    """A screen of 120 x 36, and the process that paints on it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
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
def console(folder: Path) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
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
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(10)
        os.close(master)


@pytest.mark.slow
def test_a_study_from_the_first_key_to_the_last(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("the quick brown fox jumps over the lazy dog. " * 100, encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(SMALL, encoding="utf-8")
    journal = tmp_path / "results" / "tiny" / "journal.jsonl"
    with console(tmp_path) as terminal:
        terminal.wait_for(lambda text: "Nothing has run yet: r runs the study." in text)
        terminal.press("r")
        terminal.wait_for(lambda text: "at work" in text and "/400" in text)
        terminal.wait_for(lambda text: any("⠀" < cell <= "⣿" for cell in text))  # a curve
        assert terminal.quit() == 0
    with console(tmp_path) as terminal:  # the runner has gone on
        terminal.wait_for(lambda text: "2/2" in text and "ended" in text)
        terminal.press("2")
        terminal.wait_for(lambda text: "all phases · 2 trials" in text)
        assert terminal.quit() == 0
        assert b"\x1b]2;tiny" in terminal.raw
    assert read_journal(journal).counts()["done"] == 2
