"""The progress of a run on stderr: redrawn in place on a terminal, as plain lines everywhere else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from litegpt.display import duration, inert
from litegpt.results.forecast import Forecast
from litegpt.results.metric import Metric
from litegpt.results.ranking import best_of, comparable_metric
from litegpt.results.state import FAILED_STATES, PhaseState, StudyState
from litegpt.run.phase_run import RunningTrial
from litegpt.run.runner import Runner

LINE_SECONDS = 5.0  # between two plain lines
REFRESH_SECONDS = 0.25
RUNNING_ROWS = 8
RECENT_SECONDS = 10.0
STOPPING = "stopping: writing checkpoints (Ctrl-C again to stop at once)"


class View(Protocol):
    """Shows a run; `observe` is called often and must be cheap."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def observe(self, runner: Runner) -> None:
        """Update the display if it is due."""


def view_for(console: Console) -> View:
    """Return a live view for a terminal that can move its cursor, plain lines for anything else."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


class ProgressLine:
    """Speed and time left of a run, in one line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forecast: Forecast | None = None
        self._recent: deque[tuple[float, float]] = deque()  # times, and the tokens trained until then

    def text(self, runner: Runner, now: datetime) -> str:
        """Return the line for a run as it is now."""
        state = runner.state
        if state.corpus is None or not runner.running:
            return "starting workers"
        self._forecast = self._forecast or Forecast.of(state, runner.study.split)
        left = list(self._forecast.seconds_left(state, _reached_steps(runner), now).values())
        names = [phase.name for phase in runner.phases]
        number = names.index(runner.running[0].phase) + 1
        speed = self._tokens_per_second(runner)
        parts = [] if speed is None else [f"{speed:,.0f} tokens/s"]
        parts.append(f"{duration(left[-1]) if left else '-'} left (phase {number} of {len(names)})")
        return ", ".join(parts)

    def _tokens_per_second(self, runner: Runner) -> float | None:
        """Return the training speed of all workers together over the last seconds."""
        now, tokens = self._clock(), _trained_tokens(runner)
        self._recent.append((now, tokens))
        while now - self._recent[0][0] > RECENT_SECONDS:
            self._recent.popleft()
        then, tokens_then = self._recent[0]
        return (tokens - tokens_then) / (now - then) if now > then else None


def _reached_steps(runner: Runner) -> dict[tuple[str, str], int]:
    """Return the steps of the running trials that have been evaluated at least once."""
    return {
        (trial.phase, trial.settings.id): trial.step
        for trial in runner.running
        if trial.step or trial.val_loss is not None
    }


def _trained_tokens(runner: Runner) -> float:
    steps = {(trial.phase, trial.settings.id): trial.step for trial in runner.running}
    tokens = 0.0
    for trial in runner.state.trials():
        settings = trial.settings
        step = settings.max_iters if trial.is_ended else steps.get((trial.phase, trial.id), 0)
        tokens += step * settings.batch_size * settings.block_size
    return tokens


class PlainView:
    """Prints a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = ProgressLine()
        self._due = 0.0
        self._ended_phases: set[str] = set()
        self._paused: str | None = None
        self._is_stopping = False

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def observe(self, runner: Runner) -> None:
        """Print a line for each phase that has ended, and every few seconds one about the running phase."""
        for phase in runner.state.phases.values():
            if phase.ended is not None and phase.name not in self._ended_phases:
                self._ended_phases.add(phase.name)
                self._print(_phase_line(phase, runner.state))
        if runner.paused != self._paused:
            self._paused = runner.paused
            if self._paused or not runner.interrupted:
                self._print(f"paused: {inert(self._paused)}" if self._paused else "resumed")
        if runner.interrupted and runner.running and not self._is_stopping:
            self._is_stopping = True
            self._print(STOPPING)
        now = time.monotonic()
        if runner.running and now >= self._due:
            self._due = now + LINE_SECONDS
            phase = runner.state.phases[runner.running[0].phase]
            progress = self._progress.text(runner, datetime.now(UTC))
            self._print(f"{_phase_line(phase, runner.state)}, {progress}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _phase_line(phase: PhaseState, state: StudyState) -> str:
    counts, metric = phase.counts(), comparable_metric(state.trials())
    parts = [f"{phase.name}: {counts.ended}/{counts.total} trials"]
    parts += [f"{counts[failed]} {failed}" for failed in FAILED_STATES if counts[failed]]
    if (best := best_of(phase.current())) is not None and (value := best.metrics.value(metric.name)) is not None:
        parts.append(f"{metric.label} {value:.3f}")
    return ", ".join(parts)


class LiveView:
    """Shows the phases with bars, the running trials and the time left, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._progress = ProgressLine()
        self._due = 0.0

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def observe(self, runner: Runner) -> None:
        """Redraw, at most four times per second."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + REFRESH_SECONDS
        self._live.update(self._draw(runner), refresh=True)

    def _draw(self, runner: Runner) -> Group:
        footer = self._progress.text(runner, datetime.now(UTC))
        if runner.paused:
            footer = f"paused: {inert(runner.paused)}"
        if runner.interrupted:
            footer = STOPPING
        # One metric for all phases, so that their best trials compare.
        metric = comparable_metric(runner.state.trials())
        phases, running = _phase_table(runner, metric), _running_table(runner.running, metric.curve)
        return Group(phases, Text(), running, Text(), Text(footer, style="dim"))


def _phase_table(runner: Runner, metric: Metric) -> Table:
    table = Table(box=None, padding=(0, 1), show_edge=False)
    for heading in ("phase", "", "trials", "running", f"best {metric.curve.heading}"):
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
            "" if best is None or (value := best.metrics.value(metric.name)) is None else f"{value:.3f}",
        )
    return table


def _running_table(running: list[RunningTrial], metric: Metric) -> Table:
    table = Table(box=None, padding=(0, 1), show_edge=False)
    for heading in ("trial", "step", metric.heading, "tokens/s"):
        table.add_column(heading, justify="left" if heading == "trial" else "right", header_style="dim")
    for trial in running[:RUNNING_ROWS]:
        table.add_row(
            Text(trial.settings.id),
            f"{trial.step}/{trial.settings.max_iters}",
            "" if (value := getattr(trial, metric.name)) is None else f"{value:.3f}",
            "" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}",
        )
    if len(running) > RUNNING_ROWS:
        table.add_row(Text(f"and {len(running) - RUNNING_ROWS} more", style="dim"))
    return table
