"""The options of the Curves tab, which are saved with the view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from litegpt.results.metric import comparable_metrics
from tui.charts.scales import SCALES, Scale
from tui.curves.mean_curves import MeanAxis

METRICS = ("val_loss", "train_loss", "seconds")
AXES: tuple[MeanAxis, ...] = ("step", "time", "tokens")
WEIGHTS = (0.0, 0.6, 0.9)
AREAS = ("one", "all", "none")
CHOICES: dict[str, Sequence[Any]] = {
    "axis": AXES,
    "x_scale": SCALES,
    "smoothing": WEIGHTS,
    "areas": AREAS,
    "only_matched": (False, True),
}

T = TypeVar("T")


class CurvesSettings:
    """Options in the dictionary `plain()`, which may come from a file. An invalid option counts as the first choice."""

    def __init__(self, plain: Callable[[], dict[str, Any]]) -> None:
        self._plain = plain
        # Whether tokenizers differ between the trials.
        self.tokens_differ = False

    def turn(self, key: str, by: int = 1) -> None:
        """Select the next choice of an option."""
        choices = self._metrics if key == "figure" else CHOICES[key]
        self._plain()[key] = choices[(choices.index(self.choice(key, choices)) + by) % len(choices)]

    def choice(self, key: str, choices: Sequence[T]) -> T:
        chosen = self._plain().get(key)
        return next((choice for choice in choices if choice == chosen), choices[0])

    def keep(self, key: str, chosen: str) -> None:
        self._plain()[key] = chosen

    @property
    def _metrics(self) -> Sequence[str]:
        return comparable_metrics(METRICS, self.tokens_differ)

    @property
    def metric(self) -> str:
        return self.choice("figure", self._metrics)

    @property
    def axis(self) -> MeanAxis:
        axis = self.choice("axis", AXES)
        # Time over time would always be a straight line.
        return "step" if axis == "time" and self.metric == "seconds" else axis

    @property
    def x_scale(self) -> Scale:
        return self.choice("x_scale", SCALES)

    @property
    def weight(self) -> float:
        return self.choice("smoothing", WEIGHTS)

    @property
    def areas(self) -> str:
        return self.choice("areas", AREAS)

    @property
    def only_matched(self) -> bool:
        return self.choice("only_matched", (False, True))
