"""The leaderboard's rows in the console: ranked, filtered, sorted and turned into cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from litegpt.analysis.evaluation_noise import evaluation_noise, noise_sample
from litegpt.analysis.leaderboard import LeaderboardColumn, Row, fit_columns, leaderboard, leaderboard_columns, varying
from litegpt.analysis.query import Query
from litegpt.display import spreadsheet_cell
from litegpt.results.metric import NO_METRICS
from litegpt.results.ranking import ranking_of
from litegpt.results.state import TrialState
from litegpt.study.phase import RANKINGS
from tui.charts.canvas import sparkline
from tui.feed import Feed
from tui.messages import TrialKey
from tui.widgets.table import Cell, Column

SPARK_CELLS = 10

RANK = Column("rank", "#", 5)
CURVE = LeaderboardColumn("curve", "val curve", SPARK_CELLS, is_left=True)

STATE_CELLS: dict[str, Cell] = {
    "queued": ("· queued", "dim"),
    "running": ("● running", "accent"),
    "done": ("done", ""),
    "diverged": ("✗ nan", "bad"),
    "failed": ("✗ failed", "bad"),
    "stopped": ("■ stopped", "warn"),
}


@dataclass(frozen=True)
class PromotionCut:
    """The cut of a promotion from the trials in the list."""

    top: int
    by: str
    target: str  # the phase into which it promotes


class Board:
    """The leaderboard of one phase or of all phases.

    Call `rank` when the trials or the step change, and `arrange` when the filter or the sorting changes.
    """

    def __init__(self, feed: Feed) -> None:
        self.rows: list[Row] = []
        # The hyperparameters that vary among the trials.
        self.hyperparameters: tuple[str, ...] = ()
        # The metric that compares between the trials, and the column by which the rows are sorted.
        self.best = ranking_of(())
        self.sort = self.best
        self.step: int | None = None
        self.phase: str | None = None
        self._feed = feed
        self._ranked: list[Row] = []
        # All columns, including those that do not fit.
        self._columns: list[LeaderboardColumn] = []
        self._records: list[dict[str, object]] | None = None
        self._noise: dict[tuple[str | None, str], float | None] = {}
        self._sparks: dict[TrialKey, tuple[int, str]] = {}
        self._places: dict[TrialKey, int] = {}

    @property
    def total(self) -> int:
        """The number of rows without the filter."""
        return len(self._ranked)

    @property
    def column_names(self) -> list[str]:
        """All columns except the rank."""
        return [column.name for column in self._columns]

    def rank(self, phase: str | None, by: str | None, step: int | None) -> None:
        """Rank the trials of a phase as they were at a step; None means all phases, or now.

        If `by` ranks nothing, the metric that compares between the trials is used.
        """
        self.phase, self.step = phase, step
        phases = [self._feed.state.phases[phase]] if phase in self._feed.state.phases else None
        trials = [trial for p in phases or self._feed.state.phases.values() for trial in p.current()]
        trials = [self._as_of(trial, step) for trial in trials]
        self.best = ranking_of(trials)
        by = by if by in RANKINGS else self.best
        vocab = self._feed.state.corpus.vocab_size if self._feed.state.corpus else None
        seeds = len({trial.settings.seed for trial in trials}) > 1
        noise = self._metric_noise(phase, by, trials)
        self._ranked = leaderboard(trials, by, n_symbols=vocab, noise=noise, group_seeds=seeds)
        self.hyperparameters = tuple(name for name in varying(self._ranked) if name != "seed")
        columns = [c for c in leaderboard_columns(self._ranked, by) if c.name not in ("rank", "id")]
        states = [len(state_cell(row)[0]) for row in self._ranked]
        self._columns = [replace(c, width=max([5, *states])) if c.name == "state" else c for c in columns] + [CURVE]
        self._records = None

    def arrange(self, sort: str | None, descending: bool, query: Query) -> None:
        """Filter the rows and sort them by a column, or by the metric that compares between the trials."""
        rows, sort = self._ranked, sort or self.best
        self.sort = sort
        if query.terms:
            if self._records is None:
                self._records = [row.record() for row in rows]
            rows = [row for row, record in zip(rows, self._records, strict=True) if query.holds(record)]
        if sort not in RANKINGS or sort == "seconds":
            known = [(found, index) for index, row in enumerate(rows) if (found := row.value(sort)) is not None]
            order = [index for _, index in sorted(known)]
            missing = sorted(set(range(len(rows))) - set(order))
            rows = [rows[index] for index in (order[::-1] if descending else order) + missing]
        elif descending:
            ranked = [row for row in rows if row.rank is not None]
            rows = ranked[::-1] + [row for row in rows if row.rank is None]
        self.rows = rows
        self._places = {key: index for index, row in enumerate(rows) for key in keys_of(row)}

    def place(self, key: TrialKey | None) -> int | None:
        """Return the row of a trial, None if it is filtered out."""
        return None if key is None else self._places.get(key)

    def columns(self, width: int, hidden: Sequence[str]) -> list[Column]:
        """Return the columns that fit, without those that the user has hidden."""
        columns = [column for column in self._columns if column.name not in hidden]
        fitting = fit_columns(columns, width - RANK.width - 1)
        return [RANK, *(Column(column.name, column.heading, column.width, column.is_left) for column in fitting)]

    def cells(self, row: Row, columns: Sequence[Column], promoted: set[TrialKey], marks: set[TrialKey]) -> list[Cell]:
        """Return a row's cells."""
        return [self._cell(row, column, promoted, marks) for column in columns]

    def text(self, columns: Sequence[Column]) -> str:
        """Return the rows as tab-separated text with a line of column names."""
        names = [column.name for column in columns if column.name != "curve"]
        records = [row.record() for row in self.rows]
        lines = [names]
        for record in records:
            lines.append(["" if record.get(n) is None else str(spreadsheet_cell(record[n])) for n in names])
        return "".join("\t".join(line) + "\n" for line in lines)

    def _cell(self, row: Row, column: Column, promoted: set[TrialKey], marks: set[TrialKey]) -> Cell:
        name = column.name
        if name == "rank":
            keys = keys_of(row)
            sign = "◆" if not marks.isdisjoint(keys) else "▲" if not promoted.isdisjoint(keys) else " "
            return f"{sign}{row.place:>4}", "accent" if sign == "◆" else "strong" if row.rank == 1 else ""
        if name == "state":
            return state_cell(row)
        if name == "curve":
            return self._spark(keys_of(row)[0]), "dim"
        if name == "phase":
            return row.phase, "dim"
        return row.text(name), "strong" if name == self.best else ""

    def _spark(self, key: TrialKey) -> str:
        curve = self._feed.curve(key)
        if curve is None:
            return ""
        known = self._sparks.get(key)
        if known is None or known[0] != len(curve):
            known = self._sparks[key] = (len(curve), sparkline(curve.steps, curve.val_loss, SPARK_CELLS))
        return known[1]

    def _as_of(self, trial: TrialState, step: int | None) -> TrialState:
        """Return a trial with the metrics of a step; a running trial has those of its last evaluation."""
        if step is None and trial.state != "running":
            return trial
        curve = self._feed.curve((trial.phase, trial.id))
        if curve is None or not len(curve):
            return trial if step is None or not trial.is_ended else replace(trial, metrics=NO_METRICS)
        return trial.at(math.inf if step is None else step, curve)

    def _metric_noise(self, phase: str | None, by: str, trials: Sequence[TrialState]) -> float | None:
        """Return the noise of a metric once enough curves have been read, and remember it."""
        if (phase, by) not in self._noise:
            curves = [self._feed.curve((trial.phase, trial.id)) for trial in noise_sample(trials, by)]
            read = [curve for curve in curves if curve is not None]
            if not read or len(read) < len(curves):
                return None
            self._noise[phase, by] = evaluation_noise(read, by)
        return self._noise[phase, by]


def keys_of(row: Row) -> list[TrialKey]:
    """List the trials of a row, the best first."""
    return [(row.phase, trial_id) for trial_id in (row.id, *(other for other in row.ids if other != row.id))]


def state_cell(row: Row) -> Cell:
    """Return the cell of a state, with the later end of a trial that is shown as of an earlier step."""
    if row.later is None:
        return STATE_CELLS[row.state]
    text, role = STATE_CELLS[row.later]
    return f"{text} later", role
