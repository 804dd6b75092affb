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
from litegpt.results.ranking import rank, ranking_of
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
    step: int | None
    train_loss: float | None
    val_loss: float | None
    best_val_loss: float | None
    best_val_step: int | None
    bits_per_char: float | None  # of val_loss
    best_bits_per_char: float | None  # of best_val_loss
    final_loss: float | None
    seconds: float | None
    tokens_per_second: float | None
    reason: str | None  # why it ended otherwise than well

    @property
    def gap(self) -> float | None:
        """How much worse unseen text is predicted than the training text."""
        return None if self.val_loss is None or self.train_loss is None else self.val_loss - self.train_loss

    @property
    def tied(self) -> bool:
        """Whether noise cannot tell it from the one it is tied with, another row."""
        return self.tie is not None and self.tie != self.rank

    @property
    def place(self) -> str:
        """The rank as people read it: '=3' where noise cannot tell it from the third."""
        return "-" if self.rank is None else f"={self.tie}" if self.tied else str(self.rank)

    def record(self) -> dict[str, Any]:
        """Return it as plain data: hyperparameters and figures side by side, what a filter and JSON look at."""
        plain = {**vars(self), "gap": self.gap, **vars(self.settings)}  # not asdict: it copies, and there are thousands
        del plain["settings"]
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
    ranked = sorted((row for row in rows if _is_ranked(row, by)), key=lambda row: (getattr(row, by), row.id))
    others = [row for row in rows if not _is_ranked(row, by)]
    deviation = _seed_deviation(groups, by) or noise
    _rank(ranked, by, deviation)
    rows = [*ranked, *others]
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
    return f"The best of all phases is {best.id} of {best.phase}: {FIGURE_NAMES[by]} {getattr(best, by):.4f}."


def _groups(trials: Iterable[TrialState], group_seeds: bool) -> list[list[TrialState]]:
    groups: dict[object, list[TrialState]] = {}
    for trial in trials:
        settings = dataclasses.replace(trial.settings, seed=0) if group_seeds else trial.id
        key = (trial.phase, settings, trial.state if group_seeds else "")
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def _row(group: Sequence[TrialState], by: str, n_symbols: int | None) -> Row:
    known = [trial for trial in group if getattr(trial, by) is not None]
    values = [getattr(trial, by) for trial in known]
    best = min(known, key=lambda trial: (getattr(trial, by), trial.id), default=group[0])
    if len(group) == 1:  # there are thousands of these
        means = {name: getattr(best, name) for name in MEANS}
    else:
        means = {name: _mean([getattr(trial, name) for trial in group]) for name in MEANS}
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
        step=best.step,
        best_val_step=best.best_val_step,
        reason=best.reason,
        **means,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _is_ranked(row: Row, by: str) -> bool:
    return row.state in RANKED_STATES and getattr(row, by) is not None


def _seed_deviation(groups: Iterable[Sequence[TrialState]], by: str) -> float | None:
    values = ([getattr(trial, by) for trial in group] for group in groups if len(group) > 1)
    return pooled_deviation([value for value in group if value is not None] for group in values)


def _rank(rows: Sequence[Row], by: str, deviation: float | None) -> None:
    """Set rank and tie of sorted rows. A tie is with the first of its run, so that it does not creep downwards."""
    first = 1
    for place, row in enumerate(rows, 1):
        margin = 0.0
        if deviation is not None:
            head = rows[first - 1]
            margin = TIE_SIGMAS * deviation * ((1 / row.seeds + 1 / head.seeds) / 2) ** 0.5
        if getattr(row, by) - getattr(rows[first - 1], by) > margin:
            first = place
        row.rank, row.tie = place, first
