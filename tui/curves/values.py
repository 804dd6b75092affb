"""The figures of courses at a chart's cursor, a row a value."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from litegpt import display
from litegpt.display import inert
from tui.curves.courses import Course
from tui.widgets.table import Cell, Column, Table, fitting

MEAN, OTHERS = (
    Column("mean", "mean", 6),
    (Column("low", "least", 6), Column("high", "most", 6), Column("trials", "trials", 6)),
)
VALUE_CELLS = 9  # at most


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
        rows = [self._figures(row) for row in range(len(courses))]
        value = max(5, *(len(cells["value"][0]) for cells in rows), 0)
        at = max(2, *(len(cells["at"][0]) for cells in rows if "at" in cells), 0)
        columns = (
            Column("value", "value", min(VALUE_CELLS, value), is_left=True),
            MEAN,
            Column("at", "at", at),
            *OTHERS,
        )
        with self.prevent(Table.Moved):
            self.show(fitting(columns, self.content_size.width), len(courses))

    def _row(self, row: int) -> list[Cell]:
        cells = self._figures(row)
        return [cells.get(column.name, ("-", "dim")) for column in self.columns]

    def _figures(self, row: int) -> dict[str, Cell]:
        """Return a row's cells by the names of their columns; only the value where there are no figures."""
        course = self._courses[row]
        cells: dict[str, Cell] = {
            "value": (f"{sign(row)} {inert(display.value(course.value))}", self._colours[row % len(self._colours)]),
        }
        found = course.at(self._x)
        if found is not None:
            stretch, place = found
            for name, column in (("mean", stretch.mean), ("low", stretch.low), ("high", stretch.high)):
                cells[name] = (f"{column[place]:.{self._decimals}f}", "strong" if name == "mean" else "")
            cells["trials"] = (f"{stretch.trials:,}", "dim")
            cells["at"] = (f"{stretch.xs[place]:,.0f}", "dim")
        return cells
