"""Tab 1: what runs now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import get_current_worker

from litegpt.results.ranking import rank
from litegpt.results.state import TrialState
from litegpt.study.trial import tokens_differ
from tui.charts.plot import Line
from tui.curve import Figure
from tui.devices import Device, Devices
from tui.live.envelope import Envelope
from tui.live.forecast import Forecast
from tui.live.live_figures import BETWEEN_TOKENIZERS, FIGURES, X_AXES, XAxis, x_values
from tui.live.phases import devices_content, phases_content
from tui.live.running import running_cells, running_columns
from tui.messages import FeedChanged, TrialKey
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.themes import series_colours
from tui.trials import short_names
from tui.widgets.chart import Chart
from tui.widgets.table import Cell, Table

ENDED_ROWS = 20
LINES = 6  # trials drawn beside the envelope
DEVICE_SECONDS = 2.0


class LiveScreen(StudyScreen):
    """The phases, the trials at work, their curves, the machine and the runner's log."""

    TAB = "live"
    HELP = (
        "What runs now. The chart draws the focused trial, the marked ones and the best of the phase (★); the grey "
        "area is what all others lie between. A solid line is validation loss, a dashed one training loss. Trials of "
        "different tokenizers are drawn in bits per character."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "figure", "Figure", tooltip="Draw another loss", id="live.figure"),
        Binding("x", "axis", "X axis", tooltip="Draw by step, time or tokens", id="live.axis"),
        Binding("f", "follow", "Follow", tooltip="Let the focus follow the best trial at work", id="live.follow"),
        Binding("space", "mark", "Mark", id="live.mark"),
    ]

    @dataclass
    class DevicesSampled(Message):
        """How busy the machine is."""

        devices: Sequence[Device]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._envelopes: dict[tuple[str, Figure], Envelope] = {}
        self._forecast = Forecast(self.feed)
        self._listed: list[TrialKey] = []
        self._names: dict[TrialKey, str] = {}  # of those
        self._follows = True
        self._choices = len(FIGURES)
        self._ticks: Timer | None = None

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
        for name, title in (("phases", "phases"), ("devices", "machine"), ("running", "at work"), ("log", "log")):
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
            nothing = "The log is empty." if self.feed.state.started else "No runner has been here yet."
            lines = literal("\n".join(self.feed.log)) or nothing
            self.query_one("#log Static", Static).update(lines)
            log.scroll_end(animate=False)

    def _phase(self) -> str | None:
        """Return the phase the chart is about: the one at work, else the last that has results."""
        phases = self.feed.state.phases.values()
        working = [phase.name for phase in phases if any(trial.state == "running" for trial in phase.trials.values())]
        ended = [phase.name for phase in phases if any(trial.state == "done" for trial in phase.trials.values())]
        return next(reversed(working or ended), None)

    def _show_phases(self) -> None:
        pane = self.query_one("#phases", Static)
        names = [phase.name for phase in self.feed.study.phases] if self.feed.study else list(self.feed.state.phases)
        width = max(20, self.size.width - (4 if self.has_class("-narrow") else 40))
        pane.update(phases_content(names, self.feed.state, self._forecast.seconds_left(), width, self._sentence()))

    def _sentence(self) -> str:
        if self.feed.problem:
            return self.feed.problem
        return self.invitation

    def _show_running(self) -> None:
        table = self.query_one("#running", Table)
        trials = [trial for phase in self.feed.state.phases.values() for trial in phase.trials.values()]
        self._listed = [(trial.phase, trial.id) for trial in trials if trial.state == "running"]
        is_live = bool(self._listed)
        if not is_live:  # the last that ended, so that there is something to look at
            ended = sorted((trial.ended, trial.phase, trial.id) for trial in trials if trial.ended is not None)
            self._listed = [(phase, trial_id) for _, phase, trial_id in reversed(ended[-ENDED_ROWS:])]
        table.border_title = f"at work · {len(self._listed)}" if is_live else "ended last"
        table.empty = "No trial is at work."
        if self._follows and self._listed:
            self.view.focus = min(self._listed, key=self._loss) if is_live else self.view.focus or self._listed[0]
        at = self._listed.index(self.view.focus) if self.view.focus in self._listed else None
        self._names = short_names(self._trials(self._listed))
        columns = running_columns(self._names.values(), self._is_mixed(), table.content_size.width)
        with table.prevent(Table.Moved):
            table.show(columns, len(self._listed), cursor=at)

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

    def _is_mixed(self) -> bool:
        """Tell whether the study's losses do not compare: one screen has one unit."""
        return tokens_differ(trial.settings for trial in self.feed.state.trials())

    def _flags(self, row: int) -> str:
        return "marked" if self._listed[row] in self.view.marks else ""

    def _show_chart(self) -> None:
        chart = self.query_one("#live-chart", Chart)
        phase, settings = self._phase(), self.view.of(self.TAB)
        drawn = self._drawn(phase)
        is_mixed = self._is_mixed()
        choices = BETWEEN_TOKENIZERS if is_mixed else FIGURES
        self._choices = len(choices)
        title, figures = choices[settings.get("figure", 0) % len(choices)]
        axis: XAxis = next((axis for axis in X_AXES if axis == settings.get("axis")), "step")
        chart.border_title = literal(f"{title} · {phase or 'nothing yet'}")
        lines, bands = self._lines(drawn, figures, axis), []
        if figures[0] == "bits_per_char" or (figures[0] == "val_loss" and not is_mixed):
            lines = [*self._baseline(lines, figures[0]), *lines]
            band = self._envelope(phase, figures[0]).band("grey") if axis == "step" else None
            bands = [band] if band else []
        chart.show(lines, bands, x_title=axis, empty=self._sentence())

    def _lines(self, drawn: Sequence[tuple[TrialKey, str]], figures: Sequence[Figure], axis: XAxis) -> list[Line]:
        """Return a line for each figure of each trial that is drawn; the focused one lies on top."""
        colours, names = series_colours(self.app), short_names(self._trials(key for key, _ in drawn))
        lines: list[Line] = []
        for place, (key, sign) in enumerate(reversed(drawn)):
            curve, trial = self.feed.curve(key), self.feed.trial(key)
            if curve is None or trial is None or not len(curve):
                continue
            colour = "good" if sign == "★" else colours[(len(drawn) - 1 - place) % len(colours)]
            xs = x_values(curve, trial.settings, axis)
            for figure in figures:
                is_first = figure == figures[0]
                dash = 2 if figure == "train_loss" else 0
                ys = curve.column(figure)
                lines.append(Line(names[key] if is_first else "", xs, ys, colour, sign if is_first else "", dash))
        return lines

    def _baseline(self, lines: Sequence[Line], figure: Figure) -> Iterator[Line]:
        """Yield what trials should beat as a line below all others, if it has the figure's unit."""
        if self.feed.bar is not None and lines:
            from litegpt.analysis.baselines import baseline_levels  # late: the feed has loaded it for the bar

            xs = [min(line.xs[0] for line in lines), max(line.xs[-1] for line in lines)]
            trials = (trial.settings for trial in self.feed.state.trials())
            for name, level in baseline_levels(dict([self.feed.bar]), trials, figure).items():
                yield Line(name, xs, [level, level], "warn", dash=3)

    def _drawn(self, phase: str | None) -> list[tuple[TrialKey, str]]:
        """Return the trials to draw and their signs: the focused, the marked, those at work, and the best."""
        at_work = [key for key in self._listed if self._is_at_work(key)]
        focus = [self.view.focus] if self.view.focus else []
        keys = [key for key in dict.fromkeys([*focus, *sorted(self.view.marks), *at_work]) if self.feed.trial(key)]
        keys = keys[:LINES]
        best = next(iter(rank(self.feed.state.phases[phase].current())), None) if phase else None
        signs = {key: "●" if key == self.view.focus else "abcdefgh"[index] for index, key in enumerate(keys)}
        if best is not None:
            signs[phase or "", best.id] = "★"
        self.feed.want(signs)
        return list(signs.items())

    def _is_at_work(self, key: TrialKey) -> bool:
        trial = self.feed.trial(key)
        return trial is not None and trial.state == "running"

    def _envelope(self, name: str | None, figure: Figure) -> Envelope:
        """Return the envelope of a phase, with the curves that have been read since."""
        envelope = self._envelopes.setdefault((name or "", figure), Envelope(figure))
        phase = self.feed.state.phases.get(name or "")
        for trial in phase.trials.values() if phase else ():
            key = (trial.phase, trial.id)
            if trial.is_ended and key not in envelope:
                curve = self.feed.curve(key)
                if curve is not None and curve.last is not None and curve.last.step == trial.step:
                    envelope.take(key, curve)
        return envelope

    @work(thread=True, group="devices", exclusive=True)
    def _sample_devices(self) -> None:
        worker = get_current_worker()
        devices = self.session.devices or Devices()
        self.session.devices = devices
        while not worker.is_cancelled:
            self.post_message(self.DevicesSampled(devices.sample()))
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
        """Have the leaderboard rank as of the cursor's step."""
        if self.view.of(self.TAB).get("axis", "step") == "step":
            self.view.step = None if event.x is None else int(event.x)

    @on(Table.Opened, "#running")
    async def _open_trial(self) -> None:
        await self.app.run_action("app.switch_tab('leaderboard')")

    def action_mark(self) -> None:
        """Mark the trial under the cursor: it stays on the chart."""
        table = self.query_one("#running", Table)
        if self._listed:
            self.view.toggle(self._listed[table.cursor])
            table.refresh_changed()
            self._show_chart()

    def action_follow(self) -> None:
        self._follows = not self._follows
        self.notify("the focus follows the best trial at work" if self._follows else "the focus stays")
        self._show_running()
        self._show_chart()

    def action_figure(self) -> None:
        settings = self.view.of(self.TAB)
        settings["figure"] = (settings.get("figure", 0) + 1) % self._choices
        self._show_chart()

    def action_axis(self) -> None:
        settings = self.view.of(self.TAB)
        axis = settings.get("axis", "step")
        settings["axis"] = X_AXES[(X_AXES.index(axis) + 1) % len(X_AXES)] if axis in X_AXES else "step"
        self._show_chart()
