"""What the user has chosen to see of the curves, kept with the view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tui.charts.scales import SCALES, Scale
from tui.curves.courses import CourseAxis, CourseFigure

FIGURES: tuple[CourseFigure, ...] = ("val_loss", "train_loss", "seconds")
BETWEEN_TOKENIZERS: tuple[CourseFigure, ...] = ("bits_per_char", "seconds")
"""Where tokens differ, so that means over losses say nothing."""
AXES: tuple[CourseAxis, ...] = ("step", "time", "tokens")
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
    """Choices in `plain()`, a dictionary that may come from a file; what is unsound in it is the first choice."""

    def __init__(self, plain: Callable[[], dict[str, Any]]) -> None:
        self._plain = plain
        self.tokens_differ = False  # between the trials that are shown

    def turn(self, key: str, by: int = 1) -> None:
        """Go to the next choice of CHOICES, or the next figure."""
        choices = self._figures if key == "figure" else CHOICES[key]
        self._plain()[key] = choices[(choices.index(self.choice(key, choices)) + by) % len(choices)]

    def choice(self, key: str, choices: Sequence[T]) -> T:
        chosen = self._plain().get(key)
        return next((choice for choice in choices if choice == chosen), choices[0])

    def keep(self, key: str, chosen: str) -> None:
        self._plain()[key] = chosen

    @property
    def _figures(self) -> Sequence[CourseFigure]:
        return BETWEEN_TOKENIZERS if self.tokens_differ else FIGURES

    @property
    def figure(self) -> CourseFigure:
        return self.choice("figure", self._figures)

    @property
    def axis(self) -> CourseAxis:
        axis = self.choice("axis", AXES)
        return "step" if axis == "time" and self.figure == "seconds" else axis  # a time by itself says nothing

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
