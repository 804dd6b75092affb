"""The leaderboard as rows and columns, for the commands, the report and the console.

It needs the journal alone, so that it is cheap enough for the console's first screen.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from litegpt import display
from litegpt.analysis.evaluation_noise import TIE_SIGMAS, pooled_deviation
from litegpt.analysis.query import Query
from litegpt.estimate.cost import parameter_count
from litegpt.results.metric import METRICS, TrialMetrics
from litegpt.results.ranking import check_ranking, measured, rank, ranking_of
from litegpt.results.state import PhaseState, TrialState, TrialStatus
from litegpt.study.phase import RANKINGS
from litegpt.study.trial import HYPERPARAMETERS, MINOR, Trial, tokens_differ

RANKED_STATES = ("done", "running")
SHOWN_METRICS = (
    *("train_loss", "val_loss", "best_val_loss", "best_bits_per_char", "best_val_step"),
    *("final_loss", "gap", "seconds", "tokens_per_second"),
)
LEAST_WANTED = (
    *("tokens_per_second", "final_loss", "gap", "parameters", "seconds", "train_loss"),
    *(*MINOR, "val_loss", "curve", "spread", "best_val_step", "state", "phase"),
    *("batch_size", "block_size", "n_layer", "n_embd", "learning_rate", "id"),
)
"""The columns that a narrow table leaves out, the first of them first. Hyperparameters in the id go before the id."""
MEANS = (*RANKINGS, "bits_per_char", "tokens_per_second")


@dataclass(kw_only=True)
class Row:
    """A trial, or trials that differ in their seed alone, with the means of their metrics."""

    rank: int | None  # from 1; None without a value to rank by
    tie: int | None  # the first rank that it ties with; its own without a tie
    margin: float | None  # largest difference from that row that noise can explain, at 95 %; None without a tie
    id: str  # of the best seed
    ids: tuple[str, ...]
    phase: str
    settings: Trial
    state: TrialStatus
    seeds: int
    spread: float | None  # standard deviation of the ranking metric over the seeds; None for one seed
    parameters: int | None
    metrics: TrialMetrics
    later: TrialStatus | None  # how the trial ended after the step that is shown
    reason: str | None  # why it is not done

    @property
    def tied(self) -> bool:
        """True if the row ties with a better one: the difference is within the noise."""
        return self.tie is not None and self.tie != self.rank

    @property
    def place(self) -> str:
        """The rank as people read it; '=3' is a tie with the third."""
        return "-" if self.rank is None else f"={self.tie}" if self.tied else str(self.rank)

    def value(self, name: str) -> Any:
        """Return a field by its name: a metric, a hyperparameter, or one of the row's own."""
        if name in METRICS:
            return self.metrics.value(name)
        return getattr(self.settings if name in HYPERPARAMETERS else self, name, None)

    def text(self, name: str) -> str:
        """Return a field as people read it."""
        if name == "rank":
            return self.place
        if name == "state":
            return self.state if self.later is None else f"{self.state}, {self.later} later"
        if name in HYPERPARAMETERS:
            return setting(self.settings, name)
        value = self.value(name)
        if name in METRICS:
            return METRICS[name].text(value)
        if name == "spread":
            return display.loss(value)
        return display.short_count(value) if name == "parameters" else str(value)

    def record(self) -> dict[str, Any]:
        """Return it as plain data: hyperparameters and metrics side by side, for filters and JSON."""
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
    """Return the rows that pass the query, best first; the ranks are among all trials.

    `by` is one of RANKINGS (None: the metric that compares between these trials). `noise` is the standard deviation of
    that metric (`evaluation_noise`); repeated seeds take precedence, and without either nothing ties. Trials that
    failed or lack the metric come last, without a rank. InputError: `by` is unknown.
    """
    trials = list(trials)
    by = by or ranking_of(trials)
    check_ranking(by)
    # Hashing the settings of thousands of trials takes a second, and without repeats it finds nothing.
    groups = _groups(trials, group_seeds and len({trial.settings.seed for trial in trials}) > 1)
    rows = [_row(group, by, n_symbols) for group in groups]
    ranked = [
        (value, row) for row in rows if row.state in RANKED_STATES and (value := row.metrics.value(by)) is not None
    ]
    ranked.sort(key=lambda entry: (entry[0], entry[1].id))
    _rank(ranked, _seed_deviation(groups, by) or noise)
    rows = [*(row for _, row in ranked), *(row for row in rows if row.rank is None)]
    return rows if query is None or not query.terms else [row for row in rows if query.holds(row.record())]


