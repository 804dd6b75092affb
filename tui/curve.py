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


@dataclass(frozen=True, eq=False)
class Curve:
    """Columns of equal length, by step; nan stands for a missing value. Losses are in nats per token."""

    steps: array[float]
    train_loss: array[float]
    val_loss: array[float]
    final_loss: array[float]
    # The validation loss in bits per character.
    bits_per_char: array[float]
    seconds: array[float]
    # The latest evaluation with all its values.
    last: Evaluation | None

    @classmethod
    def of(cls, rows: Iterable[Evaluation]) -> Curve:
        """Build the curve from a trial's evaluations, which are sorted by step."""
        rows = list(rows)
        return cls(
            array("d", [row.step for row in rows]),
            array("d", [_gap(row.train_loss) for row in rows]),
            array("d", [_gap(row.val_loss) for row in rows]),
            array("d", [_gap(row.final_loss) for row in rows]),
            array("d", [_gap(row.bits_per_char) for row in rows]),
            array("d", [_gap(row.seconds) for row in rows]),
            rows[-1] if rows else None,
        )

    def __len__(self) -> int:
        return len(self.steps)

    def column(self, metric: CurveMetric) -> array[float]:
        """Return the values of a metric, one per step."""
        column: array[float] = getattr(self, metric)
        return column

    def evaluations(self) -> list[Evaluation]:
        """Rebuild the evaluations; the values that a curve does not keep are None."""
        losses = (self.train_loss, self.val_loss, self.final_loss, self.bits_per_char)
        columns = zip(self.steps, *losses, self.seconds, strict=True)
        return [
            Evaluation(
                step=int(step),
                train_loss=_or_none(train),
                val_loss=_or_none(val),
                final_loss=_or_none(final),
                bits_per_char=_or_none(bits),
                seconds=_or_none(seconds),
                tokens_per_second=None,
                learning_rate=None,
            )
            for step, train, val, final, bits, seconds in columns
        ]

    def at(self, step: float, metric: CurveMetric) -> float | None:
        """Return the latest value of a metric at or before a step."""
        for index in range(bisect_right(self.steps, step) - 1, -1, -1):
            value = self.column(metric)[index]
            if not math.isnan(value):
                return value
        return None

    def least(self, metric: CurveMetric, step: float = math.inf) -> tuple[float, int] | None:
        """Return the smallest value of a metric at or before a step, and the step of that value."""
        end = bisect_right(self.steps, step)
        pairs = zip(self.column(metric)[:end], self.steps[:end], strict=True)
        return min(((value, int(at)) for value, at in pairs if not math.isnan(value)), default=None)


def _gap(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
