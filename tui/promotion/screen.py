"""The dialog that makes a new phase of the best trials, or of the marked ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from litegpt.analysis.promote import LONGER, PER_TOKEN, exclusion_reasons, preview_promotion
from litegpt.display import duration, inert, short_range
from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count, training_flops
from litegpt.results.forecast import Forecast
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.state import TrialState
from litegpt.study.document import read_text
from litegpt.study.edit.append import append_chosen
from litegpt.study.edit.phase_text import free_phase_name
from litegpt.study.edit.save import save
from litegpt.study.expand import expand
from litegpt.study.phase import PROMOTION_MODES, RANKINGS, STARTS, Exclusion, Promotion
from litegpt.study.study import parse_study
from litegpt.study.trial import HYPERPARAMETERS, Trial, tokens_differ
from tui.actions import may_change, run_study
from tui.dialogs.confirm import ConfirmScreen
from tui.messages import TrialKey
from tui.promotion.choices import Choice, Choices
from tui.session import Session
from tui.terminal import literal
from tui.trials import reasons_text

TOP = 5
BEST, MARKED = "the best", "the marked"
SHOWN_VALUES = 6
REASON_LINES = 3


@dataclass(frozen=True)
class Outcome:
    """What the dialog would write and lead to."""

    name: str
    trials: tuple[Trial, ...]
    excluded: Sequence[Exclusion]
    rule: str
    original: str  # the file as read
    text: str  # the file as it would be
    unfinished: int = 0


class PromotionScreen(ModalScreen[None]):
    """A preview that follows every choice; enter writes the phase into the study file."""

    HELP = (
        "A new phase of a phase's best trials. narrow: their values span a new grid; exact: those trials themselves. "
        "A rule (the best 5 by ...) is written as one; marked trials are written out."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "write", "Write into the study file", id="promotion.write"),
        Binding("escape,q", "close", "Back", id="promotion.close"),
        Binding("pagedown", "scroll(1)", "Scroll down", show=False, id="promotion.down"),
        Binding("pageup", "scroll(-1)", "Scroll up", show=False, id="promotion.up"),
    ]

    def __init__(self, session: Session, phase: str, marked: Sequence[TrialKey], by: str | None) -> None:
        super().__init__()
        self.session = session
        self._phase = phase
        self._marked = [key for key in marked if key[0] == phase]
        self._trials = Choice("trials", MARKED if self._marked else BEST, (BEST, MARKED) if self._marked else (BEST,))
        self._top = Choice("how many", str(len(self._marked) or TOP))
        self._by = Choice("ranked by", by or "", RANKINGS)
        self._how = Choice("how", "narrow", PROMOTION_MODES)
        self._start = Choice("start from", "scratch", STARTS)
        self._iterations = Choice("iterations", "")
        self._outcome: Outcome | None = None

    def compose(self) -> ComposeResult:
        lines = [self._trials, self._top, self._by, self._how, self._start, self._iterations]
        with VerticalScroll(id="promotion", classes="dialog", can_focus=False) as box:
            box.border_title = literal(f"Promote from {inert(self._phase)}")
            box.border_subtitle = "↑↓ line · ←→ value · enter writes it · esc goes back"
            yield Choices(lines, id="promotion-choices")
            yield Static(id="promotion-outcome")

    def on_mount(self) -> None:
        self._by.value = self._by.value or ranking_of(self._source())
        if not self._marked:
            self._top.value = str(min(TOP, len(self._done())) or TOP)
        longest = max((trial.settings.max_iters for trial in self._done()), default=0)
        self._iterations.value = str(LONGER * longest) if longest else ""
        self._iterations.note = f"those of {inert(self._phase)} took {longest:,}" if longest else ""
        self.query_one(Choices).focus()
        self._follow()

    def _source(self) -> list[TrialState]:
        known = self.session.feed.state.phases.get(self._phase)
        return known.current() if known else []

    def _done(self) -> list[TrialState]:
        return rank(self._source(), self._by.value)

    @on(Choices.Changed)
    def _follow(self) -> None:
        """Work out what the choices come to, and show it."""
        is_marked = self._trials.value == MARKED
        self._top.note = "" if not is_marked else f"{len(self._marked)} are marked"
        self._by.note = f"of {len(self._done())} that are done"
        self._start.note = "" if self._start.value == "scratch" else "goes on from the promoted trial's weights"
        pane = self.query_one("#promotion-outcome", Static)
        try:
            self._outcome = self._work_out()
        except InputError as error:
            self._outcome = None
            pane.update(Content.styled(inert(str(error)), "$error"))
        else:
            pane.update(self._told(self._outcome))
        self.query_one(Choices).draw()

    def _work_out(self) -> Outcome:
        """Return what the choices come to; InputError where they go together with nothing."""
        feed = self.session.feed
        path = feed.location.study_path
        if path is None:
            raise InputError("there is no study file to write the phase into")
        if path == feed.location.folder.snapshot:
            raise InputError("this is a run's own copy of its study; open the study file to promote")
        original = read_text(path)
        study = parse_study(original, path)
        if not self._iterations.value:
            raise InputError(f"phase '{self._phase}' has no trial that is done yet: how many iterations?")
        how, start, max_iters = self._how.value, self._start.value, self._iterations.number
        ranked = self._done()
        ids = {trial for _, trial in self._marked}
        is_rule = self._trials.value == BEST or ids == {trial.id for trial in ranked[: len(ids)]}
        if not is_rule:
            return self._chosen([trial for trial in ranked if trial.id in ids], original, max_iters)
        top = len(ids) if self._trials.value == MARKED else self._top.number
        if start == "checkpoint" and how != "exact":
            raise InputError("only 'exact' can start from a checkpoint: a new grid has no weights to go on from")
        promotion = Promotion(self._phase, top, by=self._by.value, how=how, start=start)
        preview = preview_promotion(study, original, feed.state, promotion, max_iters=max_iters)
        rule = f"the {top} best of {self._phase} by {promotion.by}"
        return Outcome(
            preview.phase, preview.trials, preview.excluded, rule, original, preview.text, preview.unfinished
        )

    def _chosen(self, chosen: Sequence[TrialState], original: str, max_iters: int) -> Outcome:
        """Return what trials come to that no rule finds again."""
        path = self.session.feed.location.study_path
        if path is None or not chosen:
            raise InputError("none of the marked trials is done")
        if self._start.value == "checkpoint":
            raise InputError("marked trials start from scratch: only a rule (the best n) goes on from their weights")
        study = parse_study(original, path)
        name = free_phase_name(phase.name for phase in study.phases)
        rule = f"{len(chosen)} marked trials of {self._phase}, {self._how.value}"
        settings = [trial.settings for trial in chosen]
        text = append_chosen(study, original, name, settings, self._how.value, max_iters, rule)
        expansion = expand(parse_study(text, path).phase(name))
        trials = expansion.trials if expansion else ()
        return Outcome(name, trials, expansion.excluded if expansion else (), rule, original, text)

    def _told(self, outcome: Outcome) -> Content:
        """Return the preview: rule, grid, count, cost, what is written."""
        state = self.session.feed.state
        parts: list[str | tuple[str, str]] = [
            (inert(outcome.name), "bold $primary"),
            f": {inert(outcome.rule)}\n",
        ]
        if self._by.value in PER_TOKEN and tokens_differ(trial.settings for trial in self._source()):
            told = f"{self._by.value} does not compare between tokenizers"
            parts.append((f"{told}\n", "$warning"))
        parts.append((f"{len(outcome.trials):,} trials", "bold"))
        if outcome.excluded:
            parts.append((f", {len(outcome.excluded):,} excluded", "$warning"))
        parts.append((f" · {_grid(outcome.trials)}\n", "$text-muted"))
        if state.corpus is not None and outcome.trials:
            n_symbols = state.corpus.vocab_size
            flops = sum(training_flops(trial, n_symbols) for trial in outcome.trials)
            seconds = Forecast.of(state).seconds(outcome.trials, state)
            sizes = [parameter_count(trial, n_symbols) for trial in outcome.trials]
            time = f"about {duration(seconds)}" if seconds is not None else "time unknown until something has run"
            parts.append(f"{short_range(min(sizes), max(sizes))} parameters · {flops:.2e} FLOP · {time}\n")
        if outcome.excluded:
            parts += [*reasons_text(exclusion_reasons(outcome.excluded), REASON_LINES), "\n"]
        if outcome.unfinished:
            parts.append((f"{outcome.unfinished:,} trials of the phase have not ended: this may change\n", "$warning"))
        added = outcome.text.removeprefix(outcome.original).strip()
        lines = added.splitlines()
        shown = lines if len(lines) <= 16 else [*lines[:14], f"… {len(lines) - 14} more lines"]
        parts.append(("\n" + "\n".join(f"+ {inert(line)}" for line in shown), "$success"))
        return Content.assemble(*parts)

    def action_write(self) -> None:
        """Write the phase into the study file, and offer to run it."""
        app, outcome = self.app, self._outcome
        path = self.session.location.study_path
        if not may_change(app, self.session) or outcome is None or path is None:
            return
        try:
            save(path, outcome.text, expected=outcome.original)
        except InputError as error:
            app.notify(inert(str(error)), severity="error", markup=False)
            self._follow()
            return
        self.dismiss()
        if self.session.feed.runner.state == "running":
            app.notify(f"{inert(outcome.name)} is in the study file; r runs it when this run has ended", markup=False)
            return
        question = ConfirmScreen(
            f"{inert(outcome.name)} is in the study file. Run it now?",
            f"{len(outcome.trials):,} trials; r runs them at any time.",
            "Run",
        )
        app.push_screen(question, lambda agreed: run_study(app, self.session) if agreed else None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by * 6, animate=False)

    def action_close(self) -> None:
        self.dismiss()


def _grid(trials: Sequence[Trial]) -> str:
    """Return the values that vary among trials."""
    parts = []
    for name in HYPERPARAMETERS:
        values = list(dict.fromkeys(getattr(trial, name) for trial in trials))
        if len(values) > 1:
            texts = [value if isinstance(value, str) else f"{value:g}" for value in sorted(values)]
            more = ", …" if len(texts) > SHOWN_VALUES else ""
            parts.append(f"{name} {', '.join(texts[:SHOWN_VALUES])}{more}")
    return " · ".join(parts) or "one setting"
