"""Tab 5: importance of the hyperparameters."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.timer import Timer

from litegpt import display
from litegpt.analysis.design import TARGETS, comparable_targets, target_label
from litegpt.display import inert
from litegpt.results.state import TrialState
from tui.importance.answering import Answerer
from tui.importance.answers import METHODS, Answer, Method, Question
from tui.importance.bars import Bars
from tui.messages import FeedChanged
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import copy_text, literal
from tui.widgets.table import Cell, Column, Table, fitting

if TYPE_CHECKING:
    from litegpt.analysis.importance import Score

COLUMNS = (
    Column("name", "hyperparameter", 15, is_left=True),
    Column("f", "F", 7),
    Column("p", "p", 7),
    Column("information", "MI, nats", 8),
    Column("pearson", "Pearson r", 9),
)
# While trials end, an answer is computed again only after this time.
FRESH_SECONDS = 15.0


class ImportanceScreen(StudyScreen):
    """The importance for a target by a method, and the scores of one hyperparameter at a time."""

    TAB = "importance"
    HELP = (
        "Which hyperparameters the target depends on: by a random forest, as in the original study; by permutation, "
        "with intervals; by an exact analysis of variance if the grid is complete. The table scores one "
        "hyperparameter at a time: F and its p-value, mutual information in nats, Pearson's correlation."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "target(1)", "Target", tooltip="Next target", id="importance.target"),
        Binding("m", "method(1)", "Method", tooltip="Forest, permutation or ANOVA", id="importance.method"),
        Binding("M", "method(-1)", "Previous method", show=False, id="importance.method_before"),
        Binding("full_stop", "phase(1)", "Phase", key_display=".", tooltip="Next phase", id="importance.phase"),
        Binding("comma", "phase(-1)", "Previous phase", show=False, id="importance.phase_before"),
        Binding("y", "copy", "Copy", tooltip="Copy the values, and write them to a file", id="importance.copy"),
    ]

    @dataclass
    class Answered(Message):
        """An answer is ready."""

        question: Question
        answer: Answer

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._answerer = Answerer()
        self._answers: dict[Question, Answer] = {}
        self._targets = comparable_targets(())
        self._shown = Answer()
        # The question that is being answered.
        self._asked: Question | None = None
        self._answered_at = 0.0
        self._later: Timer | None = None

    def compose_panes(self) -> ComposeResult:
        with Container(id="importance-row"):
            for method in METHODS:
                yield Bars(id=f"bars-{method}", classes="pane")
            yield Table(self._cells, id="scores")

    def on_mount(self) -> None:
        self._bars(self._question(0).method).focus()

    def on_unmount(self) -> None:
        self._answerer.close()

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.state:
            self._show()

    @on(Table.Resized, "#scores")
    def _resized(self) -> None:
        self._show()

    def _trials(self) -> list[TrialState]:
        """Return the finished trials of the selected phase, or of all phases."""
        phases = self.feed.state.phases
        if self.view.phase not in phases:
            self.view.phase = None
        selected = phases.values() if self.view.phase is None else [phases[self.view.phase]]
        return [trial for phase in selected for trial in phase.current() if trial.state == "done"]

    def _question(self, done: int) -> Question:
        chosen = self.view.of(self.TAB)
        target = next((name for name in self._targets if name == chosen.get("target")), next(iter(self._targets)))
        method: Method = next((name for name in METHODS if name == chosen.get("method")), "forest")
        return Question(self.view.phase, target, method, done)

    def _show(self) -> None:
        """Show the answer of the chosen method; a huge screen shows the answers of all methods."""
        trials = self._trials()
        self._targets = comparable_targets(self.feed.state.trials())
        question = self._question(len(trials))
        methods = list(METHODS) if self.has_class("-huge") else [question.method]
        for method in METHODS:
            self._bars(method).display = method in methods
            if method in methods:
                self._show_answer(question._replace(method=method), trials)
        latest = self._last_answer(question) if trials else None
        self._shown = latest or Answer()
        table = self.query_one("#scores", Table)
        target = question.target if len(TARGETS[question.target]) == 1 else "loss"
        table.border_title = f"single hyperparameters · {target_label(target)}"
        table.empty = "not enough data" if self._shown.problem or not trials else "" if latest else "computing…"
        table.show(fitting(COLUMNS, table.content_size.width), len(self._shown.scores))

    def _show_answer(self, question: Question, trials: Sequence[TrialState]) -> None:
        """Show an answer. Without one, ask, and meanwhile show the answer for fewer trials if there is one."""
        bars, exact = self._bars(question.method), self._answers.get(question)
        latest = exact or self._last_answer(question)
        bars.border_title = self._title(question)
        bars.border_subtitle = "" if exact or not latest else "more trials have ended: computing again"
        if not trials:
            bars.say(self._empty_text())
        elif latest is None:
            bars.say(f"Computing the {METHODS[question.method]} importance of {question.done:,} trials…")
            self._ask(question, trials)
        else:
            bars.show(latest)
            if not exact:
                self._ask_later(question, trials)

    def _bars(self, method: Method) -> Bars:
        return self.query_one(f"#bars-{method}", Bars)

    def _last_answer(self, question: Question) -> Answer | None:
        same = [asked for asked in self._answers if asked[:3] == question[:3]]
        return self._answers[max(same, key=lambda asked: asked.done)] if same else None

    def _title(self, question: Question) -> str:
        parts = (target_label(question.target), METHODS[question.method], inert(question.phase or "all phases"))
        return literal(" · ".join((*parts, f"{question.done:,} trials")))

    def _empty_text(self) -> str:
        if self.feed.state.phases:
            return "Not enough data: no trial is finished yet."
        return self.invitation

    def _ask(self, question: Question, trials: Sequence[TrialState]) -> None:
        """Start answering a question, unless another one is being answered; `_show` then asks again."""
        if self._asked is None:
            self._asked = question
            others = (self._answers.get(question._replace(method=method)) for method in METHODS)
            self._answer_in_thread(question, trials, next((other.scores for other in others if other), ()))

    def _ask_later(self, question: Question, trials: Sequence[TrialState]) -> None:
        """Ask again some time after the last answer, because many trials may end every second."""
        left = self._answered_at + FRESH_SECONDS - time.monotonic()
        if left <= 0:
            self._ask(question, trials)
        elif self._later is None:
            self._later = self.set_timer(left, self._ask_again)

    def _ask_again(self) -> None:
        self._later = None
        if self.is_current:
            self._show()

    @work(thread=True, group="importance", exit_on_error=False)
    def _answer_in_thread(self, question: Question, trials: Sequence[TrialState], scores: tuple[Score, ...]) -> None:
        result = Answer(problem="this cannot be computed")
        try:
            result = self._answerer.ask(question, trials, scores)
        finally:
            self.post_message(self.Answered(question, result))

    def on_importance_screen_answered(self, message: Answered) -> None:
        self._asked, self._answered_at = None, time.monotonic()
        self._answers[message.question] = message.answer
        self._show()

    def _cells(self, row: int) -> list[Cell]:
        score = self._shown.scores[row]
        cells = [
            (inert(score.name), ""),
            (display.number(score.f, ",.1f"), "strong"),
            (display.number(score.p, ".1g"), "dim"),
            (display.number(score.mutual_information, ".3f"), ""),
            (display.number(score.pearson, "+.3f"), ""),
        ]
        return cells[: len(self.query_one("#scores", Table).columns)]

    def action_target(self, by: int) -> None:
        """Select the next target."""
        self._turn("target", list(self._targets), self._question(0).target, by)

    def action_method(self, by: int) -> None:
        """Select the next method."""
        self._turn("method", list(METHODS), self._question(0).method, by)

    def _turn(self, key: str, choices: Sequence[str], chosen: str, by: int) -> None:
        self.view.of(self.TAB)[key] = choices[(choices.index(chosen) + by) % len(choices)]
        self._show()
        if isinstance(self.focused, Bars):
            self._bars(self._question(0).method).focus()

    def action_phase(self, by: int) -> None:
        """Select the next phase; after the last, all phases."""
        self.step_phase(by)
        self._show()

    def action_copy(self) -> None:
        """Copy the bars and the table as tab-separated text."""
        if not self._shown.bars:
            self.notify("there is nothing to copy yet", severity="warning")
            return
        lines = ["factor\tvalue\tlow\thigh"]
        for bar in self._shown.bars:
            numbers = ("" if number is None else f"{number:.6g}" for number in (bar.value, bar.low, bar.high))
            lines.append("\t".join((inert(bar.name), *numbers)))
        lines += ["", "hyperparameter\tF\tp\tmutual_information\tpearson"]
        for score in self._shown.scores:
            row = (score.f, score.p, score.mutual_information, score.pearson)
            lines.append("\t".join((inert(score.name), *(display.number(number, ".6g") for number in row))))
        copy_text(self.app, "importance.tsv", "\n".join(lines) + "\n")
