"""The evaluations of one trial, as charts need them."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from litegpt.results.metrics import Evaluation

Figure = Literal["train_loss", "val_loss", "final_loss", "bits_per_char", "seconds"]


@dataclass(frozen=True, eq=False)
class Curve:
    """Columns of equal length, by step; nan where a figure is missing. Losses are in nats per token."""

    steps: array[float]
    train_loss: array[float]
    val_loss: array[float]
    final_loss: array[float]
    bits_per_char: array[float]  # of the validation loss
    seconds: array[float]
    last: Evaluation | None  # the latest evaluation, whole

    @classmethod
    def of(cls, rows: Iterable[Evaluation]) -> Curve:
        """Return the curve of a trial's evaluations, sorted by step."""
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

    def column(self, figure: Figure) -> array[float]:
        """Return the values of a figure, one a step."""
        column: array[float] = getattr(self, figure)
        return column

    def evaluations(self) -> list[Evaluation]:
        """Return the evaluations again; of their figures, those that are kept."""
        losses = (self.train_loss, self.val_loss, self.final_loss, self.bits_per_char)
        columns = zip(self.steps, *losses, self.seconds, strict=True)
        return [
            Evaluation(
                step=int(step),
                train_loss=_known(train),
                val_loss=_known(val),
                final_loss=_known(final),
                bits_per_char=_known(bits),
                seconds=_known(seconds),
                tokens_per_second=None,
                learning_rate=None,
            )
            for step, train, val, final, bits, seconds in columns
        ]

    def at(self, step: float, figure: Figure) -> float | None:
        """Return a figure as it stood at a step: the latest that was measured by then."""
        for index in range(bisect_right(self.steps, step) - 1, -1, -1):
            value = self.column(figure)[index]
            if not math.isnan(value):
                return value
        return None

    def least(self, figure: Figure, step: float = math.inf) -> tuple[float, int] | None:
        """Return the least of a figure by a step, and where it was."""
        end = bisect_right(self.steps, step)
        pairs = zip(self.column(figure)[:end], self.steps[:end], strict=True)
        return min(((value, int(at)) for value, at in pairs if not math.isnan(value)), default=None)


def _gap(value: float | None) -> float:
    return math.nan if value is None else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
