"""Which trials are best: plain rows, from the journal alone, cheap enough for a console's first screen."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from litegpt import display
from litegpt.analysis.evaluation_noise import TIE_SIGMAS, pooled_deviation
from litegpt.analysis.query import Query
from litegpt.display import FIGURE_NAMES
from litegpt.errors import InputError, did_you_mean
from litegpt.estimate.cost import parameter_count
from litegpt.results.metric import METRICS, TrialMetrics
from litegpt.results.ranking import measured, rank, ranking_of
from litegpt.results.state import PhaseState, TrialState, TrialStatus
from litegpt.study.phase import RANKINGS
from litegpt.study.trial import HYPERPARAMETERS, Trial

RANKED_STATES = ("done", "running")
MEANS = (*RANKINGS, "bits_per_char", "tokens_per_second")


@dataclass(kw_only=True)
class Row:
    """A trial, or the trials of one setting that differ in their seed; figures are means over the seeds."""

    rank: int | None  # from 1; None where there is nothing to rank by
    tie: int | None  # the rank of the first that noise cannot tell it from; its own where it stands alone
    id: str  # the best seed's
    ids: tuple[str, ...]
    phase: str
    settings: Trial
    state: TrialStatus
    seeds: int
    spread: float | None  # the standard deviation over the seeds of what it is ranked by; None for one
    parameters: int | None
    metrics: TrialMetrics
    later: TrialStatus | None  # how the trial ended after the step that is shown
    reason: str | None  # why it ended otherwise than well

    @property
    def tied(self) -> bool:
        """Whether noise cannot tell it from the one it is tied with, another row."""
        return self.tie is not None and self.tie != self.rank

    @property
    def place(self) -> str:
        """The rank as people read it: '=3' where noise cannot tell it from the third."""
        return "-" if self.rank is None else f"={self.tie}" if self.tied else str(self.rank)

    def value(self, name: str) -> Any:
        """Return a field by its name: a metric, a hyperparameter, or one of the row's own."""
        if name in METRICS:
            return self.metrics.value(name)
        return getattr(self.settings if name in HYPERPARAMETERS else self, name, None)

    def record(self) -> dict[str, Any]:
        """Return it as plain data: hyperparameters and figures side by side, what a filter and JSON look at."""
        # Not asdict, which copies: there are thousands of rows.
        plain = {**vars(self), **vars(self.metrics), "gap": self.metrics.gap, **vars(self.settings)}
        del plain["settings"], plain["metrics"]
        return plain


def leaderboard(
    trials: Iterable[TrialState],
    by: str | None = None,
    *,
    query: Query | None = None,
    n_symbols: int | None = None,
    noise: float | None = None,
    group_seeds: bool = True,
) -> list[Row]:
    """Return the rows that the query lets through, best first; ranks are among all the trials given.

    `by` is one of RANKINGS, None what suits these trials (`ranking_of`). `noise` is that figure's standard deviation
    (`evaluation_noise`); None marks no ties, unless repeated seeds tell it. Trials that have not ended well, or lack
    the figure, come last without a rank. InputError: `by` ranks nothing.
    """
    trials = list(trials)
    by = by or ranking_of(trials)
    if by not in RANKINGS:
        raise InputError(f"'{by}' ranks no trials{did_you_mean(by, RANKINGS)}; it is one of {', '.join(RANKINGS)}")
    groups = _groups(trials, group_seeds)
    rows = [_row(group, by, n_symbols) for group in groups]
    ranked = [
        (value, row) for row in rows if row.state in RANKED_STATES and (value := row.metrics.value(by)) is not None
    ]
    ranked.sort(key=lambda entry: (entry[0], entry[1].id))
    _rank(ranked, _seed_deviation(groups, by) or noise)
    rows = [*(row for _, row in ranked), *(row for row in rows if row.rank is None)]
    return rows if query is None or not query.terms else [row for row in rows if query.holds(row.record())]


def varying(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the hyperparameters in which rows differ: the columns worth showing."""
    return tuple(name for name in HYPERPARAMETERS if len({getattr(row.settings, name) for row in rows}) > 1)


def setting(trial: Trial, name: str) -> str:
    """Return a hyperparameter's value as people read it; a vocabulary that its tokenizer gives has no size."""
    value = getattr(trial, name)
    return "-" if name == "vocab_size" and not value else display.value(value)


def best_elsewhere(phases: Iterable[PhaseState], shown: PhaseState) -> str:
    """Return a sentence on the best trial of all phases; nothing where it is in the phase that is shown."""
    trials = [trial for phase in phases for trial in phase.current()]
    best, by = next(iter(rank(trials)), None), ranking_of(trials)
    if best is None or best.phase == shown.name:
        return ""
    return f"The best of all phases is {best.id} of {best.phase}: {FIGURE_NAMES[by]} {best.metrics.value(by):.4f}."


def _groups(trials: Iterable[TrialState], group_seeds: bool) -> list[list[TrialState]]:
    groups: dict[object, list[TrialState]] = {}
    for trial in trials:
        settings = dataclasses.replace(trial.settings, seed=0) if group_seeds else trial.id
        key = (trial.phase, settings, trial.state if group_seeds else "")
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def _row(group: Sequence[TrialState], by: str, n_symbols: int | None) -> Row:
    known = [(value, trial.id, trial) for trial, value in measured(group, by)]
    values = [value for value, _, _ in known]
    best = min(known)[2] if known else group[0]
    metrics = best.metrics
    if len(group) > 1:
        means: dict[str, Any] = {name: _mean([trial.metrics.value(name) for trial in group]) for name in MEANS}
        metrics = dataclasses.replace(metrics, **means)
    return Row(
        rank=None,
        tie=None,
        id=best.id,
        ids=tuple(trial.id for trial in group),
        phase=best.phase,
        settings=best.settings,
        state=best.state,
        seeds=len(group),
        spread=statistics.stdev(values) if len(values) > 1 else None,
        parameters=None if n_symbols is None else parameter_count(best.settings, n_symbols),
        metrics=metrics,
        later=best.later,
        reason=best.reason,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _seed_deviation(groups: Iterable[Sequence[TrialState]], by: str) -> float | None:
    return pooled_deviation([value for _, value in measured(group, by)] for group in groups if len(group) > 1)


def _rank(ranked: Sequence[tuple[float, Row]], deviation: float | None) -> None:
    """Set rank and tie of sorted rows. A tie is with the first of its run, so that it does not creep downwards."""
    first = 1
    for position, (value, row) in enumerate(ranked, 1):
        margin = 0.0
        first_value, first_row = ranked[first - 1]
        if deviation is not None:
            margin = TIE_SIGMAS * deviation * ((1 / row.seeds + 1 / first_row.seeds) / 2) ** 0.5
        if value - first_value > margin:
            first = position
        row.rank, row.tie = position, first
