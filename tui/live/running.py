"""The running trials as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from litegpt.results.metric import METRICS, comparable_metrics
from litegpt.results.state import TrialState
from tui.curve import Curve
from tui.leaderboard.board import STATE_CELLS
from tui.widgets.table import Cell, Column, fitting

# The least width of the names, and the width that step and loss need beside them.
NAME_CELLS, METRIC_CELLS = 26, 24
LOSSES = ("val_loss", "train_loss")
LAST_COLUMNS = (
    Column("state", "state", 9, is_left=True),
    Column("loss_scale", "scale", 7),
    Column("skipped_steps", "skipped", 7),
)


def running_columns(names: Iterable[str], tokenizers_differ: bool, width: int) -> list[Column]:
    """Return the column of names and as many others as fit into `width` cells."""
    name_width = max(NAME_CELLS, min(width - METRIC_CELLS, max(map(len, names), default=0)))
    metrics = [METRICS[name] for name in (*comparable_metrics(LOSSES, tokenizers_differ), "tokens_per_second")]
    columns = [Column(metric.name, metric.heading, metric.width) for metric in metrics]
    trial = Column("trial", "trial", name_width, is_left=True)
    return fitting([trial, Column("step", "step", 13), *columns, *LAST_COLUMNS], width)


def running_cells(trial: TrialState, name: str, curve: Curve | None, columns: Sequence[Column]) -> list[Cell]:
    """Return a trial's cells. Loss scale and skipped steps exist only with fp16."""
    last = curve.last if curve is not None else None
    metrics = last or trial.metrics
    cells: dict[str, Cell] = {
        "trial": (name, ""),
        "step": (f"{metrics.step or 0:,}/{trial.settings.max_iters:,}", "dim"),
        "state": STATE_CELLS[trial.state],
        "loss_scale": (f"{last.loss_scale:g}" if last and last.loss_scale is not None else "", "dim"),
        "skipped_steps": (str(last.skipped_steps) if last and last.skipped_steps else "", "warn"),
    }
    for metric in (METRICS[column.name] for column in columns if column.name not in cells):
        style = "strong" if metric.is_validation else "dim" if metric.name == "tokens_per_second" else ""
        cells[metric.name] = (metric.text(getattr(metrics, metric.name)), style)
    return [cells[column.name] for column in columns]
