"""The running trials as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from litegpt.results.metric import METRICS
from litegpt.results.state import TrialState
from tui.curve import Curve
from tui.leaderboard.board import STATE_CELLS
from tui.widgets.table import Cell, Column, fitting

# The least width of the names, and the width that step and loss need beside them.
NAME_CELLS, METRIC_CELLS = 26, 24
COLUMNS = (
    Column("step", "step", 13),
    Column("val_loss", "val", 6),
    Column("train_loss", "train", 6),
    Column("tokens_per_second", "tok/s", 6),
    Column("state", "state", 9, is_left=True),
    Column("loss_scale", "scale", 7),
    Column("skipped_steps", "skipped", 7),
)
COLUMNS_BETWEEN_TOKENIZERS = (
    COLUMNS[0],
    Column("bits_per_char", "bits/char", 9),
    *COLUMNS[3:],
)
"""Losses per token of different tokenizers are not comparable, so bits per character replace them."""


def running_columns(names: Iterable[str], tokenizers_differ: bool, width: int) -> list[Column]:
    """Return the column of names and as many others as fit into `width` cells."""
    name_width = max(NAME_CELLS, min(width - METRIC_CELLS, max(map(len, names), default=0)))
    columns = COLUMNS_BETWEEN_TOKENIZERS if tokenizers_differ else COLUMNS
    return fitting([Column("trial", "trial", name_width, is_left=True), *columns], width)


def running_cells(trial: TrialState, name: str, curve: Curve | None, columns: Sequence[Column]) -> list[Cell]:
    """Return a trial's cells. Loss scale and skipped steps exist only with fp16."""
    last = curve.last if curve is not None else None
    metrics = last or trial.metrics
    cells: dict[str, Cell] = {
        "trial": (name, ""),
        "step": (f"{metrics.step or 0:,}/{trial.settings.max_iters:,}", "dim"),
        "val_loss": (METRICS["val_loss"].text(metrics.val_loss), "strong"),
        "bits_per_char": (METRICS["bits_per_char"].text(metrics.bits_per_char), "strong"),
        "train_loss": (METRICS["train_loss"].text(metrics.train_loss), ""),
        "tokens_per_second": (METRICS["tokens_per_second"].text(metrics.tokens_per_second), "dim"),
        "state": STATE_CELLS[trial.state],
        "loss_scale": (f"{last.loss_scale:g}" if last and last.loss_scale is not None else "", "dim"),
        "skipped_steps": (str(last.skipped_steps) if last and last.skipped_steps else "", "warn"),
    }
    return [cells[column.name] for column in columns]
