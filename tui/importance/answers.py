"""Questions about the importance of hyperparameters, and their answers. Answering loads scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from litegpt.analysis.design import TARGETS
from litegpt.errors import InputError
from litegpt.results.state import TrialState

if TYPE_CHECKING:
    from litegpt.analysis.anova import Anova
    from litegpt.analysis.importance import Importance, Score

Method = Literal["forest", "permutation", "anova"]
METHODS: dict[Method, str] = {"forest": "forest", "permutation": "permutation", "anova": "ANOVA"}
# Effects with a smaller share of the variance are summed up in one bar.
OTHERS_BELOW = 0.005


class Question(NamedTuple):
    """A question about a phase (None: all phases together) by a method, with the number of finished trials."""

    phase: str | None
    target: str
    method: Method
    done: int


@dataclass(frozen=True)
class Share:
    """One bar: the name of the factor, its value, its 95 % interval, and the parts of a joint factor."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """Bars, the meaning of their lengths, notes, and the scores of single hyperparameters; or only a `problem`."""

    bars: tuple[Share, ...] = ()
    meaning: str = ""
    notes: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    problem: str = ""


def answer(question: Question, trials: Iterable[TrialState], scores: tuple[Score, ...] = ()) -> Answer:
    """Answer a question; `scores` are those of the same target and trials, if they are already known."""
    trials = list(trials)
    try:
        from litegpt.analysis import importance

        if not scores:
            scores = tuple(sorted(importance.scores(trials, question.target), key=lambda score: -(score.f or 0)))
        if question.method == "anova":
            from litegpt.analysis.anova import anova

            return _of_variance(anova(trials, question.target), scores)
        make = importance.forest if question.method == "forest" else importance.permutation
        return _of_forest(make(trials, question.target), scores)
    except InputError as error:
        return Answer(problem=str(error), scores=scores)
    except (ImportError, ArithmeticError, ValueError, MemoryError) as error:
        return Answer(problem=f"this cannot be computed: {error}", scores=scores)


def _of_forest(importance: Importance, scores: tuple[Score, ...]) -> Answer:
    bars = tuple(Share(bar.name, bar.value, bar.low, bar.high, bar.members) for bar in importance.bars)
    if importance.method == "forest":
        meaning = (
            "The share of the variance that a random forest explains by splits on it, as in the original study; sum 1."
        )
    else:
        fit = "" if importance.fit is None else f" (R² {importance.fit:.2f})"
        meaning = (
            f"The loss of R² on held-out trials{fit} when it is shuffled; ├─┤ is the range of 95 % of the shuffles."
        )
    return Answer(bars, meaning, importance.notes, scores)


def _of_variance(variance: Anova, scores: tuple[Score, ...]) -> Answer:
    large = [effect for effect in variance.effects if effect.share >= OTHERS_BELOW]
    small = [effect for effect in variance.effects if effect.share < OTHERS_BELOW]
    bars = [Share(effect.name, effect.share) for effect in large]
    if small:
        bars.append(
            Share(f"{len(small)} smaller effect{'s' if small[1:] else ''}", sum(effect.share for effect in small))
        )
    bars.append(Share("the rest", variance.rest))
    meaning = (
        f"Shares of the variance over the complete grid of {variance.cells:,} settings in {variance.phase}. a x b is "
        "the interaction of two hyperparameters; the rest is higher interactions and chance."
    )
    first, *others = TARGETS[variance.target]
    alone = f"variance and scores are of {first} alone; choose the target {' or '.join(others)} for the other"
    notes = (alone, *variance.notes) if others else variance.notes
    return Answer(tuple(bars), meaning, notes, scores)
