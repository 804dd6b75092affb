"""The figures of courses at a chart's cursor, a row a value."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from litegpt.analysis import figures
from litegpt.results.text import inert
from tui.widgets.curves_courses import Course
from tui.widgets.table import Cell, Column, Table, fitting

COLUMNS = (
    Column("value", "value", 9, is_left=True),
    Column("mean", "mean", 6),
    Column("low", "least", 6),
    Column("high", "most", 6),
    Column("trials", "trials", 6),
    Column("at", "at", 8),
)


def sign(place: int) -> str:
    """Return the letter at the end of a value's line."""
    return ascii_lowercase[place % len(ascii_lowercase)]


class ValuesTable(Table):
    """As many columns as fit. `show_courses` takes courses and where to read them."""

    HELP = "The mean, the least and the greatest of the trials of each value, where the chart's cursor is."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._row, id=id)
        self._courses: Sequence[Course] = ()
        self._colours: Sequence[str] = ()
        self._x: float | None = None
        self._decimals = 3

    def show_courses(
        self, courses: Sequence[Course], colours: Sequence[str], x: float | None, decimals: int = 3
    ) -> None:
        """Show the figures at `x`, or the last ones for None."""
        self._courses, self._colours, self._x, self._decimals = courses, colours, x, decimals
        with self.prevent(Table.Moved):
            self.show(fitting(COLUMNS, self.content_size.width), len(courses))

    def _row(self, row: int) -> list[Cell]:
        course = self._courses[row]
        cells: dict[str, Cell] = {
            "value": (f"{sign(row)} {inert(figures.value(course.value))}", self._colours[row % len(self._colours)]),
        }
        found = course.at(self._x)
        if found is not None:
            stretch, place = found
            for name, column in (("mean", stretch.mean), ("low", stretch.low), ("high", stretch.high)):
                cells[name] = (f"{column[place]:.{self._decimals}f}", "strong" if name == "mean" else "")
            cells["trials"] = (f"{stretch.trials:,}", "dim")
            cells["at"] = (f"{stretch.xs[place]:,.0f}", "dim")
        return [cells.get(column.name, ("-", "dim")) for column in self.columns]
