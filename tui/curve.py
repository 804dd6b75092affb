"""The evaluations of one trial, as charts need them."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from litegpt.results.metrics import Evaluation

CurveMetric = Literal["train_loss", "val_loss", "final_loss", "bits_per_char", "seconds"]
COLUMNS = ("train_loss", "val_loss", "final_loss", "bits_per_char", "seconds", "tokens_per_second")


@dataclass(frozen=True, eq=False)
class Curve:
    """A `History` of columns of equal length, by step; nan for a metric that was not measured."""

    steps: array[float]
    train_loss: array[float]
    val_loss: array[float]
    final_loss: array[float]
    bits_per_char: array[float]  # of the validation loss
    seconds: array[float]
    tokens_per_second: array[float]
    last: Evaluation | None  # the latest evaluation, whole

    @classmethod
    def of(cls, rows: Iterable[Evaluation]) -> Curve:
        """Return the curve of a trial's evaluations, sorted by step."""
        rows = list(rows)
        return cls(
            steps=array("d", [row.step for row in rows]),
            last=rows[-1] if rows else None,
            **{name: array("d", [_gap(getattr(row, name)) for row in rows]) for name in COLUMNS},
        )

    def __len__(self) -> int:
        return len(self.steps)

    def column(self, name: str) -> array[float]:
        """Return the values of a metric, one per step."""
        column: array[float] = getattr(self, name)
        return column

    def step_at(self, step: float) -> int | None:
        """Return the step of the last evaluation up to a step."""
        end = bisect_right(self.steps, step)
        return int(self.steps[end - 1]) if end else None

    def points(self, name: str) -> list[tuple[int, float]]:
        """Return the steps at which a metric was measured, each with its value."""
        pairs = zip(self.steps, self.column(name), strict=True)
        return [(int(step), value) for step, value in pairs if not math.isnan(value)]

    def at(self, step: float, name: str) -> float | None:
        """Return the latest value of a metric that was measured up to a step."""
        column = self.column(name)
        for index in range(bisect_right(self.steps, step) - 1, -1, -1):
            if not math.isnan(column[index]):
                return column[index]
        return None

    def least(self, name: str, step: float = math.inf) -> tuple[float, int] | None:
        """Return the least value of a metric up to a step, and the step where it was measured."""
        end = bisect_right(self.steps, step)
        pairs = zip(self.column(name)[:end], self.steps[:end], strict=True)
        return min(((value, int(at)) for value, at in pairs if not math.isnan(value)), default=None)


def _gap(value: float | None) -> float:
    return math.nan if value is None else value
