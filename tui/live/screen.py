"""Tab 1: the running trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from litegpt.results.forecast import Forecast
from litegpt.results.metric import comparable_metrics
from litegpt.results.names import short_names
from litegpt.results.ranking import rank
from litegpt.results.state import CorpusIdentity, TrialState
from litegpt.study.split import SplitRule
from litegpt.study.trial import tokens_differ
from tui.curve import CurveMetric
from tui.devices import DeviceSampler, DeviceUsage
from tui.live.chart import (
    X_AXES,
    Envelope,
    XAxis,
    baseline_lines,
    chart_choices,
    trial_lines,
)
from tui.live.phases import devices_content, phases_content
from tui.live.running import running_cells, running_columns
from tui.messages import FeedChanged, TrialKey
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.themes import series_colours
from tui.widgets.chart import Chart
from tui.widgets.table import Cell, Table

# Rows of the table when no trial is running.
ENDED_ROWS = 20
# Trials drawn, besides the best one.
LINES = 6
DEVICE_SECONDS = 2.0


class LiveScreen(StudyScreen):
    """The phases, the running trials, their curves, the load of the machine and the runner's log."""

    TAB = "live"
    HELP = (
        "The running trials. The chart shows the focused trial, the marked trials and the best of the phase (★). "
        "Grey: range of all ended trials. Solid lines are validation loss, dashed lines training loss. Trials with "
        "different tokenizers are compared in bits per character."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "metric", "Metric", tooltip="Draw another metric", id="live.figure"),
        Binding("x", "axis", "X axis", tooltip="Draw by step, time or tokens", id="live.axis"),
        Binding("f", "follow", "Follow", tooltip="Keep the focus on the best running trial", id="live.follow"),
        Binding("space", "mark", "Mark", id="live.mark"),
    ]

    @dataclass
    class DevicesSampled(Message):
        """The load of each device."""

        devices: Sequence[DeviceUsage]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._envelopes: dict[tuple[str, CurveMetric], Envelope] = {}
        self._forecasts: dict[tuple[CorpusIdentity, SplitRule | None], Forecast] = {}
        self._listed: list[TrialKey] = []
        # The names of the listed trials.
        self._names: dict[TrialKey, str] = {}
        self._follows = True
        self._choices = len(chart_choices(False))

    def compose_panes(self) -> ComposeResult:
        with Horizontal(id="live-top"):
            yield Static(id="phases", classes="pane")
            yield Static(id="devices", classes="pane")
        yield Chart(id="live-chart")
        with Horizontal(id="live-bottom"):
            yield Table(self._cells, self._flags, id="running")
            with VerticalScroll(id="log", classes="pane"):
                yield Static()

    def on_mount(self) -> None:
        for name, title in (("phases", "phases"), ("devices", "machine"), ("running", "running"), ("log", "log")):
            self.query_one(f"#{name}").border_title = title
        self.query_one("#running", Table).focus()

    def on_screen_resume(self) -> None:
        self._sample_devices()

    def on_screen_suspend(self) -> None:
        self.workers.cancel_group(self, "devices")

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.state or changed.curves or changed.study:
            self._show_phases()
            self._show_running()
            self._show_chart()
        if changed.log or (changed.state and not self.feed.log):
            log = self.query_one("#log", VerticalScroll)
            empty = "The log is empty." if self.feed.state.started else "This study has not been run yet."
            lines = literal("\n".join(self.feed.log)) or empty
            self.query_one("#log Static", Static).update(lines)
            log.scroll_end(animate=False)

    def _phase(self) -> str | None:
        """Return the phase that the chart shows: the running one, else the last one with results."""
        phases = self.feed.state.phases.values()
        working = [phase.name for phase in phases if any(trial.state == "running" for trial in phase.trials.values())]
        ended = [phase.name for phase in phases if any(trial.state == "done" for trial in phase.trials.values())]
        return next(reversed(working or ended), None)

    def _show_phases(self) -> None:
        pane = self.query_one("#phases", Static)
        names = [phase.name for phase in self.feed.study.phases] if self.feed.study else list(self.feed.state.phases)
        width = max(20, self.size.width - (4 if self.has_class("-narrow") else 40))
        pane.update(phases_content(names, self.feed.state, self._seconds_left(), width, self._empty_text()))

    def _seconds_left(self) -> dict[str, float]:
        state = self.feed.state
        if state.corpus is None:
            return {}
        split = self.feed.study.split if self.feed.study else None
        forecast = self._forecasts.setdefault((state.corpus, split), Forecast.of(state, split))
        running = [(trial.phase, trial.id) for trial in state.trials() if trial.state == "running"]
        curves = {key: curve for key in running if (curve := self.feed.curve(key)) is not None and len(curve)}
        steps = {key: int(curve.steps[-1]) for key, curve in curves.items()}
        return forecast.seconds_left(state, steps, self.feed.now())

    def _empty_text(self) -> str:
        if self.feed.problem:
            return self.feed.problem
        return self.invitation

    def _show_running(self) -> None:
        table = self.query_one("#running", Table)
        trials = [trial for phase in self.feed.state.phases.values() for trial in phase.trials.values()]
        self._listed = [(trial.phase, trial.id) for trial in trials if trial.state == "running"]
        is_live = bool(self._listed)
        if not is_live:
            # Show the trials that ended last instead of an empty table.
            ended = sorted((trial.ended, trial.phase, trial.id) for trial in trials if trial.ended is not None)
            self._listed = [(phase, trial_id) for _, phase, trial_id in reversed(ended[-ENDED_ROWS:])]
        table.border_title = f"running · {len(self._listed)}" if is_live else "recently finished"
        table.empty = "No trial is running."
        if self._follows and self._listed:
            self.view.focus = min(self._listed, key=self._loss) if is_live else self.view.focus or self._listed[0]
        cursor = self._listed.index(self.view.focus) if self.view.focus in self._listed else None
        self._names = short_names(self._trials(self._listed))
        columns = running_columns(self._names.values(), self._tokenizers_differ(), table.content_size.width)
        with table.prevent(Table.Moved):
            table.show(columns, len(self._listed), cursor=cursor)

    @on(Table.Resized, "#running")
    def _resized(self) -> None:
        self._show_running()

    def _loss(self, key: TrialKey) -> float:
        curve = self.feed.curve(key)
        best = curve.least("bits_per_char") if curve is not None else None
        return math.inf if best is None else best[0]

    def _cells(self, row: int) -> list[Cell]:
        key = self._listed[row]
        trial, columns = self.feed.trial(key), self.query_one("#running", Table).columns
        if trial is None:
            return [("", "")] * len(columns)
        return running_cells(trial, self._names.get(key, ""), self.feed.curve(key), columns)

    def _trials(self, keys: Iterable[TrialKey]) -> list[TrialState]:
        return [trial for key in keys if (trial := self.feed.trial(key))]

    def _tokenizers_differ(self) -> bool:
        """True if losses are not comparable between trials of the study. The whole tab then uses one other unit."""
        return tokens_differ(trial.settings for trial in self.feed.state.trials())

    def _flags(self, row: int) -> str:
        return "marked" if self._listed[row] in self.view.marks else ""

    def _show_chart(self) -> None:
        chart = self.query_one("#live-chart", Chart)
        phase, settings = self._phase(), self.view.of(self.TAB)
        differ = self._tokenizers_differ()
        choices = chart_choices(differ)
        self._choices = len(choices)
        title, metrics = choices[settings.get("figure", 0) % len(choices)]
        axis: XAxis = next((axis for axis in X_AXES if axis == settings.get("axis")), "step")
        chart.border_title = literal(f"{title} · {phase or 'nothing yet'}")
        signs = self._signs(phase)
        names = short_names(self._trials(signs))
        lines = trial_lines(self.feed, signs, names, metrics, axis, series_colours(self.app))
        areas = []
        if comparable_metrics(("val_loss",), differ) == metrics[:1]:
            lines = [*baseline_lines(self.feed, lines, metrics[0]), *lines]
            area = self._envelope(phase, metrics[0]).area("grey") if axis == "step" else None
            areas = [area] if area else []
        chart.show(lines, areas, x_title=axis, empty=self._empty_text())

    def _signs(self, phase: str | None) -> dict[TrialKey, str]:
        """Return the signs of the trials to draw: the focused, the marked and the running trials, and the best one."""
        running = [key for key in self._listed if self._is_running(key)]
        focus = [self.view.focus] if self.view.focus else []
        keys = [key for key in dict.fromkeys([*focus, *sorted(self.view.marks), *running]) if self.feed.trial(key)]
        keys = keys[:LINES]
        best = next(iter(rank(self.feed.state.phases[phase].current())), None) if phase else None
        signs = {key: "●" if key == self.view.focus else "abcdefgh"[index] for index, key in enumerate(keys)}
        if best is not None:
            signs[phase or "", best.id] = "★"
        self.feed.want(signs)
        return signs

    def _is_running(self, key: TrialKey) -> bool:
        trial = self.feed.trial(key)
        return trial is not None and trial.state == "running"

    def _envelope(self, name: str | None, metric: CurveMetric) -> Envelope:
        """Return the envelope of a phase after adding the curves that have been read since."""
        envelope = self._envelopes.setdefault((name or "", metric), Envelope(metric))
        phase = self.feed.state.phases.get(name or "")
        for trial in phase.trials.values() if phase else ():
            key = (trial.phase, trial.id)
            if trial.is_ended and key not in envelope:
                curve = self.feed.curve(key)
                if curve is not None and curve.last is not None and curve.last.step == trial.metrics.step:
                    envelope.add(key, curve)
        return envelope

    @work(thread=True, group="devices", exclusive=True)
    def _sample_devices(self) -> None:
        worker = get_current_worker()
        sampler = self.session.device_sampler or DeviceSampler()
        self.session.device_sampler = sampler
        while not worker.is_cancelled:
            self.post_message(self.DevicesSampled(sampler.sample()))
            worker.cancelled_event.wait(DEVICE_SECONDS)

    def on_live_screen_devices_sampled(self, message: DevicesSampled) -> None:
        self.query_one("#devices", Static).update(devices_content(message.devices))

    @on(Table.Moved, "#running")
    def _focus_trial(self, event: Table.Moved) -> None:
        self._follows = False
        self.view.focus = self._listed[event.row]
        self._show_chart()

    @on(Chart.CursorMoved, "#live-chart")
    def _travel(self, event: Chart.CursorMoved) -> None:
        """Make the leaderboard show the ranking as of the cursor's step."""
        if self.view.of(self.TAB).get("axis", "step") == "step":
            self.view.step = None if event.x is None else int(event.x)

    @on(Table.Opened, "#running")
    async def _open_trial(self) -> None:
        await self.app.run_action("app.switch_tab('leaderboard')")

    def action_mark(self) -> None:
        """Mark the trial under the cursor, which keeps it on the chart."""
        table = self.query_one("#running", Table)
        if self._listed:
            self.view.toggle(self._listed[table.cursor])
            table.refresh_changed()
            self._show_chart()

    def action_follow(self) -> None:
        self._follows = not self._follows
        self.notify("the focus follows the best running trial" if self._follows else "the focus stays where it is")
        self._show_running()
        self._show_chart()

    def action_metric(self) -> None:
        settings = self.view.of(self.TAB)
        settings["figure"] = (settings.get("figure", 0) + 1) % self._choices
        self._show_chart()

    def action_axis(self) -> None:
        settings = self.view.of(self.TAB)
        axis = settings.get("axis", "step")
        settings["axis"] = X_AXES[(X_AXES.index(axis) + 1) % len(X_AXES)] if axis in X_AXES else "step"
        self._show_chart()
