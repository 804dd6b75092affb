"""Speed and memory of the console on a generated study of 1,689 trials: `python bench/console.py [--json]`.

The console runs as a process in a pseudo-terminal and is measured from outside, so that everything a user waits for is
included.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import random
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.generated import evaluations, generate_study, loss_at  # noqa: E402
from litegpt.processes import module_command  # noqa: E402
from litegpt.results.events import PhasePlanned, TrialQueued, TrialStarted  # noqa: E402
from litegpt.results.folder import StudyFolder  # noqa: E402
from litegpt.results.journal import Journal  # noqa: E402
from litegpt.results.lines import LineWriter  # noqa: E402
from litegpt.study.trial import Trial  # noqa: E402

COLUMNS, ROWS = 160, 44
SETTLE_SECONDS = 8.0
IDLE_SECONDS = 20.0
WRITING_SECONDS = 12.0
RUNNING = 21


@dataclass
class Result:
    name: str
    value: float
    bar: float
    unit: str

    def __str__(self) -> str:
        verdict = "ok" if self.value <= self.bar else "OVER"
        return f"{self.name:<58} {self.value:>8.2f} {self.unit:<8} bar {self.bar:>6.2f}  {verdict}"


@contextmanager
def console(study: Path, results: Path, state: Path) -> Iterator[tuple[psutil.Process, int, float]]:
    """Start the console in a pseudo-terminal; yield its process, the terminal and its start time."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "XDG_STATE_HOME": str(state),
        "XDG_CONFIG_HOME": str(state),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python compiles modules only once, at the first start
    started = time.perf_counter()
    command = module_command("tui.app", str(study), "--results", str(results))
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, cwd=state
    )
    os.close(slave)
    try:
        yield psutil.Process(process.pid), master, started
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(terminal: int, wanted: bytes, seconds: float = 20) -> float:
    """Read the terminal until a text is painted; return the time of that."""
    seen = b""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            seen += os.read(terminal, 1 << 16)
            if wanted in seen:
                return time.perf_counter()
    raise SystemExit(f"{wanted!r} was not painted in {seconds} s")


def drain(terminal: int, seconds: float) -> int:
    """Read the terminal for some seconds; return the number of bytes painted."""
    count = 0
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        if select.select([terminal], [], [], left)[0]:
            count += len(os.read(terminal, 1 << 16))
    return count


def cpu_share(process: psutil.Process, terminal: int, seconds: float) -> tuple[float, int]:
    """Return a process's CPU time in percent of a core, and the bytes it paints."""
    before = sum(process.cpu_times()[:2])
    painted = drain(terminal, seconds)
    return (sum(process.cpu_times()[:2]) - before) / seconds * 100, painted


def remember_tab(state: Path, folder: StudyFolder, tab: str) -> None:
    from tui.view import StudyView, save_view

    os.environ["XDG_STATE_HOME"] = str(state)
    from tui.view import view_path

    save_view(StudyView(tab=tab), view_path(folder.path))


def measure_start(folder: StudyFolder, study: Path, state: Path) -> list[Result]:
    boards, charts, cpu = [], [], []
    for _ in range(5):
        remember_tab(state, folder, "leaderboard")
        with console(study, folder.root, state) as (process, terminal, started):
            boards.append(read_until(terminal, b"1,689 trials") - started)
            cpu.append(sum(process.cpu_times()[:2]))
        remember_tab(state, folder, "live")
        with console(study, folder.root, state) as (_, terminal, started):
            charts.append(read_until(terminal, "★".encode()) - started)
    return [
        Result("start to the first leaderboard (best of 5)", min(boards), 0.6, "s"),
        Result("  CPU time until then", min(cpu), 0.6, "s"),
        Result("start to the first chart (best of 5)", min(charts), 0.8, "s"),
    ]


def measure_rest(folder: StudyFolder, study: Path, state: Path) -> list[Result]:
    remember_tab(state, folder, "leaderboard")
    with console(study, folder.root, state) as (process, terminal, _):
        drain(terminal, SETTLE_SECONDS)
        memory = process.memory_info().rss / 1e6
        idle, _ = cpu_share(process, terminal, IDLE_SECONDS)
    remember_tab(state, folder, "live")
    with console(study, folder.root, state) as (process, terminal, _):
        drain(terminal, SETTLE_SECONDS)
        idle_live, _ = cpu_share(process, terminal, IDLE_SECONDS)
    return [
        Result("memory, with all curves read", memory, 120, "MB"),
        Result(f"CPU idle over {IDLE_SECONDS:.0f} s, leaderboard", idle, 2, "%"),
        Result(f"CPU idle over {IDLE_SECONDS:.0f} s, live", idle_live, 2, "%"),
    ]


