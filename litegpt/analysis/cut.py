"""Whether the cut of a promotion is safe: ties at the cut, and the earlier ranks of the winners of a phase."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from litegpt.analysis.evaluation_noise import TIE_SIGMAS
from litegpt.results.metric import METRICS
from litegpt.results.ranking import measured, rank, ranking_of
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.phase import RANKINGS
from litegpt.study.trial import HYPERPARAMETERS, Trial, tokens_differ

WINNERS = 8
COMMON_MIN = 3


@dataclass(frozen=True)
class CutSafety:
    """Two phases with common settings, ranked by one metric."""

    source: str
    target: str
    by: str
    rule: str  # the promotion in words
    common: int  # settings that are done in both phases
    correlation: float | None  # Spearman's, over the common settings; None below 3 or if one side is constant
    ranks: tuple[int, ...]  # ranks in the source of the target's winners, best winner first
    sources: int  # ranked trials of the source

    def kept(self, top: int) -> int:
        """Count the winners that a cut at `top` would have kept."""
        return sum(rank <= top for rank in self.ranks)

    @property
    def safe_top(self) -> int | None:
        """The smallest cut that would have kept every winner."""
        return max(self.ranks, default=None)

    def sentence(self) -> str:
        if not self.ranks:
            return f"{self.source} and {self.target} have no settings in common."
        winners = len(self.ranks)
        half = next((k for k in sorted(self.ranks) if self.kept(k) * 2 >= winners), self.ranks[0])
        stood = ", ".join(map(str, sorted(self.ranks)))
        words = f"The {winners} best of {self.target} stood at {stood} of {self.sources} in {self.source}"
        words += f"; cutting at {half} would have kept {self.kept(half)} of them, at {self.safe_top} all."
        return words


@dataclass(frozen=True)
class CutTies:
    """Trials below a cut that are tied with the last trial above it."""

    top: int
    by: str
    tied: int
    margin: float  # the difference that noise alone can cause

    def sentence(self) -> str:
        trials = "1 trial" if self.tied == 1 else f"{self.tied:,} trials"
        verb = "ties" if self.tied == 1 else "tie"
        return (
            f"{trials} below rank {self.top} {verb} with it: noise changes {self.by} by up to {self.margin:.2g}. "
            "Promote more trials to include them."
        )


def ties_at_cut(trials: Sequence[TrialState], by: str, top: int, noise: float | None) -> CutTies | None:
    """Find the trials that a cut separates only by chance; None without such trials.

    `noise` is the standard deviation of the metric (`evaluation_noise`); None means unknown.
    """
    values = [value for _, value in measured(rank(trials, by), by)]
    if noise is None or not 0 < top < len(values):
        return None
    margin = TIE_SIGMAS * noise
    tied = sum(value - values[top - 1] <= margin for value in values[top:])
    return CutTies(top, by, tied, margin) if tied else None


def cut_safety(state: StudyState, by: str | None = None, winners: int = WINNERS) -> list[CutSafety]:
    """Judge every promotion, and every two consecutive phases with common settings.

    A promotion is judged by its own metric. Without a record, as after an import, phases are judged by `by`; if that is
    None, by the metric whose best trials give exactly the target, or by the one that compares between their trials.
    """
    phases = list(state.phases.values())
    cuts: list[CutSafety] = []
    for earlier, target in zip([None, *phases], phases, strict=False):
        source = state.phases.get(target.promotion.source) if target.promotion else earlier
        if source is None:
            continue
        promotion = target.promotion
        if promotion is not None:
            rule, metric = f"the {promotion.top} best by {promotion.by}, {promotion.how}", promotion.by
        else:
            default = ranking_of([*source.current(), *target.current()])
            deduced = None if by else deduce_promotion(source, target, default)
            rule = f"no promotion on record; it matches {deduced.sentence()}" if deduced else "no promotion on record"
            metric = by or (deduced.by if deduced else default)
        cut = _cut(source, target, metric, rule, winners)
        if cut is not None:
            cuts.append(cut)
    return cuts


@dataclass(frozen=True)
class DeducedPromotion:
    """A promotion without a record that explains the trials of a phase."""

    by: str
    how: str
    fewest: int  # numbers of promoted trials that give the same phase
    most: int

    def sentence(self) -> str:
        count = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return f"the {count} best by {self.by}, {self.how}"


def deduce_promotion(source: PhaseState, target: PhaseState, default: str) -> DeducedPromotion | None:
    """Find the metric whose best trials in the source are, or span, exactly the trials of the target.

    If several metrics do, `default` is preferred. None if no metric does.
    """
    settings = {_setting(trial.settings) for trial in target.current()}
    # Every ranking orders the same trials, so each trial's setting is made only once.
    setting_of = {trial.id: _setting(trial.settings) for trial in source.current()}
    deduced = {}
    differ = tokens_differ(trial.settings for phase in (source, target) for trial in phase.current())
    for by in RANKINGS:
        if METRICS[by].per_token and differ:
            continue
        ranked = [setting_of[trial.id] for trial in rank(source.current(), by)]
        if len(settings) < len(ranked) and set(ranked[: len(settings)]) == settings:
            deduced[by] = DeducedPromotion(by, "exact", len(settings), len(settings))
        elif counts := _spanning_counts(ranked, settings):
            deduced[by] = DeducedPromotion(by, "narrow", counts[0], counts[-1])
    return deduced.get(default) or next(iter(deduced.values()), None)


def _spanning_counts(ranked: Sequence[Trial], settings: set[Trial]) -> list[int]:
    """Return how many of the best trials have exactly the values of these settings."""
    goal = [{getattr(trial, name) for trial in settings} for name in HYPERPARAMETERS]
    if [{getattr(trial, name) for trial in ranked} for name in HYPERPARAMETERS] == goal:
        # Nothing was narrowed, so every metric would do.
        return []
    spanned: list[set[object]] = [set() for _ in goal]
    counts = []
    for count, trial in enumerate(ranked, 1):
        for values, name in zip(spanned, HYPERPARAMETERS, strict=True):
            values.add(getattr(trial, name))
        if any(values - wanted for values, wanted in zip(spanned, goal, strict=True)):
            break
        if spanned == goal:
            counts.append(count)
    return counts


def _cut(source: PhaseState, target: PhaseState, by: str, rule: str, winners: int) -> CutSafety | None:
    sources = rank(source.current(), by)
    setting_of = {trial.id: _setting(trial.settings) for trial in sources}
    ranks = {setting_of[trial.id]: place for place, trial in enumerate(sources, 1)}
    values = {setting_of[trial.id]: value for trial, value in measured(sources, by)}
    targets = [trial for trial in rank(target.current(), by) if _setting(trial.settings) in ranks]
    if not targets:
        return None
    before = [values[_setting(trial.settings)] for trial in targets]
    after = [value for _, value in measured(targets, by)]
    winner_ranks = tuple(ranks[_setting(trial.settings)] for trial in targets[:winners])
    correlation = spearman(before, after) if len(targets) >= COMMON_MIN else None
    return CutSafety(source.name, target.name, by, rule, len(targets), correlation, winner_ranks, len(sources))


def _setting(trial: Trial) -> Trial:
    """Return the settings without length and initial weights, which differ between phases."""
    return dataclasses.replace(trial, max_iters=0, eval_interval=0, start_from=None)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation with ties at their mean rank; None if one side is constant."""
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
