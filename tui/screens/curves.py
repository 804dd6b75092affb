"""Tab 4: losses and time by hyperparameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from litegpt.analysis import figures
from litegpt.results.state import TrialState
from litegpt.results.text import inert
from tui.charts.scales import SCALES, Scale
from tui.curve import Curve
from tui.first_run import FIRST_RUN
from tui.messages import FeedChanged, TrialKey
from tui.screens.base import StudyScreen
from tui.themes import series_colours
from tui.widgets.chart import Chart
from tui.widgets.curves_courses import Course, CourseAxis, CourseFigure, Courses, hyperparameters, phase_ends, shown
from tui.widgets.curves_values import ValuesTable, sign
from tui.widgets.table import Cell, Column, Table

FIGURES: dict[CourseFigure, str] = {"val_loss": "validation loss", "train_loss": "training loss", "seconds": "seconds"}
AXES: tuple[CourseAxis, ...] = ("step", "time", "tokens")
WEIGHTS = (0.0, 0.6, 0.9)
BANDS = ("one", "all", "none")
NAME_WIDTH = 17

T = TypeVar("T")


class CurvesScreen(StudyScreen):
    """The mean over the trials of each value of a hyperparameter, and what they lie between."""

    TAB = "curves"
    HELP = (
        "The mean over all trials that are done and share a value, and the area that they lie between. A line ends "
        "where the set of its trials changes, because means over different trials do not compare; e keeps "
        "the trials alone that have a counterpart for every value on otherwise equal settings. "
        "By time and tokens, a mean lies at the mean of its trials. The area is that of one value, v goes to the next."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "choose(1)", "Next hyperparameter", show=False, id="curves.next"),
        Binding("k,up", "choose(-1)", "Hyperparameter before", show=False, id="curves.before"),
        Binding("f", "figure(1)", "Figure", tooltip="Validation loss, training loss or time", id="curves.figure"),
        Binding("F", "figure(-1)", "Figure before", show=False, id="curves.figure_before"),
        Binding("full_stop", "phase(1)", "Phase", key_display=".", tooltip="Show the next phase", id="curves.phase"),
        Binding("comma", "phase(-1)", "Phase before", show=False, id="curves.phase_before"),
        Binding("x", "axis", "X axis", tooltip="Draw by step, time or tokens", id="curves.axis"),
        Binding("y", "y_scale", "Y scale", tooltip="Linear, log or symlog y", id="curves.y_scale"),
        Binding("X", "x_scale", "X scale", tooltip="Linear, log or symlog x", show=False, id="curves.x_scale"),
        Binding("m", "smooth", "Smooth", tooltip="Smooth the lines: off, some, much", id="curves.smooth"),
        Binding("v", "value", "Next value", tooltip="Show the area of the next value", show=False, id="curves.value"),
        Binding("b", "bands", "Bands", tooltip="The area of one value, of all, of none", show=False, id="curves.bands"),
        Binding("e", "equal", "Equal settings", tooltip="Compare on otherwise equal settings", id="curves.equal"),
    ]

    @dataclass
    class Made(Message):
        """The courses of a hyperparameter are there, of so many trials."""

        courses: list[Course]
        trials: int

    def compose_panes(self) -> ComposeResult:
        self._trials: list[TrialState] = []
        self._keys: frozenset[TrialKey] = frozenset()
        self._names: dict[str, int] = {}
        self._maker = Courses()
        self._made: list[Course] = []  # whole
        self._shown: list[Course] = []  # as they are drawn
        self._used = 0  # trials in them
        self._is_making = False
        self._is_behind = False  # whether what is asked for has changed since
        with Horizontal(id="curves-row"):
            yield Chart(id="curves-chart", y_scale=self._choice("y", SCALES))
            with Vertical(id="curves-side"):
                yield Table(self._name_cells, id="curves-names")
                yield ValuesTable(id="curves-values")

    def on_mount(self) -> None:
        self.query_one("#curves-names").border_title = "hyperparameters"
        self.query_one(Chart).focus()

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.state:
            self._take_trials()
        elif not self._keys.isdisjoint(changed.curves):
            self._make()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)
        self.call_after_refresh(self._show_names)

    def _choice(self, key: str, choices: Sequence[T]) -> T:
        """Return a setting of this screen; the first choice where there is none that is sound."""
        chosen = self.view.of(self.TAB).get(key)
        return next((choice for choice in choices if choice == chosen), choices[0])

    def _next(self, key: str, choices: Sequence[Any], by: int = 1) -> None:
        self.view.of(self.TAB)[key] = choices[(choices.index(self._choice(key, choices)) + by) % len(choices)]

    @property
    def _chosen(self) -> str:
        return self._choice("name", list(self._names) or ["learning_rate"])

    @property
    def _figure(self) -> CourseFigure:
        return self._choice("figure", list(FIGURES))

    @property
    def _axis(self) -> CourseAxis:
        axis = self._choice("axis", AXES)
        return "step" if axis == "time" and self._figure == "seconds" else axis

    @property
    def _x_scale(self) -> Scale:
        return self._choice("x", SCALES)

    def _take_trials(self) -> None:
        """Take the trials that are done, of the phase or of all."""
        phases = self.feed.state.phases
        if self.view.phase not in phases:
            self.view.phase = None
        shown_phases = phases.values() if self.view.phase is None else [phases[self.view.phase]]
        trials = [trial for phase in shown_phases for trial in phase.current() if trial.state == "done"]
        keys = frozenset((trial.phase, trial.id) for trial in trials)
        if keys != self._keys:
            self.feed.want(keys - self._keys)
            self._trials, self._keys = trials, keys
        self._names = hyperparameters(trials) if trials else {}
        self._show_names()
        self._make()

    def _show_names(self) -> None:
        names = self.query_one("#curves-names", Table)
        names.empty = "none yet"
        at = list(self._names).index(self._chosen) if self._names else 0
        width = max(8, min(NAME_WIDTH, names.content_size.width - 8))
        columns = [Column("name", "name", width, is_left=True), Column("values", "values", 6)]
        with names.prevent(Table.Moved):
            names.show(columns, len(self._names), cursor=at)

    def _make(self) -> None:
        """Have the courses made in a thread: at once, or as soon as those in the making are there."""
        self._is_behind = self._is_making
        if self._is_making:
            return
        known = ((key, self.feed.curve(key)) for key in self._keys)
        curves = {key: curve for key, curve in known if curve is not None}
        self._is_making = True
        only_matched = self._choice("equal", (False, True))
        self._make_in_thread(tuple(self._trials), curves, self._chosen, self._figure, self._axis, only_matched)

    @work(thread=True, group="courses", exit_on_error=False)
    def _make_in_thread(
        self,
        trials: Sequence[TrialState],
        curves: Mapping[TrialKey, Curve],
        name: str,
        figure: CourseFigure,
        axis: CourseAxis,
        only_matched: bool,
    ) -> None:
        made: list[Course] = []
        used = 0
        try:
            made, used = self._maker.make(trials, curves, name, figure, axis, only_matched=only_matched)
        finally:
            self.post_message(self.Made(made, used))

    def on_curves_screen_made(self, message: Made) -> None:
        self._made, self._used, self._is_making = message.courses, message.trials, False
        if self._is_behind:
            self._make()
        self._show()

    def _show(self) -> None:
        """Draw the courses as the settings say."""
        chart, x_scale = self.query_one(Chart), self._x_scale
        self._shown = shown(self._made, self._choice("smoothing", WEIGHTS), x_scale)
        colours = series_colours(self.app)
        with_band = {"all": range(len(self._shown)), "one": (self.query_one(ValuesTable).cursor,), "none": ()}
        lines, areas = [], []
        for place, course in enumerate(self._shown):
            colour = colours[place % len(colours)]
            name = inert(figures.value(course.value)) if self.maximized is not None else ""  # the table has it else
            lines += course.lines(name, colour, sign(place))
            if place in with_band[self._choice("bands", BANDS)]:
                areas += course.areas(colour)
        is_pooled = self.view.phase is None and self._axis == "step"
        ends = phase_ends(self.feed.state.phases.values()) if is_pooled and self._shown else []
        chart.border_title = self._title()
        x_title = {"step": "step", "time": "seconds", "tokens": "tokens"}[self._axis]
        chart.show(
            lines,
            areas,
            verticals=[(step, inert(word)) for step, word in ends],
            x_title=x_title,
            x_scale=x_scale,
            empty=self._sentence(),
        )
        self._show_values()

    def _title(self) -> str:
        weight = self._choice("smoothing", WEIGHTS)
        known = sum(self.feed.curve(key) is not None for key in self._keys)
        parts = [f"{FIGURES[self._figure]} by {self._chosen}", inert(self.view.phase or "all phases")]
        if known < len(self._keys):
            parts.append(f"{known:,} of {len(self._keys):,} trials read")
        elif self._used < len(self._keys):
            parts.append(f"{self._used:,} of {len(self._keys):,} trials, on equal settings")
        else:
            parts.append(f"{self._used:,} trials")
        parts += [f"smoothed {weight:g}"] if weight else []
        parts += [f"x {self._x_scale}"] if self._x_scale != "linear" else []
        return " · ".join(parts).replace("[", "\\[")

    def _sentence(self) -> str:
        if self._keys and (self._is_making or any(self.feed.curve(key) is None for key in self._keys)):
            return "Reading the curves…"
        if self._keys:
            is_matched = self._choice("equal", (False, True))
            return "No settings are equal but for this; e shows all trials." if is_matched else "No figures to draw."
        if self.feed.state.phases:
            return "No trial is done yet: the lines are drawn as trials end."
        if self.feed.place.study_path is None:
            return FIRST_RUN
        return "Nothing has run yet: r runs the study."

    def _show_values(self) -> None:
        """Show the figures at the chart's cursor, or the last ones."""
        table, cursor = self.query_one(ValuesTable), self.query_one(Chart).cursor
        at = "at their ends" if cursor is None else f"at {cursor:,.0f}"
        table.border_title = f"{self._chosen} {at}"
        decimals = 1 if self._figure == "seconds" else 3
        table.show_courses(self._shown, series_colours(self.app), cursor, decimals)

    def _name_cells(self, row: int) -> list[Cell]:
        name, count = list(self._names.items())[row]
        return [(name, ""), (f"{count:,}", "dim")]

    @on(Chart.CursorMoved, "#curves-chart")
    def _read_values(self) -> None:
        self._show_values()

    @on(Table.Moved, "#curves-names")
    def _named(self, event: Table.Moved) -> None:
        self.view.of(self.TAB)["name"] = list(self._names)[event.row]
        self._make()

    @on(Table.Moved, "#curves-values")
    def _valued(self) -> None:
        if self._choice("bands", BANDS) == "one":
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

    def action_figure(self, by: int) -> None:
        """Draw another figure."""
        self._next("figure", list(FIGURES), by)
        self._make()

    def action_phase(self, by: int) -> None:
        """Show the next phase; after the last, all."""
        names = [None, *self.feed.state.phases]
        self.view.phase = names[(names.index(self.view.phase) + by) % len(names)]
        self._take_trials()

    def action_axis(self) -> None:
        self._next("axis", AXES)
        self.query_one(Chart).action_reset()  # the zoom and the cursor were places on the other axis
        self._make()

    def action_x_scale(self) -> None:
        self._next("x", SCALES)
        self._show()

    def action_y_scale(self) -> None:
        chart = self.query_one(Chart)
        chart.action_scale()
        self.view.of(self.TAB)["y"] = chart.y_scale

    def action_smooth(self) -> None:
        self._next("smoothing", WEIGHTS)
        self._show()

    def action_value(self) -> None:
        """Go to the next value, after the last to the first."""
        table = self.query_one(ValuesTable)
        table.move_to((table.cursor + 1) % max(1, table.count))

    def action_bands(self) -> None:
        self._next("bands", BANDS)
        self._show()

    def action_equal(self) -> None:
        self._next("equal", (False, True))
        self._make()
