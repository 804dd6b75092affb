"""How far a run is, on a terminal as a live view and elsewhere as plain lines. Narration: it all goes to stderr."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from litegpt.display import FIGURE_NAMES, duration, inert
from litegpt.estimate.cost import training_flops
from litegpt.results.ranking import best_of, ranking_of
from litegpt.results.state import FAILED_STATES, PhaseState, StudyState
from litegpt.run.phase_run import RunningTrial
from litegpt.run.runner import Runner

LINE_SECONDS = 5.0  # between two plain lines
REFRESH_SECONDS = 0.25
RUNNING_ROWS = 8
RECENT_SECONDS = 10.0


class View(Protocol):
    """Shows a run; `observe` is called often and must be cheap."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def observe(self, runner: Runner) -> None:
        """Show how far the run is now, if it is time to."""


def view_for(console: Console) -> View:
    """Return a live view for a terminal that can move its cursor, plain lines for anything else."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


class Forecast:
    """How fast this run is, and how long the known phases still take at that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: tuple[float, float] | None = None  # when the first trial was at work, and the flops done by then
        self._recent: deque[tuple[float, float]] = deque()  # times and the tokens trained by then
        self.seconds_left: float | None = None  # until every planned trial has ended
        self.tokens_per_second: float | None = None  # of all workers together, over the last seconds

    def update(self, runner: Runner) -> None:
        """Take in how far a run is now."""
        flops_done, flops, tokens_done = _work_done(runner)
        now = self._clock()
        if self._begun is None and runner.running:
            self._begun = (now, flops_done)
        if self._begun is not None:
            elapsed, gained = now - self._begun[0], flops_done - self._begun[1]
            self.seconds_left = (flops - flops_done) * elapsed / gained if gained > 0 and elapsed > 1 else None
        self._recent.append((now, tokens_done))
        while now - self._recent[0][0] > RECENT_SECONDS:
            self._recent.popleft()
        since, tokens = self._recent[0]
        self.tokens_per_second = (tokens_done - tokens) / (now - since) if now > since else None

    def words(self) -> str:
        """Return speed and time left in a few words."""
        speed = "-" if self.tokens_per_second is None else f"{self.tokens_per_second:,.0f}"
        return f"{speed} tokens/s, {duration(self.seconds_left)} left in the phases planned so far"


def _work_done(runner: Runner) -> tuple[float, float, float]:
    """Return the flops done and in all, and the tokens trained, of the phases planned so far."""
    n_symbols = runner.n_symbols
    steps = {(trial.phase, trial.settings.id): trial.step for trial in runner.running}
    flops_done = flops = tokens = 0.0
    for phase in runner.state.phases.values():
        for trial in phase.current():
            settings = trial.settings
            ended = trial.is_ended
            done = 1.0 if ended else steps.get((phase.name, trial.id), 0) / settings.max_iters
            whole = training_flops(settings, n_symbols)
            flops += whole
            flops_done += done * whole
            tokens += done * settings.max_iters * settings.batch_size * settings.block_size
    return flops_done, flops, tokens


class PlainView:
    """A line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._forecast = Forecast()
        self._due = 0.0
        self._phase_ends: set[str] = set()
        self._paused: str | None = None

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def observe(self, runner: Runner) -> None:
        """Print a line for each phase that has ended, and one on the phase at work every few seconds."""
        for phase in runner.state.phases.values():
            if phase.ended is not None and phase.name not in self._phase_ends:
                self._phase_ends.add(phase.name)
                self._print(_phase_line(phase, runner.state))
        if runner.paused != self._paused:
            self._paused = runner.paused
            if self._paused or not runner.interrupted:
                self._print(f"paused: {inert(self._paused)}" if self._paused else "going on")
        now = time.monotonic()
        if runner.running and now >= self._due:
            self._due = now + LINE_SECONDS
            self._forecast.update(runner)
            phase = runner.state.phases[runner.running[0].phase]
            self._print(f"{_phase_line(phase, runner.state)}, {self._forecast.words()}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _phase_line(phase: PhaseState, state: StudyState) -> str:
    counts, figure = phase.counts(), ranking_of(state.trials())
    parts = [f"{phase.name}: {counts.ended}/{counts.total} trials"]
    parts += [f"{counts[state]} {state}" for state in FAILED_STATES if counts[state]]
    if (best := best_of(phase.current())) is not None and (value := getattr(best, figure)) is not None:
        parts.append(f"{FIGURE_NAMES[figure]} {value:.3f}")
    return ", ".join(parts)


class LiveView:
    """Phases with bars, the trials at work and the forecast, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._forecast = Forecast()
        self._due = 0.0

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def observe(self, runner: Runner) -> None:
        """Redraw, at most four times a second."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + REFRESH_SECONDS
        self._live.update(self._draw(runner), refresh=True)

    def _draw(self, runner: Runner) -> Group:
        self._forecast.update(runner)
        footer = self._forecast.words()
        if runner.paused:
            footer = f"paused: {inert(runner.paused)}"
        if runner.interrupted:
            footer = "stopping: writing checkpoints (Ctrl-C again to stop at once)"
        figure = ranking_of(runner.state.trials())  # what the best of all phases compare by
        phases, running = _phase_table(runner, figure), _running_table(runner.running, figure.removeprefix("best_"))
        return Group(phases, Text(), running, Text(), Text(footer, style="dim"))


def _phase_table(runner: Runner, figure: str) -> Table:
    table = Table(box=None, padding=(0, 1), show_edge=False)
    best_heading = "best val loss" if figure == "best_val_loss" else "best bits/char"
    for heading in ("phase", "", "trials", "running", best_heading):
        table.add_column(heading, justify="left" if heading in ("phase", "") else "right", header_style="dim")
    for phase in runner.phases:
        phase_state = runner.state.phases.get(phase.name, PhaseState(phase.name))
        counts, best = phase_state.counts(), best_of(phase_state.current())
        trouble = "".join(f" {counts[state]} {state}" for state in FAILED_STATES if counts[state])
        table.add_row(
            Text(phase.name),
            ProgressBar(total=max(1, counts.total), completed=counts.ended, width=24),
            Text.assemble(f"{counts.ended}/{counts.total}" if counts.total else "waits", (trouble, "red")),
            str(counts["running"] or ""),
            "" if best is None or (value := getattr(best, figure)) is None else f"{value:.3f}",
        )
    return table


def _running_table(running: list[RunningTrial], figure: str) -> Table:
    table = Table(box=None, padding=(0, 1), show_edge=False)
    for heading in ("trial", "step", "val loss" if figure == "val_loss" else "bits/char", "tokens/s"):
        table.add_column(heading, justify="left" if heading == "trial" else "right", header_style="dim")
    for trial in running[:RUNNING_ROWS]:
        table.add_row(
            Text(trial.settings.id),
            f"{trial.step}/{trial.settings.max_iters}",
            "" if (value := getattr(trial, figure)) is None else f"{value:.3f}",
            "" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}",
        )
    if len(running) > RUNNING_ROWS:
        table.add_row(Text(f"and {len(running) - RUNNING_ROWS} more", style="dim"))
    return table
