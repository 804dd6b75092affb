"""Was the cut of a promotion safe: did the ranking it cut by foretell the ranking it led to?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from litegpt.results.ranking import measured, rank, ranking_of
from litegpt.results.state import PhaseState, StudyState
from litegpt.study.trial import Trial

WINNERS = 8
COMMON_MIN = 3


@dataclass(frozen=True)
class Cut:
    """Two phases that have settings in common, ranked by one figure."""

    source: str
    target: str
    by: str
    top: int | None  # where the promotion cut; None where the target was not promoted from the source
    common: int  # settings that both phases have trained to the end
    correlation: float | None  # Spearman's, over those; None where they are under 3, or either is all ties
    places: tuple[int, ...]  # of the target's winners, best first: the rank each had in the source
    sources: int  # how many trials the source ranks

    def kept(self, top: int) -> int:
        """Return how many of the target's winners a cut at `top` would have kept."""
        return sum(place <= top for place in self.places)

    @property
    def safe_top(self) -> int | None:
        """The least cut that would have kept every winner."""
        return max(self.places, default=None)

    def sentence(self) -> str:
        """Return the finding in words."""
        if not self.places:
            return f"{self.source} and {self.target} have no settings in common."
        winners = len(self.places)
        half = next((k for k in sorted(self.places) if self.kept(k) * 2 >= winners), self.places[0])
        stood = ", ".join(map(str, sorted(self.places)))
        words = f"The {winners} best of {self.target} stood at {stood} of {self.sources} in {self.source}"
        words += f"; cutting at {half} would have kept {self.kept(half)} of them, at {self.safe_top} all."
        return words


def cut_safety(state: StudyState, by: str | None = None, winners: int = WINNERS) -> list[Cut]:
    """Return a cut for every promotion, and for every two phases in a row that have settings in common.

    A promotion is judged by its own figure; `by` is for phases that none joins (None: by what suits their trials).
    """
    phases = list(state.phases.values())
    cuts: list[Cut] = []
    for earlier, target in zip([None, *phases], phases, strict=False):
        source = state.phases.get(target.promotion.source) if target.promotion else earlier
        if source is None:
            continue
        promotion = target.promotion
        figure = promotion.by if promotion else by or ranking_of([*source.current(), *target.current()])
        cut = _cut(source, target, figure, promotion.top if promotion else None, winners)
        if cut is not None:
            cuts.append(cut)
    return cuts


def _cut(source: PhaseState, target: PhaseState, by: str, top: int | None, winners: int) -> Cut | None:
    sources = rank(source.current(), by)
    places = {_setting(trial.settings): place for place, trial in enumerate(sources, 1)}
    values = {_setting(trial.settings): value for trial, value in measured(sources, by)}
    targets = [trial for trial in rank(target.current(), by) if _setting(trial.settings) in places]
    if not targets:
        return None
    before = [values[_setting(trial.settings)] for trial in targets]
    after = [value for _, value in measured(targets, by)]
    found = tuple(places[_setting(trial.settings)] for trial in targets[:winners])
    correlation = spearman(before, after) if len(targets) >= COMMON_MIN else None
    return Cut(source.name, target.name, by, top, len(targets), correlation, found, len(sources))


def _setting(trial: Trial) -> Trial:
    """Return what two trials of different phases share: all but their length and where their weights are from."""
    return dataclasses.replace(trial, max_iters=0, eval_interval=0, start_from=None)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None where one side does not vary."""
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) + 1) / 2
    cross = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    norm = math.sqrt(math.fsum((x - mean) ** 2 for x in a) * math.fsum((y - mean) ** 2 for y in b))
    return cross / norm if norm else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for index in order[start : end + 1]:
            ranks[index] = (start + end) / 2 + 1
        start = end + 1
    return ranks
