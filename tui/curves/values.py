"""The values of mean curves at the chart's cursor, one row per curve."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from litegpt import display
from litegpt.display import inert
from tui.curves.mean_curves import MeanCurve
from tui.widgets.table import Cell, Column, Table, fitting

MEAN, OTHERS = (
    Column("mean", "mean", 6),
    (Column("low", "min", 6), Column("high", "max", 6), Column("trials", "trials", 6)),
)
# The greatest width of the values.
VALUE_CELLS = 9


def sign(index: int) -> str:
    """Return the letter at the end of a curve's line."""
    return ascii_lowercase[index % len(ascii_lowercase)]


class ValuesTable(Table):
    """A table with as many columns as fit. `show_curves` takes the curves and the x to read them at."""

    HELP = "Mean, min and max of the trials of each value at the chart's cursor, or at the ends of the lines."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._row, id=id)
        self._curves: Sequence[MeanCurve] = ()
        self._colours: Sequence[str] = ()
        self._x: float | None = None
        self._decimals = 3

    def show_curves(
        self, curves: Sequence[MeanCurve], colours: Sequence[str], x: float | None, decimals: int = 3
    ) -> None:
        """Show the values at `x`; None shows the last ones."""
        self._curves = curves
        self._colours = colours
        self._x = x
        self._decimals = decimals
        rows = [self._cells_of(row) for row in range(len(curves))]
        value = max(5, *(len(cells["value"][0]) for cells in rows), 0)
        at = max(2, *(len(cells["at"][0]) for cells in rows if "at" in cells), 0)
        columns = (
            Column("value", "value", min(VALUE_CELLS, value), is_left=True),
            MEAN,
            Column("at", "at", at),
            *OTHERS,
        )
        with self.prevent(Table.Moved):
            self.show(fitting(columns, self.content_size.width), len(curves))

    def _row(self, row: int) -> list[Cell]:
        cells = self._cells_of(row)
        return [cells.get(column.name, ("-", "dim")) for column in self.columns]

    def _cells_of(self, row: int) -> dict[str, Cell]:
        """Return a row's cells by column. A curve that has ended before the cursor has only its value."""
        mean = self._curves[row]
        cells: dict[str, Cell] = {
            "value": (f"{sign(row)} {inert(display.value(mean.value))}", self._colours[row % len(self._colours)]),
        }
        point = mean.at(self._x)
        if point is not None:
            section, index = point
            for name, column in (("mean", section.mean), ("low", section.low), ("high", section.high)):
                cells[name] = (f"{column[index]:.{self._decimals}f}", "strong" if name == "mean" else "")
            cells["trials"] = (f"{section.trials:,}", "dim")
            cells["at"] = (f"{section.xs[index]:,.0f}", "dim")
        return cells
