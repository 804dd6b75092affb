"""The dialog that writes a new phase from the best trials of a phase, or from the marked ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from litegpt.analysis.evaluation_noise import noise_sample
from litegpt.analysis.promote import default_length, exclusion_reasons
from litegpt.display import duration, inert, short_range
from litegpt.errors import InputError
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.state import TrialState
from litegpt.study.edit.save import save
from litegpt.study.phase import PROMOTION_MODES, RANKINGS, STARTS
from litegpt.study.trial import HYPERPARAMETERS, Trial
from tui.actions import may_change, run_study
from tui.curve import Curve
from tui.dialogs.confirm import ConfirmScreen
from tui.exclusions import reasons_text
from tui.latest import Latest
from tui.messages import TrialKey
from tui.promotion.choices import Choice, Choices
from tui.promotion.preview import PromotionPreview, PromotionQuestion, preview_choices
from tui.session import Session
from tui.terminal import literal

TOP = 5
BEST, MARKED = "the best", "the marked"
VALUES_MAX = 6
REASON_LINES = 3
TEXT_LINES = 16
# The curves that give the noise are awaited this often.
CURVES_SECONDS = 0.2


class PromotionScreen(ModalScreen[None]):
    """The choices, and a preview that follows them; enter writes the phase into the study file."""

    HELP = (
        "A new phase from the best trials of a phase. narrow: a new grid from the values that the best trials used; "
        "exact: rerun exactly the best trials. The best trials are written as a rule; marked trials are written out "
        "one by one."
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
        self._marked = frozenset(trial for trial_phase, trial in marked if trial_phase == phase)
        self._trials = Choice("trials", MARKED if self._marked else BEST, (BEST, MARKED) if self._marked else (BEST,))
        self._top = Choice("how many", str(len(self._marked) or TOP))
        self._by = Choice("ranked by", by or "", RANKINGS)
        self._how = Choice("how", "narrow", PROMOTION_MODES)
        self._start = Choice("start from", "scratch", STARTS)
        self._iterations = Choice("iterations", "")
        self._preview: Latest[PromotionQuestion, PromotionPreview] = Latest(self, preview_choices)
        self._curve_timer: Timer | None = None
        # True if enter was pressed before the preview of the current choices was ready.
        self._writes_when_ready = False

    def compose(self) -> ComposeResult:
        lines = [self._trials, self._top, self._by, self._how, self._start, self._iterations]
        with VerticalScroll(id="promotion", classes="dialog", can_focus=False) as box:
            box.border_title = literal(f"Promote from {inert(self._phase)}")
            box.border_subtitle = "↑↓ line · ←→ value · enter writes it · esc cancels"
            yield Choices(lines, id="promotion-choices")
            yield Static(id="promotion-preview")

    def on_mount(self) -> None:
        self._by.value = self._by.value or ranking_of(self._source())
        if not self._marked:
            self._top.value = str(min(TOP, len(self._ranked())) or TOP)
        longest = max((trial.settings.max_iters for trial in self._ranked()), default=0)
        self._iterations.value = str(default_length(self.session.feed.state, self._phase)) if longest else ""
        self._iterations.note = f"{inert(self._phase)} trained for {longest:,}" if longest else ""
        self.query_one(Choices).focus()
        self._update_preview()
        if not self._curves():
            self._curve_timer = self.set_interval(CURVES_SECONDS, self._await_curves)

    @property
    def is_computing(self) -> bool:
        """True while the preview does not show the current choices yet."""
        return self._preview.is_waiting

    def _source(self) -> list[TrialState]:
        phase = self.session.feed.state.phases.get(self._phase)
        return phase.current() if phase else []

    def _ranked(self) -> list[TrialState]:
        return rank(self._source(), self._by.value)

    def _curves(self) -> tuple[Curve, ...]:
        """Return the curves of the best trials, empty until all of them have been read."""
        feed = self.session.feed
        keys = [(trial.phase, trial.id) for trial in noise_sample(self._ranked(), self._by.value)]
        feed.want(keys)
        curves = tuple(curve for key in keys if (curve := feed.curve(key)) is not None)
        return curves if len(curves) == len(keys) else ()

    def _await_curves(self) -> None:
        """Add the ties to the preview once the curves have been read."""
        if self._curve_timer is not None and (self._curves() or not self._ranked()):
            self._curve_timer.stop()
            will_write = self._writes_when_ready
            self._update_preview()
            self._writes_when_ready = will_write

    @on(Choices.Changed)
    def _update_preview(self) -> None:
        """Compute the preview of the choices in a thread; the last preview stays on screen until then."""
        uses_marked = self._trials.value == MARKED
        self._top.note = f"{len(self._marked)} are marked" if uses_marked else ""
        self._by.note = f"of {len(self._ranked())} finished trials"
        self._start.note = "" if self._start.value == "scratch" else "continues from the promoted trial's weights"
        self._writes_when_ready = False
        self._preview.ask(
            PromotionQuestion(
                location=self.session.location,
                state=self.session.feed.state,
                phase=self._phase,
                marked=self._marked if uses_marked else None,
                top=self._top.number,
                by=self._by.value,
                how=self._how.value,
                start=self._start.value,
                curves=self._curves(),
                max_iters=self._iterations.number if self._iterations.value else None,
            )
        )
        self.query_one(Choices).draw()

    @on(Latest.Ready)
    def _show_preview(self) -> None:
        preview = self._preview.result
        if preview is None:
            return
        self.query_one("#promotion-preview", Static).update(_content(preview))
        if self._writes_when_ready:
            self.action_write()

    def action_write(self) -> None:
        """Write the phase into the study file, and offer to run it."""
        app, preview = self.app, self._preview.result
        path = self.session.location.study_path
        if not may_change(app, self.session) or path is None:
            return
        self._writes_when_ready = self._preview.is_waiting
        if self._writes_when_ready or preview is None or preview.problem is not None:
            return
        try:
            save(path, preview.text, expected=preview.original)
        except InputError as error:
            app.notify(inert(str(error)), severity="error", markup=False)
            self._update_preview()
            return
        self.dismiss()
        name = inert(preview.name)
        if self.session.feed.runner.state == "running":
            app.notify(f"{name} is in the study file; r runs it when this run has ended", markup=False)
            return
        consequence = f"{len(preview.trials):,} trials; r runs them at any time."
        question = ConfirmScreen(f"{name} is in the study file. Run it now?", consequence, "Run")
        # The application asks, because this screen is closing and would no longer receive the answer.
        app.call_later(app.push_screen, question, lambda agreed: run_study(app, self.session) if agreed else None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by * 6, animate=False)

    def action_close(self) -> None:
        self.dismiss()


def _content(preview: PromotionPreview) -> Content:
    """Return the preview as text: rule, number of trials, grid, cost, warnings and the new lines of the file."""
    if preview.problem is not None:
        return Content.styled(inert(preview.problem), "$error")
    parts: list[str | tuple[str, str]] = [(inert(preview.name), "bold $primary"), f": {inert(preview.rule)}\n"]
    parts += [(f"{inert(warning)}\n", "$warning") for warning in preview.warnings]
    parts.append((f"{len(preview.trials):,} trials", "bold"))
    if preview.excluded:
        parts.append((f", {len(preview.excluded):,} excluded", "$warning"))
    parts.append((f" · {_grid(preview.trials)}\n", "$text-muted"))
    if (cost := preview.cost) is not None:
        time = "time unknown until something has run" if cost.seconds is None else f"about {duration(cost.seconds)}"
        parts.append(f"{short_range(*cost.parameters)} parameters · {cost.flops:.2e} FLOP · {time}\n")
    if preview.excluded:
        parts += [*reasons_text(exclusion_reasons(preview.excluded), REASON_LINES), "\n"]
    if preview.unfinished:
        parts.append((f"{preview.unfinished:,} trials of the phase have not ended: this may change\n", "$warning"))
    lines = preview.text.removeprefix(preview.original).strip().splitlines()
    if len(lines) > TEXT_LINES:
        lines = [*lines[: TEXT_LINES - 2], f"… {len(lines) - TEXT_LINES + 2} more lines"]
    parts.append(("\n" + "\n".join(f"+ {inert(line)}" for line in lines), "$success"))
    return Content.assemble(*parts)


def _grid(trials: Sequence[Trial]) -> str:
    """List the hyperparameters that vary between the trials, with their values."""
    parts = []
    for name in HYPERPARAMETERS:
        values = list(dict.fromkeys(getattr(trial, name) for trial in trials))
        if len(values) > 1:
            texts = [value if isinstance(value, str) else f"{value:g}" for value in sorted(values)]
            more = ", …" if len(texts) > VALUES_MAX else ""
            parts.append(f"{name} {', '.join(texts[:VALUES_MAX])}{more}")
    return " · ".join(parts) or "one setting"
