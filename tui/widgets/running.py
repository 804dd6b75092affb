"""The trials at work as rows of a table."""

from __future__ import annotations

from litegpt.results.state import TrialState
from litegpt.results.text import inert
from tui.board import STATE_CELLS, show
from tui.curve import Curve
from tui.widgets.table import Cell, Column

COLUMNS = (
    Column("trial", "trial", 26, is_left=True),
    Column("step", "step", 13),
    Column("val_loss", "val", 6),
    Column("train_loss", "train", 6),
    Column("tokens_per_second", "tok/s", 6),
    Column("state", "state", 9, is_left=True),
    Column("loss_scale", "scale", 7),
    Column("skipped_steps", "skipped", 7),
)


def running_cells(trial: TrialState, curve: Curve | None) -> list[Cell]:
    """Return a trial's cells; scale and skipped steps are there under fp16 alone."""
    last = curve.last if curve is not None else None
    step = last.step if last else trial.step
    return [
        (inert(trial.id.rsplit("-", 1)[0]), ""),
        (f"{0 if step is None else step:,}/{trial.settings.max_iters:,}", "dim"),
        (show(last.val_loss if last else trial.val_loss, "val_loss"), "strong"),
        (show(last.train_loss if last else trial.train_loss, "train_loss"), ""),
        (show(last.tokens_per_second if last else trial.tokens_per_second, "tokens_per_second"), "dim"),
        STATE_CELLS[trial.state],
        (f"{last.loss_scale:g}" if last and last.loss_scale is not None else "", "dim"),
        (str(last.skipped_steps) if last and last.skipped_steps else "", "warn"),
    ]
