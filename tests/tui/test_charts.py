"""Scales, ticks, the canvas and the plot."""

from __future__ import annotations

import math

import pytest

from litegpt.analysis.terminal_charts import Series, loss_chart, loss_table, reduce_columns
from tui.charts.canvas import Canvas
from tui.charts.plot import Area, Axes, Line, draw
from tui.charts.scales import scaled, ticks, unscaled


def test_a_spike_survives_the_reduction() -> None:
    ys = [1.0] * 10_000
    ys[5000] = 9.0
    buckets = reduce_columns(list(map(float, range(10_000))), ys, 100, 0, 9999)
    assert len(buckets) == 100
    assert max(high for _, _, _, high, _, _ in buckets) == 9.0
    assert [column for column, *_ in buckets] == list(range(100))


def test_a_gap_interrupts_a_line() -> None:
    buckets = reduce_columns([0.0, 1, 2, 3], [1.0, None, math.nan, 2.0], 4, 0, 3)
    assert buckets == [(0, 1.0, 1.0, 1.0, 1.0, False), (3, 2.0, 2.0, 2.0, 2.0, False)]


@pytest.mark.parametrize("ys", [[], [1.0], [math.nan, 2.0], [3.0, 3.0, 3.0], [1e300, -1e300], [math.inf, 1.0]])
@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
def test_odd_data_is_drawn_without_errors(ys: list[float], scale: str) -> None:
    line = Line("a", list(map(float, range(len(ys)))), ys, "red", "a")
    for width, height in ((1, 1), (8, 3), (60, 20)):
        frame = draw([line], width, height, Axes(y_scale=scale, x_scale=scale, cursor=1.0))
        assert len(frame.rows) <= max(height, 3)


def test_lines_are_drawn_at_their_values() -> None:
    rising = Line("up", [0.0, 1, 2], [0.0, 1, 2], "red", "u")
    frame = draw([rising], 40, 12, Axes())
    rows = ["".join(text for text, _ in row) for row in frame.rows]
    assert "u" in rows[0]
    assert rows[-1].split() == ["0.00", "0.50", "1.00", "1.50", "2.00"] or "0" in rows[-1]
    drawn = [(row, text) for row in range(10) for text, colour in frame.rows[row] if colour == "red" and text.strip()]
    assert drawn[0][0] == 0
    assert drawn[-1][0] == 9


def test_areas_are_below_lines_and_the_cursor_is_above() -> None:
    xs = [0.0, 10.0]
    line = Line("a", xs, [1.0, 1.0], "red")
    frame = draw([line], 30, 9, Axes(cursor=5.0), [Area(xs, [0.9, 0.9], [1.1, 1.1], "grey")])
    colours = {colour for row in frame.rows for _, colour in row}
    assert {"red", "grey", "cursor", "axis"} <= colours


def test_x_of_a_cell_is_the_inverse_of_drawing() -> None:
    frame = draw([Line("a", [0.0, 100.0], [0.0, 1.0], "red")], 60, 10, Axes())
    assert frame.x_at(frame.left) == 0
    assert frame.x_at(frame.left + frame.width - 1) == 100


def test_steep_lines_have_no_gaps() -> None:
    canvas = Canvas(2, 3)
    canvas.path([(0, 0.0, 0.0, 0.0, 0.0, False), (3, 11.0, 11.0, 11.0, 11.0, True)], 11.0, 1.0, 1)
    rows = [canvas.row(row)[0] for row in range(3)]
    assert all(row.strip() for row in rows)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1.5, 4.4), (-3, 12345), (1e-5, 2e-5), (0, 10_000)])
def test_ticks_are_few_inside_and_distinct(low: float, high: float) -> None:
    found = ticks(low, high, 6)
    assert 2 <= len(found) <= 7
    assert all(low <= at <= high for at, _ in found)
    assert len({label for _, label in found}) == len(found)


def test_scales_invert() -> None:
    for scale in ("linear", "log", "symlog"):
        for value in (0.01, 0.5, 3.0, 1000.0):
            (at,) = scaled((value,), scale)
            assert math.isclose(unscaled(at, scale), value)


def test_the_printed_chart_names_its_lines_without_colour() -> None:
    points = [(float(step), 4 - step / 50) for step in range(100)]
    text = loss_chart([Series("1: abc", points), Series("2: none", [(0.0, None)])], 80, 15, color=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[-2] == "a 1: abc  2.020 at 99"
    assert lines[-3].split() == ["0", "33", "66", "99"]
    assert lines[-1] == "b 2: none  no losses"
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert loss_chart([], 80, 15, color=False) == "no losses to draw yet"
    assert "\x1b[" in loss_chart([Series("x", points)], 80, 15, color=True)


def test_losses_as_a_table_for_screen_readers() -> None:
    points = [(float(step), 4.0 - step / 100) for step in range(0, 101, 10)]
    table = loss_table([Series("1: char", points), Series("2: bpe 512", points[:5]), Series("3: none", [])])
    assert table.splitlines() == [
        "step           20     40     60     80    100",
        "1: char     3.800  3.600  3.400  3.200  3.000",
        "2: bpe 512  3.800  3.600      -      -      -",
        "3: none         -      -      -      -      -",
    ]
    assert loss_table([]) == "no losses to show yet"
