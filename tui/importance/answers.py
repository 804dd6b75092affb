"""What the analysis answers about importance; it loads scikit-learn."""

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
OTHERS_BELOW = 0.005  # of the variance: smaller effects are one bar


class Question(NamedTuple):
    """What is asked: about a phase (None: all, pooled), by a method, when so many trials were done."""

    phase: str | None
    target: str
    method: Method
    done: int


@dataclass(frozen=True)
class Share:
    """One bar: what it is of, how long, its 95 % interval, and the parts it has."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """Bars, what they mean in a sentence, notes, and the simple scores; only a `problem` where there are no bars."""

    bars: tuple[Share, ...] = ()
    meaning: str = ""
    notes: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    problem: str = ""


def answer(question: Question, trials: Iterable[TrialState], scores: tuple[Score, ...] = ()) -> Answer:
    """Return the answer; `scores` are those of the same target and trials, where they are known already."""
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
    except (ImportError, ArithmeticError, ValueError, MemoryError) as error:  # figures that no method can take
        return Answer(problem=f"this cannot be computed: {error}", scores=scores)


def _of_forest(found: Importance, scores: tuple[Score, ...]) -> Answer:
    bars = tuple(Share(bar.name, bar.value, bar.low, bar.high, bar.members) for bar in found.bars)
    if found.method == "forest":
        meaning = "What the splits of a random forest on it explain, as the original study measured it; together 1."
    else:
        fit = "" if found.fit is None else f" (R² {found.fit:.2f})"
        meaning = (
            f"How much of the R² on held-out trials{fit} is lost when it is shuffled; ├─┤ is where 95 % of the "
            "shuffles lie."
        )
    return Answer(bars, meaning, found.notes, scores)


def _of_variance(found: Anova, scores: tuple[Score, ...]) -> Answer:
    large = [effect for effect in found.effects if effect.share >= OTHERS_BELOW]
    small = [effect for effect in found.effects if effect.share < OTHERS_BELOW]
    bars = [Share(effect.name, effect.share) for effect in large]
    if small:
        bars.append(
            Share(f"{len(small)} smaller effect{'s' if small[1:] else ''}", sum(effect.share for effect in small))
        )
    bars.append(Share("the rest", found.rest))
    meaning = (
        f"Shares of the variance over the complete grid of {found.cells:,} settings in {found.phase}; a x b is what "
        "two do together beyond each alone, the rest is what more of them do, and chance."
    )
    first, *others = TARGETS[found.target]
    notes = (f"of {first} alone: this method takes one figure", *found.notes) if others else found.notes
    return Answer(tuple(bars), meaning, notes, scores)
