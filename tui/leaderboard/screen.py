"""Tab 2: all trials, ranked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from litegpt.display import inert
from litegpt.results.state import StudyState
from litegpt.study.phase import RANKINGS
from tui.leaderboard.board import Board, PromotionCut, keys_of
from tui.leaderboard.detail import Detail
from tui.leaderboard.filter_line import FilterLine
from tui.leaderboard.marked_table import MarkedTable
from tui.messages import FeedChanged, TrialKey
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import copy_text, literal
from tui.themes import series_colours
from tui.widgets.chart import Chart
from tui.widgets.table import Cell, Column, Table

# Running trials change ranks at most this often.
RANK_SECONDS = 2.0
# The details follow the cursor after this time, so that a held key does not wait for them.
DETAIL_SECONDS = 0.06


class LeaderboardScreen(StudyScreen):
    """All trials of a phase or of the study: sort, filter, mark and promote them."""

    TAB = "leaderboard"
    HELP = (
        "All trials, the best first. '=3': statistically tied with rank 3. ◆ marked, ▲ promoted to a later phase; the "
        "underlined row is the last one that the study file promotes. The filter takes terms such as lr>=3e-4 "
        "n_layer:4 state:done -batch_size:32, free words, and @500 to show the ranking as of step 500. "
        "Trials with different tokenizers are ranked by bits per character."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="leaderboard.filter"),
        Binding("s", "sort(1)", "Sort", tooltip="Sort by the next column", id="leaderboard.sort"),
        Binding("less_than_sign", "sort(-1)", "Sort by the previous column", show=False, id="leaderboard.sort_before"),
        Binding("S", "reverse", "Reverse the order", show=False, id="leaderboard.reverse"),
        Binding("full_stop", "phase(1)", "Phase", key_display=".", tooltip="The next phase", id="leaderboard.phase"),
        Binding("comma", "phase(-1)", "Previous phase", show=False, id="leaderboard.phase_before"),
        Binding("c", "columns", "Columns", tooltip="Choose columns", show=False, id="leaderboard.columns"),
        Binding("p", "promote", "Promote", id="leaderboard.promote"),
        Binding(
            "y", "copy", "Copy", tooltip="Copy the rows, and write them to a file", show=False, id="leaderboard.copy"
        ),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.board = Board(self.feed)
        self._columns: Sequence[Column] = ()
        self._ranked_at = 0.0
        self._ranked_state: StudyState | None = None
        self._promoted: set[TrialKey] = set()
        self._cut: PromotionCut | None = None
        self._detail_timer: Timer | None = None

    def compose_panes(self) -> ComposeResult:
        yield FilterLine(self.view.filter, id="filter")
        with Horizontal(id="board-row"):
            yield MarkedTable(self._cells, self._flags, id="board")
            yield Detail(id="detail", classes="pane")

    def on_mount(self) -> None:
        self.query_one(Table).focus()

    def show_feed(self, changed: FeedChanged) -> None:
        moves = changed.curves and (self.board.step is not None or any(map(self._is_running, changed.curves)))
        is_new = changed.state and self._ranked_state is not self.feed.state
        if is_new or (moves and time.monotonic() - self._ranked_at > RANK_SECONDS):
            self._rank()
        elif changed.study or changed.state:
            self._arrange()
        elif not self._on_screen().isdisjoint(changed.curves):
            self.query_one(Table).refresh_changed()
        if self.view.focus in changed.curves | changed.samples:
            self._show_detail()

    @on(Table.Resized, "#board")
    def _resized(self) -> None:
        self._arrange()

    @property
    def _filter(self) -> FilterLine:
        return self.query_one(FilterLine)

    def _is_running(self, key: TrialKey) -> bool:
        trial = self.feed.trial(key)
        return trial is not None and trial.state == "running"

    def _rank(self) -> None:
        """Rank the trials again and show them."""
        self._ranked_at, self._ranked_state = time.monotonic(), self.feed.state
        if self.view.phase is not None and self.view.phase not in self.feed.state.phases:
            self.view.phase = None
        step = self.view.step if (step := self._filter.query_typed.step) is None else step
        self.board.rank(self.view.phase, self.view.sort, step)
        phases = self.feed.state.phases.values()
        self._promoted = {(p.promotion.source, trial) for p in phases if p.promotion for trial in p.promoted}
        self._arrange()

    def _arrange(self) -> None:
        """Filter, sort and show the ranked rows; the cursor stays on its trial."""
        self._cut = self._find_cut()
        table, view = self.query_one(Table), self.view
        self.board.arrange(view.sort, view.descending, self._filter.query_typed)
        self._columns = self.board.columns(max(20, table.content_size.width), view.of(self.TAB).get("hidden", []))
        row = self.board.place(view.focus)
        table.empty = self._empty_text()
        table.show(self._columns, len(self.board.rows), cursor=row, sorted_by=self.board.sort)
        table.border_title = self._title()
        table.border_subtitle = self._subtitle()
        if row is None and self.board.rows:
            view.focus = keys_of(self.board.rows[table.cursor])[0]
        self.feed.want(self._on_screen())
        self._show_detail()

    def _on_screen(self) -> set[TrialKey]:
        """Return the trials whose rows are visible."""
        return {keys_of(self.board.rows[row])[0] for row in self.query_one(Table).rows_on_screen}

    def _title(self) -> str:
        listed, total = len(self.board.rows), self.board.total
        trials = f"{listed:,} of {total:,} trials" if listed < total else f"{total:,} trials"
        step = "" if self.board.step is None else f" · as of step {self.board.step:,}"
        return literal(f"{inert(self.view.phase or 'all phases')} · {trials}{step}")

    def _subtitle(self) -> str:
        marks = f"{len(self.view.marks)} marked" if self.view.marks else ""
        cut = f"{self._cut.target} promotes the {self._cut.top} best by {self._cut.by}" if self._cut else ""
        return literal(" · ".join(filter(None, (marks, cut))))

    def _empty_text(self) -> str:
        if self.board.total:
            return "No trial matches the filter; / changes it, esc removes it."
        if self.feed.location.study_path is None:
            return self.invitation
        return "No trials yet: r runs the study."

    def _find_cut(self) -> PromotionCut | None:
        """Return the study file's promotion from this phase."""
        for phase in self.feed.study.phases if self.feed.study else ():
            if phase.promotion is not None and phase.promotion.source == self.view.phase:
                return PromotionCut(phase.promotion.top, phase.promotion.by, phase.name)
        return None

    def _cells(self, row: int) -> list[Cell]:
        return self.board.cells(self.board.rows[row], self._columns, self._promoted, self.view.marks)

    def _flags(self, index: int) -> str:
        row = self.board.rows[index]
        flags = ["marked"] if not self.view.marks.isdisjoint(keys_of(row)) else []
        if self._cut is not None and self.board.sort == self._cut.by and row.rank == self._cut.top:
            flags.append("cut")
        return " ".join(flags)

    @on(Table.Moved, "#board")
    def _follow(self, event: Table.Moved) -> None:
        self.view.focus = keys_of(self.board.rows[event.row])[0]
        self.feed.want(self._on_screen())
        if self._detail_timer is not None:
            self._detail_timer.stop()
        self._detail_timer = self.set_timer(DETAIL_SECONDS, self._show_detail)

    def _show_detail(self) -> None:
        detail = self.query_one(Detail)
        key, row = self.view.focus, self.board.place(self.view.focus)
        if detail.styles.display != "none" and key is not None and row is not None:
            detail.show(
                self.board.rows[row],
                self.feed.trial(key),
                self.feed.curve(key),
                self.feed.samples(key),
                self.board.hyperparameters,
                series_colours(self.app),
                self.feed.baseline,
            )

    @on(Table.Opened, "#board")
    def _open(self) -> None:
        self.add_class("-detail")
        self.call_after_refresh(self._show_detail)
        self.query_one(Detail).focus()

    @on(Chart.CursorMoved, "#detail-chart")
    def _travel(self, event: Chart.CursorMoved) -> None:
        """Show the ranking as of the step at the chart's cursor."""
        self.view.step = None if event.x is None else int(event.x)
        self._rank()

    def action_back(self) -> None:
        """Leave one layer: the zoom, the range, the earlier step, the details, then the filter."""
        if self.maximized is not None:
            self.minimize()
        elif self.query_one(MarkedTable).leave_range():
            pass
        elif self.view.step is not None:
            self.query_one("#detail-chart", Chart).action_reset()
            self.view.step = None
            self._rank()
        elif self.has_class("-detail") or self.focused not in (self.query_one(Table), self._filter):
            self.remove_class("-detail")
            self.query_one(Table).focus()
        elif self._filter.clear_filter():
            self.query_one(Table).focus()

    def action_filter(self) -> None:
        """Type a filter."""
        self._filter.open()

    @on(FilterLine.Filtered)
    def _filtered(self, event: FilterLine.Filtered) -> None:
        if event.problem is not None:
            self.query_one(Table).border_subtitle = literal(event.problem)
            return
        self.view.filter = event.text
        if event.query.step != self.board.step:
            self._rank()
        else:
            self._arrange()

    @on(FilterLine.Submitted)
    def _filter_typed(self) -> None:
        self.query_one(Table).focus()

    def action_sort(self, by: int) -> None:
        """Sort by the next column."""
        names = [column.name for column in self._columns if column.name not in ("rank", "curve")]
        index = names.index(self.board.sort) if self.board.sort in names else -1
        self._sort(names[(index + by) % len(names)])

    def action_reverse(self) -> None:
        self.view.descending = not self.view.descending
        self._arrange()

    @on(Table.HeadingClicked, "#board")
    def _heading_clicked(self, event: Table.HeadingClicked) -> None:
        if event.column == self.board.sort:
            self.action_reverse()
        elif event.column != "curve":
            self._sort(None if event.column == "rank" else event.column)

    def _sort(self, name: str | None) -> None:
        self.view.sort, self.view.descending = name, False
        if name is None or name in RANKINGS:
            # The ranks follow this metric.
            self._rank()
        else:
            self._arrange()

    def action_phase(self, by: int) -> None:
        """Show the next phase; after the last, all phases."""
        self.step_phase(by)
        self._rank()

    def action_columns(self) -> None:
        """Choose the columns."""
        hidden = set(self.view.of(self.TAB).get("hidden", []))

        def chosen(result: list[str] | None) -> None:
            if result is not None:
                self.view.of(self.TAB)["hidden"] = result
                self._arrange()

        from tui.leaderboard.columns import ColumnsScreen

        self.app.push_screen(ColumnsScreen(self.board.column_names, hidden), chosen)

    @on(MarkedTable.Toggled, "#board")
    def _toggle(self, event: MarkedTable.Toggled) -> None:
        keys = {key for row in event.rows for key in keys_of(self.board.rows[row])}
        self.view.marks = self.view.marks - keys if keys <= self.view.marks else self.view.marks | keys
        table = self.query_one(Table)
        table.border_subtitle = self._subtitle()
        table.refresh_changed()

    def action_promote(self) -> None:
        """Open the dialog that promotes the marked trials, or the best ones."""
        phase = self.view.phase or (self.view.focus[0] if self.view.focus else None)
        if phase is None:
            self.notify("there is nothing to promote yet", severity="warning")
            return
        marked = [key for row in self.board.rows for key in keys_of(row) if key in self.view.marks and key[0] == phase]
        by = self.view.sort if self.view.sort in RANKINGS else None
        from tui.promotion.screen import PromotionScreen

        self.app.push_screen(PromotionScreen(self.session, phase, marked, by))

    def action_copy(self) -> None:
        """Copy the listed rows as tab-separated text."""
        copy_text(self.app, "leaderboard.tsv", self.board.text(self._columns))
