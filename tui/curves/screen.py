"""Tab 4: mean losses and times by the values of a hyperparameter."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from litegpt import display
from litegpt.analysis.bands import unmatched
from litegpt.display import inert
from litegpt.results.metric import METRICS
from litegpt.results.state import TrialState
from litegpt.study.trial import tokens_differ
from tui.charts.plot import Area, Line
from tui.charts.scales import SCALES
from tui.curve import Curve
from tui.curves.mean_curves import (
    MeanAxis,
    MeanCurve,
    MeanQuestion,
    MeanResult,
    drawable,
    hyperparameters,
    mean_curves,
    phase_ends,
)
from tui.curves.settings import CurvesSettings
from tui.curves.values import ValuesTable, sign
from tui.latest import Latest
from tui.messages import FeedChanged, TrialKey
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.themes import series_colours
from tui.widgets.chart import Chart
from tui.widgets.table import Cell, Column, Table

X_TITLES: dict[MeanAxis, str] = {"step": "step", "time": "seconds", "tokens": "tokens"}
NAME_WIDTH = 17
# While curves are being read, the means are drawn after this time, and then again this often.
FIRST_SECONDS, NEXT_SECONDS = 0.05, 1.0


class CurvesScreen(StudyScreen):
    """The mean over the trials of each value of a hyperparameter, and the range of these trials."""

    TAB = "curves"
    HELP = (
        "The mean over all finished trials with the same value. The area is the range of the trials of one value; v "
        "selects the next value. A line stops where a phase ends, since the averaged trials change. e compares only "
        "trials that have a counterpart for every value on otherwise equal settings. On the axes of time and tokens, "
        "each mean is drawn at the mean time or tokens of its trials."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "choose(1)", "Next hyperparameter", show=False, id="curves.next"),
        Binding("k,up", "choose(-1)", "Previous hyperparameter", show=False, id="curves.before"),
        Binding("f", "turn('figure')", "Metric", tooltip="Validation loss, training loss or time", id="curves.figure"),
        Binding("full_stop", "phase(1)", "Phase", key_display=".", tooltip="Show the next phase", id="curves.phase"),
        Binding("comma", "phase(-1)", "Previous phase", show=False, id="curves.phase_before"),
        Binding("x", "axis", "X axis", tooltip="Draw by step, time or tokens", id="curves.axis"),
        Binding("y", "y_scale", "Y scale", tooltip="Linear, log or symlog y", id="curves.y_scale"),
        Binding("X", "turn('x_scale')", "X scale", tooltip="Linear, log or symlog x", show=False, id="curves.x_scale"),
        Binding("m", "turn('smoothing')", "Smooth", tooltip="Smooth the lines: off, some, much", id="curves.smooth"),
        Binding("v", "value", "Next value", tooltip="Draw the range of the next value", show=False, id="curves.value"),
        Binding(
            "b",
            "turn('areas')",
            "Areas",
            tooltip="Draw the range of one value, of all values or of none",
            show=False,
            id="curves.areas",
        ),
        Binding("e", "turn('only_matched')", "Equal", tooltip="Compare on otherwise equal settings", id="curves.equal"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._chosen = CurvesSettings(lambda: self.view.of(self.TAB))
        self._trials: dict[TrialKey, TrialState] = {}
        self._hyperparameters: dict[str, int] = {}
        self._means: Latest[MeanQuestion, MeanResult] = Latest(self, mean_curves)
        # The mean curves as they are drawn: smoothed, and cut off on a logarithmic axis.
        self._drawn: list[MeanCurve] = []
        # Computes the means again after more curves have been read.
        self._later: Timer | None = None

    def compose_panes(self) -> ComposeResult:
        with Horizontal(id="curves-row"):
            yield Chart(id="curves-chart", y_scale=self._chosen.choice("y_scale", SCALES))
            with Vertical(id="curves-side"):
                yield Table(self._name_cells, id="curves-names")
                yield ValuesTable(id="curves-values")

    def on_mount(self) -> None:
        self.query_one("#curves-names").border_title = "hyperparameters"
        self.query_one(Chart).focus()

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.state:
            self._take_trials()
        elif self._later is None and not self._trials.keys().isdisjoint(changed.curves):
            self._later = self.set_timer(NEXT_SECONDS if self._means.result else FIRST_SECONDS, self._update_means)

    @on(Table.Resized, "#curves-names")
    def _names_resized(self) -> None:
        self._show_names()

    @on(Table.Resized, "#curves-values")
    def _values_resized(self) -> None:
        self._show_values()

    @property
    def _hyperparameter(self) -> str:
        return self._chosen.choice("name", list(self._hyperparameters) or ["learning_rate"])

    def _take_trials(self) -> None:
        """Use the finished trials of the selected phase, or of all phases."""
        phases = self.feed.state.phases
        if self.view.phase not in phases:
            self.view.phase = None
        selected = phases.values() if self.view.phase is None else [phases[self.view.phase]]
        trials = [trial for phase in selected for trial in phase.current() if trial.state == "done"]
        before, self._trials = self._trials, {(trial.phase, trial.id): trial for trial in trials}
        if self._trials.keys() != before.keys():
            self.feed.want(self._trials.keys() - before.keys())
        self._hyperparameters = hyperparameters(trials) if trials else {}
        self._chosen.tokens_differ = tokens_differ(trial.settings for trial in self.feed.state.trials())
        self._show_names()
        self._update_means()

    def _show_names(self) -> None:
        names = self.query_one("#curves-names", Table)
        names.empty = "none yet"
        row = list(self._hyperparameters).index(self._hyperparameter) if self._hyperparameters else 0
        width = max(8, min(NAME_WIDTH, names.content_size.width - 9))
        columns = [Column("name", "name", width, is_left=True), Column("values", "values", 6)]
        with names.prevent(Table.Moved):
            names.show(columns, len(self._hyperparameters), cursor=row)

    def _name_cells(self, row: int) -> list[Cell]:
        name, count = list(self._hyperparameters.items())[row]
        return [(name, ""), (f"{count:,}", "dim")]

    def _update_means(self) -> None:
        """Compute the mean curves in a thread."""
        if self._later is not None:
            self._later.stop()
            self._later = None
        chosen = self._chosen
        self._means.ask(
            MeanQuestion(self._curves(), self._hyperparameter, chosen.metric, chosen.axis, chosen.only_matched)
        )

    def _curves(self) -> dict[TrialKey, tuple[TrialState, Curve]]:
        """Return the trials whose curves have been read."""
        known = ((key, trial, self.feed.curve(key)) for key, trial in self._trials.items())
        return {key: (trial, curve) for key, trial, curve in known if curve is not None}

    @property
    def _result(self) -> MeanResult:
        return self._means.result or MeanResult([], 0)

    @on(Latest.Ready)
    def _means_ready(self) -> None:
        chart = self.query_one(Chart)
        ends = [section.xs[-1] for mean in self._result.curves for section in mean.sections]
        # Do not leave the cursor beyond the ends of all lines.
        if chart.cursor is not None and chart.cursor > max(ends, default=0):
            chart.action_reset()
        self._show()

    def _show(self) -> None:
        """Draw the mean curves with the user's options."""
        chart, chosen = self.query_one(Chart), self._chosen
        self._drawn = drawable(self._result.curves, chosen.weight, chosen.x_scale)
        colours = series_colours(self.app)
        with_area = {"one": (self.query_one(ValuesTable).cursor,), "all": range(len(self._drawn)), "none": ()}
        lines: list[Line] = []
        areas: list[Area] = []
        for index, mean in enumerate(self._drawn):
            colour = colours[index % len(colours)]
            # Only a zoomed chart needs a legend; otherwise the table beside it has the names.
            name = inert(display.value(mean.value)) if self.maximized is not None else ""
            lines += mean.lines(name, colour, sign(index))
            if index in with_area[chosen.areas]:
                areas += mean.areas(colour)
        is_pooled = self.view.phase is None and chosen.axis == "step" and bool(self._drawn)
        ends = phase_ends(self.feed.state.phases.values()) if is_pooled else []
        chart.border_title = self._title()
        chart.show(
            lines,
            areas,
            verticals=[(step, inert(label)) for step, label in ends],
            x_title=X_TITLES[chosen.axis],
            x_scale=chosen.x_scale,
            empty=self._empty_text(),
        )
        self._show_values()

    def _title(self) -> str:
        chosen, used, total = self._chosen, self._result.trials, len(self._trials)
        count = f"{used:,} trials" if used == total else f"{used:,} of {total:,} trials"
        parts = [f"{METRICS[chosen.metric].label} by {self._hyperparameter}", inert(self.view.phase or "all phases")]
        parts = [f"equal settings, {used:,} of {total:,}", *parts] if chosen.only_matched else [*parts, count]
        parts += [f"smoothed {chosen.weight:g}"] if chosen.weight else []
        parts += [f"x {chosen.x_scale}"] if chosen.x_scale != "linear" else []
        return literal(" · ".join(parts))

    def _empty_text(self) -> str:
        if self._trials:
            if not self._curves():
                return "The curves have not been read yet."
            if self._means.is_waiting:
                return "Computing the means…"
            if self._chosen.only_matched and not self._drawn:
                return f"{unmatched(self._trials.values(), self._hyperparameter)} e shows all trials."
            return "No values to draw."
        if self.feed.state.phases:
            return "No trial is finished yet. The lines appear when trials end."
        return self.invitation

    def _show_values(self) -> None:
        """Show the values at the chart's cursor, or the last ones."""
        table, cursor = self.query_one(ValuesTable), self.query_one(Chart).cursor
        title = "at the line ends" if cursor is None else f"at {X_TITLES[self._chosen.axis]} {cursor:,.0f}"
        table.border_title = title
        table.show_curves(self._drawn, series_colours(self.app), cursor, 1 if self._chosen.metric == "seconds" else 3)

    @on(Chart.CursorMoved, "#curves-chart")
    def _read_values(self) -> None:
        self._show_values()

    @on(Table.Moved, "#curves-names")
    def _named(self, event: Table.Moved) -> None:
        self._chosen.keep("name", list(self._hyperparameters)[event.row])
        self._update_means()

    @on(Table.Moved, "#curves-values")
    def _valued(self) -> None:
        self._show()

    def action_zoom(self) -> None:
        super().action_zoom()
        self._show()

    def action_back(self) -> None:
        """Leave the zoom, then the chart's cursor and range."""
        if self.maximized is None:
            self.query_one(Chart).action_reset()
        super().action_back()
        self._show()

    def action_choose(self, by: int) -> None:
        """Select another hyperparameter."""
        self.query_one("#curves-names", Table).action_move(by)

    def action_turn(self, key: str) -> None:
        """Select the next choice of an option."""
        self._chosen.turn(key)
        if key in ("figure", "only_matched"):
            self._update_means()
        else:
            self._show()

    def action_axis(self) -> None:
        """Change the x axis, and reset the zoom and the cursor, which belong to the old axis."""
        self._chosen.turn("axis")
        self.query_one(Chart).action_reset()
        self._update_means()

    def action_y_scale(self) -> None:
        chart = self.query_one(Chart)
        chart.action_scale()
        self._chosen.keep("y_scale", chart.y_scale)

    def action_phase(self, by: int) -> None:
        """Show the next phase; after the last, all phases."""
        self.step_phase(by)
        self._take_trials()

    def action_value(self) -> None:
        """Select the next value; after the last, the first."""
        table = self.query_one(ValuesTable)
        table.move_to((table.cursor + 1) % max(1, table.count))
