"""Tab 4: losses and time by hyperparameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer

from litegpt import display
from litegpt.analysis.bands import unmatched
from litegpt.display import FIGURE_NAMES, inert
from litegpt.results.state import TrialState
from litegpt.study.trial import tokens_differ
from tui.charts.plot import Area, Line
from tui.charts.scales import SCALES
from tui.curve import Curve
from tui.curves.courses import Course, CourseAxis, CourseFigure, hyperparameters, make_courses, phase_ends, shown
from tui.curves.settings import CurvesSettings
from tui.curves.values import ValuesTable, sign
from tui.messages import FeedChanged, TrialKey
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.themes import series_colours
from tui.widgets.chart import Chart
from tui.widgets.table import Cell, Column, Table

X_TITLES: dict[CourseAxis, str] = {"step": "step", "time": "seconds", "tokens": "tokens"}
NAME_WIDTH = 17
FIRST_SECONDS, NEXT_SECONDS = 0.05, 1.0  # curves that are being read are drawn this soon, then this often


class CurvesScreen(StudyScreen):
    """The mean over the trials of each value of a hyperparameter, and what they lie between."""

    TAB = "curves"
    HELP = (
        "The mean over all trials that are done and share a value, and the area that they lie between: that of one "
        "value, v goes to the next. A line ends where the set of its trials changes, because means over different "
        "trials do not compare; e keeps the trials alone that have a counterpart for every value on otherwise equal "
        "settings. By time and tokens, a mean lies at the mean of its trials."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "choose(1)", "Next hyperparameter", show=False, id="curves.next"),
        Binding("k,up", "choose(-1)", "Hyperparameter before", show=False, id="curves.before"),
        Binding("f", "turn('figure')", "Figure", tooltip="Validation loss, training loss or time", id="curves.figure"),
        Binding("full_stop", "phase(1)", "Phase", key_display=".", tooltip="Show the next phase", id="curves.phase"),
        Binding("comma", "phase(-1)", "Phase before", show=False, id="curves.phase_before"),
        Binding("x", "axis", "X axis", tooltip="Draw by step, time or tokens", id="curves.axis"),
        Binding("y", "y_scale", "Y scale", tooltip="Linear, log or symlog y", id="curves.y_scale"),
        Binding("X", "turn('x_scale')", "X scale", tooltip="Linear, log or symlog x", show=False, id="curves.x_scale"),
        Binding("m", "turn('smoothing')", "Smooth", tooltip="Smooth the lines: off, some, much", id="curves.smooth"),
        Binding("v", "value", "Next value", tooltip="Show the area of the next value", show=False, id="curves.value"),
        Binding(
            "b",
            "turn('areas')",
            "Areas",
            tooltip="The area of one value, of all, of none",
            show=False,
            id="curves.areas",
        ),
        Binding("e", "turn('only_matched')", "Equal", tooltip="Compare on otherwise equal settings", id="curves.equal"),
    ]

    @dataclass
    class Made(Message):
        """The courses of a hyperparameter are there, of so many trials."""

        courses: list[Course]
        trials: int

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._chosen = CurvesSettings(lambda: self.view.of(self.TAB))
        self._trials: dict[TrialKey, TrialState] = {}
        self._hyperparameters: dict[str, int] = {}
        self._made: list[Course] = []  # whole
        self._shown: list[Course] = []  # as they are drawn
        self._used = 0  # trials in them
        self._is_making = False
        self._is_behind = False  # whether what is asked for has changed since
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
            self._later = self.set_timer(NEXT_SECONDS if self._made else FIRST_SECONDS, self._make)

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
        """Take the trials that are done, of the phase or of all."""
        phases = self.feed.state.phases
        if self.view.phase not in phases:
            self.view.phase = None
        own = phases.values() if self.view.phase is None else [phases[self.view.phase]]
        trials = [trial for phase in own for trial in phase.current() if trial.state == "done"]
        before, self._trials = self._trials, {(trial.phase, trial.id): trial for trial in trials}
        if self._trials.keys() != before.keys():
            self.feed.want(self._trials.keys() - before.keys())
        self._hyperparameters = hyperparameters(trials) if trials else {}
        self._chosen.tokens_differ = tokens_differ(trial.settings for trial in self.feed.state.trials())
        self._show_names()
        self._make()

    def _show_names(self) -> None:
        names = self.query_one("#curves-names", Table)
        names.empty = "none yet"
        at = list(self._hyperparameters).index(self._hyperparameter) if self._hyperparameters else 0
        width = max(8, min(NAME_WIDTH, names.content_size.width - 9))
        columns = [Column("name", "name", width, is_left=True), Column("values", "values", 6)]
        with names.prevent(Table.Moved):
            names.show(columns, len(self._hyperparameters), cursor=at)

    def _name_cells(self, row: int) -> list[Cell]:
        name, count = list(self._hyperparameters.items())[row]
        return [(name, ""), (f"{count:,}", "dim")]

    def _make(self) -> None:
        """Have the courses made in a thread: at once, or as soon as those in the making are there."""
        if self._later is not None:
            self._later.stop()
            self._later = None
        self._is_behind = self._is_making
        if not self._is_making:
            self._is_making = True
            chosen = self._chosen
            self._make_in_thread(self._curves(), self._hyperparameter, chosen.figure, chosen.axis, chosen.only_matched)

    def _curves(self) -> dict[TrialKey, tuple[TrialState, Curve]]:
        """Return the trials whose curves have been read."""
        known = ((key, trial, self.feed.curve(key)) for key, trial in self._trials.items())
        return {key: (trial, curve) for key, trial, curve in known if curve is not None}

    @work(thread=True, group="courses", exit_on_error=False)
    def _make_in_thread(
        self,
        curves: Mapping[TrialKey, tuple[TrialState, Curve]],
        name: str,
        figure: CourseFigure,
        axis: CourseAxis,
        only_matched: bool,
    ) -> None:
        made: list[Course] = []
        used = 0
        try:
            made, used = make_courses(curves, name, figure, axis, only_matched=only_matched)
        finally:
            self.post_message(self.Made(made, used))

    def on_curves_screen_made(self, message: Made) -> None:
        self._made, self._used, self._is_making = message.courses, message.trials, False
        if self._is_behind:
            self._make()
        chart, ends = self.query_one(Chart), [stretch.xs[-1] for course in self._made for stretch in course.stretches]
        if chart.cursor is not None and chart.cursor > max(ends, default=0):
            chart.action_reset()  # there is nothing where the cursor was
        self._show()

    def _show(self) -> None:
        """Draw the courses as the user wants them."""
        chart, chosen = self.query_one(Chart), self._chosen
        self._shown = shown(self._made, chosen.weight, chosen.x_scale)
        colours = series_colours(self.app)
        with_area = {"one": (self.query_one(ValuesTable).cursor,), "all": range(len(self._shown)), "none": ()}
        lines: list[Line] = []
        areas: list[Area] = []
        for place, course in enumerate(self._shown):
            colour = colours[place % len(colours)]
            name = inert(display.value(course.value)) if self.maximized is not None else ""  # the table has it else
            lines += course.lines(name, colour, sign(place))
            if place in with_area[chosen.areas]:
                areas += course.areas(colour)
        is_pooled = self.view.phase is None and chosen.axis == "step" and bool(self._shown)
        ends = phase_ends(self.feed.state.phases.values()) if is_pooled else []
        chart.border_title = self._title()
        chart.show(
            lines,
            areas,
            verticals=[(step, inert(word)) for step, word in ends],
            x_title=X_TITLES[chosen.axis],
            x_scale=chosen.x_scale,
            empty=self._sentence(),
        )
        self._show_values()

    def _title(self) -> str:
        chosen, total = self._chosen, len(self._trials)
        count = f"{self._used:,} trials" if self._used == total else f"{self._used:,} of {total:,} trials"
        parts = [f"{FIGURE_NAMES[chosen.figure]} by {self._hyperparameter}", inert(self.view.phase or "all phases")]
        parts = [f"equal settings, {self._used:,} of {total:,}", *parts] if chosen.only_matched else [*parts, count]
        parts += [f"smoothed {chosen.weight:g}"] if chosen.weight else []
        parts += [f"x {chosen.x_scale}"] if chosen.x_scale != "linear" else []
        return literal(" · ".join(parts))

    def _sentence(self) -> str:
        if self._trials:
            if not self._curves():
                return "The curves have not been read yet."
            if self._is_making:
                return "Computing the means…"
            if self._chosen.only_matched and not self._shown:
                return f"{unmatched(self._trials.values(), self._hyperparameter)} e shows all trials."
            return "No figures to draw."
        if self.feed.state.phases:
            return "No trial is done yet: the lines are drawn as trials end."
        return self.invitation

    def _show_values(self) -> None:
        """Show the figures at the chart's cursor, or the last ones."""
        table, cursor = self.query_one(ValuesTable), self.query_one(Chart).cursor
        at = "at the lines' ends" if cursor is None else f"at {X_TITLES[self._chosen.axis]} {cursor:,.0f}"
        table.border_title = at
        table.show_courses(self._shown, series_colours(self.app), cursor, 1 if self._chosen.figure == "seconds" else 3)

    @on(Chart.CursorMoved, "#curves-chart")
    def _read_values(self) -> None:
        self._show_values()

    @on(Table.Moved, "#curves-names")
    def _named(self, event: Table.Moved) -> None:
        self._chosen.keep("name", list(self._hyperparameters)[event.row])
        self._make()

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
        """Go to another hyperparameter."""
        self.query_one("#curves-names", Table).action_move(by)

    def action_turn(self, key: str) -> None:
        """Go to the next choice of a setting."""
        self._chosen.turn(key)
        if key in ("figure", "only_matched"):
            self._make()
        else:
            self._show()

    def action_axis(self) -> None:
        """Draw by something else; the zoom and the cursor were places on the other axis."""
        self._chosen.turn("axis")
        self.query_one(Chart).action_reset()
        self._make()

    def action_y_scale(self) -> None:
        chart = self.query_one(Chart)
        chart.action_scale()
        self._chosen.keep("y_scale", chart.y_scale)

    def action_phase(self, by: int) -> None:
        """Show the next phase; after the last, all."""
        self.step_phase(by)
        self._take_trials()

    def action_value(self) -> None:
        """Go to the next value, after the last to the first."""
        table = self.query_one(ValuesTable)
        table.move_to((table.cursor + 1) % max(1, table.count))