def measure_writing(folder: StudyFolder, study: Path, state: Path) -> list[Result]:
    """Measure the console while 21 trials log twice a second."""
    phase = "phase4"
    trials = [
        Trial(
            n_layer=4, n_head=4, n_embd=256, block_size=64, batch_size=32, learning_rate=1e-4 * (n + 1), max_iters=9999
        )
        for n in range(RUNNING)
    ]
    with Journal(folder.journal, folder.study) as journal:
        journal.append(PhasePlanned(phase=phase, trials=[trial.id for trial in trials]))
        for trial in trials:
            journal.append(
                TrialQueued(phase=phase, settings=trial),
                TrialStarted(
                    phase=phase, trial=trial.id, attempt=1, worker="w", device="cpu", precision="fp32", pack="p",
                    pack_width=RUNNING,
                ),
            )  # fmt: skip
    writers = [LineWriter(folder.trial(phase, trial.id).metrics) for trial in trials]
    stopped = threading.Event()

    def write() -> None:
        rng, step = random.Random(1), 0
        while not stopped.wait(0.5):
            step += 10
            for writer, trial in zip(writers, trials, strict=True):
                row = next(evaluations(trial, 1, rng))
                writer.append({**row.record(), "step": step, "val_loss": loss_at(rng, 1.7, step / 1000)})

    results = []
    for tab in ("live", "leaderboard"):
        remember_tab(state, folder, tab)
        thread = threading.Thread(target=write)
        stopped.clear()
        with console(study, folder.root, state) as (process, terminal, _):
            drain(terminal, 4)
            thread.start()
            drain(terminal, 2)
            share, painted = cpu_share(process, terminal, WRITING_SECONDS)
            results.append(Result(f"CPU while {RUNNING} trials log twice a second, {tab}", share, 15, "%"))
            per_tick = painted / WRITING_SECONDS / 2 / 1000
            results.append(Result(f"painted per tick, {tab}", per_tick, 20, "kB"))
            stopped.set()
            thread.join()
    return results


def measure_keys(folder: StudyFolder, study: Path, state: Path) -> list[Result]:
    """Measure the time from a key press to the complete frame that answers it."""
    remember_tab(state, folder, "leaderboard")
    delays = []
    with console(study, folder.root, state) as (_, terminal, _):
        drain(terminal, 4)
        for index in range(120):
            pressed = time.perf_counter()
            os.write(terminal, b"j" if index % 40 else b"\x1b[6~")
            last = None
            while select.select([terminal], [], [], 0.02 if last else 1.0)[0]:
                os.read(terminal, 1 << 16)
                last = time.perf_counter()
            delays.append((last or time.perf_counter()) - pressed)
            drain(terminal, 0.1)
    delays.sort()
    return [
        Result("key to painted frame, median", delays[len(delays) // 2] * 1000, 50, "ms"),
        Result("key to painted frame, p95", delays[int(len(delays) * 0.95)] * 1000, 50, "ms"),
    ]


def measure_chart() -> list[Result]:
    """Measure a whole frame of the chart widget: reducing the points, drawing, and making strips."""
    from tui.charts.plot import Line
    from tui.widgets.chart import Chart

    rng = random.Random(2)
    xs = [float(step * 10) for step in range(500)]
    lines = [
        Line(f"trial {n}", xs, [loss_at(rng, 1.5 + n / 20, x / 5000) for x in xs], "#4cc2ff", chr(97 + n))
        for n in range(12)
    ]

    async def draw() -> list[float]:
        from textual.app import App, ComposeResult

        from tui.themes import THEMES

        class Stage(App[None]):
            def compose(self) -> ComposeResult:
                yield Chart(classes="")

        app = Stage()
        for theme in THEMES:
            app.register_theme(theme)
        app.theme = THEMES[0].name
        times = []
        async with app.run_test(size=(160, 40)) as pilot:
            chart = app.query_one(Chart)
            for _ in range(40):
                chart.show(lines)
                started = time.thread_time()  # does not count other processes
                for row in range(40):
                    chart.render_line(row)
                times.append(time.thread_time() - started)
                await pilot.pause()
        return sorted(times)

    times = asyncio.run(draw())
    return [Result("chart frame, 12 series x 500 points at 160x40 (median)", times[len(times) // 2] * 1000, 15, "ms")]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        state = root / "state"
        state.mkdir()
        folder, study = generate_study(root)
        results = measure_chart()
        for measure in (measure_start, measure_rest, measure_keys, measure_writing):
            results += measure(folder, study, state)
    if "--json" in sys.argv:
        print(json.dumps({result.name: result.value for result in results}, indent=2))
    else:
        print(*results, sep="\n")


if __name__ == "__main__":
    main()
