"""The rows of the leaderboard: ranked, filtered, sorted, and as cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from litegpt import display
from litegpt.analysis.evaluation_noise import evaluation_noise
from litegpt.analysis.leaderboard import Row, leaderboard, varying
from litegpt.analysis.query import Query
from litegpt.results.metric import NO_METRICS
from litegpt.results.ranking import ranking_of
from litegpt.results.state import TrialState
from litegpt.study.phase import RANKINGS
from litegpt.study.trial import HYPERPARAMETERS, MINOR
from tui.feed import Feed
from tui.leaderboard.sparkline import sparkline
from tui.messages import TrialKey
from tui.widgets.table import Cell, Column

NOISE_CURVES = 48
SPARK_CELLS = 10

RANK = Column("rank", "#", 5)
FIGURES = {
    "parameters": Column("parameters", "params", 6),
    "train_loss": Column("train_loss", "train", 6),
    "val_loss": Column("val_loss", "val", 6),
    "best_val_loss": Column("best_val_loss", "best val", 8),
    "best_bits_per_char": Column("best_bits_per_char", "bits/char", 9),
    "best_val_step": Column("best_val_step", "at step", 7),
    "gap": Column("gap", "gap", 6),
    "final_loss": Column("final_loss", "final", 6),
    "seconds": Column("seconds", "time", 8),
    "tokens_per_second": Column("tokens_per_second", "tok/s", 6),
    "state": Column("state", "state", 9, is_left=True),
    "curve": Column("curve", "val curve", SPARK_CELLS, is_left=True),
}
IN_NATS = {"best_val_loss": "nats/token", "train_loss": "train nats", "val_loss": "val nats", "final_loss": "last nats"}
"""The headings of losses beside bits per character, with which they do not compare."""
LEAST_WANTED = (
    *("tokens_per_second", "final_loss", *MINOR, "seconds", "parameters", "train_loss", "gap"),
    *("val_loss", "curve", "best_val_step", "phase", "state"),
)
"""What goes first where the screen is narrow; where tokens differ, losses go before all of it."""

STATE_CELLS: dict[str, Cell] = {
    "queued": ("· queued", "dim"),
    "running": ("● running", "accent"),
    "done": ("done", ""),
    "diverged": ("✗ nan", "bad"),
    "failed": ("✗ failed", "bad"),
    "stopped": ("■ stopped", "warn"),
}


@dataclass(frozen=True)
class Cut:
    """Where a promotion cuts this list."""

    top: int
    by: str
    target: str  # the phase it leads to


class Board:
    """The leaderboard of one phase, or of all. `rank` after the trials or the step change, `arrange` after the rest."""

    def __init__(self, feed: Feed) -> None:
        self.rows: list[Row] = []  # as shown
        self.hyperparameters: tuple[str, ...] = ()  # those that vary
        self.best = self.sort = ranking_of(())  # the figure that suits the trials, and the column they are sorted by
        self.step: int | None = None
        self.phase: str | None = None
        self._feed = feed
        self._ranked: list[Row] = []
        self._has_other_tokens = False  # than characters
        self._records: list[dict[str, object]] | None = None
        self._noise: dict[tuple[str | None, str], float | None] = {}
        self._sparks: dict[TrialKey, tuple[int, str]] = {}
        self._places: dict[TrialKey, int] = {}

    @property
    def total(self) -> int:
        """How many rows there are without the filter."""
        return len(self._ranked)

    @property
    def figures(self) -> dict[str, Column]:
        """The columns of figures; bits per character say nothing more than losses where tokens are characters."""
        known = {name: FIGURES[name] for name in FIGURES if name != "best_bits_per_char" or self._has_other_tokens}
        if self._tokens_differ:
            known |= {name: Column(name, heading, max(6, len(heading))) for name, heading in IN_NATS.items()}
        return known

    @property
    def _tokens_differ(self) -> bool:
        return self.best == "best_bits_per_char"

    def rank(self, phase: str | None, by: str | None, step: int | None) -> None:
        """Rank a phase's trials (of all phases: None), as they were at a step (now: None).

        By what suits the trials where `by` is no ranking.
        """
        self.phase, self.step = phase, step
        phases = [self._feed.state.phases[phase]] if phase in self._feed.state.phases else None
        trials = [trial for p in phases or self._feed.state.phases.values() for trial in p.current()]
        trials = [self._as_of(trial, step) for trial in trials]
        self.best = ranking_of(trials)
        by = by if by in RANKINGS else self.best
        self._has_other_tokens = any(trial.settings.tokenizer != "char" for trial in trials)
        vocab = self._feed.state.corpus.vocab_size if self._feed.state.corpus else None
        seeds = len({trial.settings.seed for trial in trials}) > 1
        noise = self._figure_noise(phase, by, trials)
        self._ranked = leaderboard(trials, by, n_symbols=vocab, noise=noise, group_seeds=seeds)
        self.hyperparameters = tuple(name for name in varying(self._ranked) if name != "seed")
        self._records = None

    def arrange(self, sort: str | None, descending: bool, query: Query) -> None:
        """Filter the rows and sort them by a column, or by the figure that suits the trials."""
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
        """Return the row a trial is on, None where it is filtered out."""
        return None if key is None else self._places.get(key)

    def columns(self, width: int, hidden: Sequence[str]) -> list[Column]:
        """Return the columns that fit, without those the user has hidden."""
        columns = {name: self._column(name) for name in self.hyperparameters}
        if self.phase is None:
            longest = max((len(name) for name in self._feed.state.phases), default=5)
            columns = {"phase": Column("phase", "phase", min(12, max(5, longest)), is_left=True), **columns}
        states = [len(STATE_CELLS[state][0]) for state in {row.state for row in self._ranked}]
        columns |= self.figures | {"state": Column("state", "state", max((5, *states)), is_left=True)}
        columns = {name: column for name, column in columns.items() if name not in hidden}
        room = width - RANK.width  # the last column has no space after it
        losses = [*IN_NATS, "gap"] if self._tokens_differ else []
        dropped = [name for name in dict.fromkeys((*losses[::-1], *LEAST_WANTED)) if name in columns]
        shown = {name for name in columns if name not in dropped}
        room -= sum(columns[name].width + 1 for name in shown)
        for name in reversed(dropped):  # the most wanted first, and whatever still fits after it
            if columns[name].width < room:
                shown.add(name)
                room -= columns[name].width + 1
        return [RANK, *(column for name, column in columns.items() if name in shown)]

    def cells(self, row: Row, columns: Sequence[Column], promoted: set[TrialKey], marks: set[TrialKey]) -> list[Cell]:
        """Return a row's cells."""
        return [self._cell(row, column, promoted, marks) for column in columns]

    def text(self, columns: Sequence[Column]) -> str:
        """Return the rows shown as tab-separated text, under the names of the columns."""
        names = [column.name for column in columns if column.name != "curve"]
        records = [row.record() for row in self.rows]
        lines = [names, *(["" if record.get(n) is None else str(record[n]) for n in names] for record in records)]
        return "".join("\t".join(line) + "\n" for line in lines)

    def _cell(self, row: Row, column: Column, promoted: set[TrialKey], marks: set[TrialKey]) -> Cell:
        name = column.name
        if name == "rank":
            keys = keys_of(row)
            sign = "◆" if not marks.isdisjoint(keys) else "▲" if not promoted.isdisjoint(keys) else " "
            return f"{sign}{row.place:>4}", "accent" if sign == "◆" else "strong" if row.rank == 1 else ""
        if name == "state":
            return STATE_CELLS[row.state]
        if name == "curve":
            return self._spark(keys_of(row)[0]), "dim"
        if name == "phase":
            return row.phase, "dim"
        return show(row.value(name), name), "strong" if name == self.best else ""

    def _spark(self, key: TrialKey) -> str:
        curve = self._feed.curve(key)
        if curve is None:
            return ""
        known = self._sparks.get(key)
        if known is None or known[0] != len(curve):
            known = self._sparks[key] = (len(curve), sparkline(curve, SPARK_CELLS))
        return known[1]

    def _column(self, name: str) -> Column:
        """Return the column of a hyperparameter, as wide as its values."""
        heading = HYPERPARAMETERS[name].heading
        values = {getattr(row.settings, name) for row in self._ranked}
        return Column(name, heading, max(len(heading), *(len(show(value, name)) for value in values)))

    def _as_of(self, trial: TrialState, step: int | None) -> TrialState:
        """Return a trial with the figures of a step, or with those of its last evaluation while it runs."""
        if step is None and trial.state != "running":
            return trial
        curve = self._feed.curve((trial.phase, trial.id))
        if curve is None or not len(curve):
            return trial if step is None or not trial.is_ended else dataclasses.replace(trial, metrics=NO_METRICS)
        return trial.at(math.inf if step is None else step, curve)

    def _figure_noise(self, phase: str | None, by: str, trials: Sequence[TrialState]) -> float | None:
        """Return the noise of the figure, from a few dozen curves that have been read; what was found stays."""
        if (phase, by) not in self._noise:
            curves = [self._feed.curve((trial.phase, trial.id)) for trial in trials[:NOISE_CURVES]]
            read = [curve for curve in curves if curve is not None]
            if not read or len(read) < len(curves):
                return None
            self._noise[phase, by] = evaluation_noise(read, by)
        return self._noise[phase, by]


def keys_of(row: Row) -> list[TrialKey]:
    """Return the trials of a row, the best first."""
    return [(row.phase, trial_id) for trial_id in (row.id, *(other for other in row.ids if other != row.id))]


def show(value: float | str | None, name: str) -> str:
    """Return a value in a few cells."""
    if value is None or (name == "vocab_size" and not value):
        return "-"
    if isinstance(value, str):
        return value
    if name == "parameters":
        return display.short_count(value)
    if name == "seconds":
        return display.duration(value)
    if name == "tokens_per_second":
        return display.short_count(value)
    if name == "best_val_step":
        return f"{value:,}"
    if name == "gap":
        return f"{value:+.3f}" if abs(value) < 10 else f"{value:+.1f}"
    if name in RANKINGS or name == "bits_per_char":
        return f"{value:.3f}" if value < 100 else f"{value:.1f}"
    return f"{value:g}"