def varying(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the hyperparameters in which rows differ."""
    return tuple(name for name in HYPERPARAMETERS if len({getattr(row.settings, name) for row in rows}) > 1)


@dataclass(frozen=True)
class LeaderboardColumn:
    """A column: a field of `Row`, its heading and its width in cells."""

    name: str
    heading: str
    width: int
    is_left: bool = False


def leaderboard_columns(rows: Sequence[Row], by: str) -> list[LeaderboardColumn]:
    """Return the columns for rows that are ranked by a metric, from left to right."""
    per_token_differs = tokens_differ(row.settings for row in rows)
    only_characters = all(row.settings.tokenizer == "char" for row in rows)
    columns = [LeaderboardColumn("rank", "rank", 5)]
    if len({row.phase for row in rows}) > 1:
        columns.append(_text_column("phase", rows))
    for name in varying(rows):
        # The seeds of one setting share a row.
        if name == "seed" and any(row.seeds > 1 for row in rows):
            continue
        columns.append(_column(name, HYPERPARAMETERS[name].heading, rows))
    columns.append(LeaderboardColumn("parameters", "params", 6))
    for name in SHOWN_METRICS:
        # Bits per character say nothing more than the loss if every token is a character.
        if name != "best_bits_per_char" or not only_characters or by == name:
            heading = METRICS[name].heading_of(per_token_differs)
            columns.append(LeaderboardColumn(name, heading, max(METRICS[name].width, len(heading))))
    if any(row.seeds > 1 for row in rows):
        columns += [_column("seeds", "seeds", rows), LeaderboardColumn("spread", "spread", 6)]
    return [*columns, _text_column("state", rows), _text_column("id", rows)]


def fit_columns(columns: Sequence[LeaderboardColumn], width: int, gap: int = 1) -> list[LeaderboardColumn]:
    """Return the columns that fit into `width` cells with `gap` cells between them.

    The most wanted stay. Losses per token go first if they have headings of their own, because they do not compare.
    """
    incomparable = [c.name for c in columns if c.name in METRICS and c.heading == METRICS[c.name].heading_per_token]
    droppable = list(dict.fromkeys((*reversed(incomparable), *LEAST_WANTED)))
    remaining = width + gap - sum(column.width + gap for column in columns if column.name not in droppable)
    kept = {column.name for column in columns} - set(droppable)
    # The most wanted first, and after it each one that still fits.
    for column in sorted(columns, key=lambda column: column.name in droppable and -droppable.index(column.name)):
        if column.name in droppable and column.width + gap <= remaining:
            kept.add(column.name)
            remaining -= column.width + gap
    return [column for column in columns if column.name in kept]


def _text_column(name: str, rows: Sequence[Row]) -> LeaderboardColumn:
    return dataclasses.replace(_column(name, name, rows), is_left=True)


def _column(name: str, heading: str, rows: Sequence[Row]) -> LeaderboardColumn:
    """Return a column that is as wide as its values."""
    values = {row.value(name): row for row in rows}
    return LeaderboardColumn(name, heading, max([len(heading), *(len(row.text(name)) for row in values.values())]))


def setting(trial: Trial, name: str) -> str:
    """Return a hyperparameter's value as people read it; the default vocabulary size is a dash."""
    value = getattr(trial, name)
    return display.MISSING if name == "vocab_size" and not value else display.value(value)


def best_elsewhere(phases: Iterable[PhaseState], shown: PhaseState) -> str:
    """Name the best trial of all phases; the empty string if it is in the phase that is shown."""
    trials = [trial for phase in phases for trial in phase.current()]
    best, by = next(iter(rank(trials)), None), ranking_of(trials)
    if best is None or best.phase == shown.name:
        return ""
    return f"The best of all phases is {best.id} of {best.phase}: {METRICS[by].label} {best.metrics.value(by):.4f}."


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
        margin=None,
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


def tie_note(rows: Iterable[Row]) -> str:
    """Say what the mark of a tie means, with the margin that was applied; the empty string without ties."""
    margins = sorted({row.margin for row in rows if row.tied and row.margin is not None})
    if not margins:
        return ""
    span = " to ".join(display.loss(margin) for margin in dict.fromkeys((margins[0], margins[-1])))
    return f"= noise can explain the difference from the first row of that rank, up to {span}"


def _rank(ranked: Sequence[tuple[float, Row]], deviation: float | None) -> None:
    """Set rank and tie of sorted rows. Every row of a tie is compared with the first, so that ties do not chain."""
    first = 1
    for position, (value, row) in enumerate(ranked, 1):
        margin = 0.0
        first_value, first_row = ranked[first - 1]
        if deviation is not None:
            margin = TIE_SIGMAS * deviation * ((1 / row.seeds + 1 / first_row.seeds) / 2) ** 0.5
        if value - first_value > margin:
            first = position
        row.rank = position
        row.tie = first
        row.margin = None if first == position else margin
