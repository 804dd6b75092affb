"""Tab 6: what the trials write, from gibberish to prose."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.ranking import rank
from litegpt.results.samples import Sample
from litegpt.results.state import StudyState
from litegpt.study.trial import tokens_differ
from tui.messages import FeedChanged, TrialKey
from tui.samples.copied import highlighted, told
from tui.samples.generation import generate, sample_command
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import copy_text, literal
from tui.trials import sample_bits, short_names
from tui.widgets.table import Cell, Column, Table

if TYPE_CHECKING:
    from litegpt.text.copied import CorpusIndex

BEST_OF_PHASE = 3
TRIALS = 40
LENGTH = 400  # characters
TEMPERATURE = 0.8


LOSS, PHASE, STEP = Column("loss", "loss", 6), Column("phase", "phase", 8, is_left=True), Column("step", "step", 6)
BITS = Column("loss", "bits/char", 9)
COPIED = Column("copied", "copied", 6)


class Rung(NamedTuple):
    """A sample on the ladder, and its loss; between tokenizers, its bits per character."""

    key: TrialKey
    sample: Sample
    loss: float | None


class Prompt(Input):
    """The line whose text a trial continues."""

    HELP = "What the trial under the cursor goes on from; enter generates, from its best weights."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.back", "Cancel", id="prompt.leave")]


class SamplesScreen(StudyScreen):
    """Samples against their loss; two side by side; a prompt for the chosen trial."""

    TAB = "samples"
    HELP = (
        "What the focused trial, the marked ones and the best of each phase wrote, from the highest loss to the "
        "lowest. Stretches of eight words and more that stand word for word in the training text are lit. b keeps a "
        "text on the right to compare with; the prompt below is continued by the trial under the cursor."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "pin", "Beside", tooltip="Keep this text on the right", id="samples.pin"),
        Binding("slash,i", "prompt", "Prompt", key_display="/", id="samples.prompt"),
        Binding("space", "mark", "Mark", show=False, id="samples.mark"),
        Binding("x", "stop_generating", "Stop generating", show=False, id="samples.stop"),
        Binding("y", "copy", "Copy the text", show=False, id="samples.copy"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._rungs: list[Rung] = []
        self._names: dict[TrialKey, str] = {}
        self._is_mixed = False  # whether the study's trials differ in what their tokens are
        self._pinned: Rung | None = None
        self._corpus: CorpusIndex | None = None
        self._has_asked = False  # for the corpus
        self._generated = ""

    def compose_panes(self) -> ComposeResult:
        yield Table(self._cells, self._flags, id="ladder")
        with Horizontal(id="texts"):
            for side in ("left", "right"):
                with VerticalScroll(id=f"text-{side}", classes="pane"):
                    yield Static()
        yield Prompt(placeholder="a prompt for the trial under the cursor; enter generates", id="prompt")

    def on_mount(self) -> None:
        self.query_one(Table).focus()

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.state or changed.samples:
            self._show_ladder()
        if self._rungs and not self._has_asked:
            self._has_asked = True
            self._read_corpus(self.feed.state)

    def _keys(self) -> list[TrialKey]:
        best = [t for p in self.feed.state.phases.values() for t in rank(p.current())[:BEST_OF_PHASE]]
        focus = [self.view.focus] if self.view.focus else []
        keys = dict.fromkeys([*focus, *sorted(self.view.marks), *((trial.phase, trial.id) for trial in best)])
        return [key for key in keys if self.feed.trial(key) is not None][:TRIALS]

    def _show_ladder(self) -> None:
        table = self.query_one(Table)
        at = self._rungs[table.cursor] if table.cursor < len(self._rungs) else None
        keys = self._keys()
        trials = [trial for key in keys if (trial := self.feed.trial(key))]
        self._names = short_names(trials)
        self._is_mixed = tokens_differ(trial.settings for trial in self.feed.state.trials())
        self._rungs = [
            Rung((trial.phase, trial.id), sample, sample_bits(sample, trial) if self._is_mixed else sample.loss)
            for trial in trials
            for sample in self.feed.samples((trial.phase, trial.id)) or ()
        ]
        self._rungs.sort(key=lambda rung: (-math.inf if rung.loss is None else -rung.loss, rung.sample.step, rung.key))
        table.border_title = f"text ladder · {len(self._rungs)} samples of {len(keys)} trials"
        table.empty = "No samples yet: a trial writes its first when it ends its first evaluations."
        place = self._rungs.index(at) if at in self._rungs else len(self._rungs) - 1
        self._arrange(place)
        self._show_texts()

    @on(Table.Resized, "#ladder")
    def _resized(self) -> None:
        self._arrange(self.query_one(Table).cursor)

    def _arrange(self, place: int) -> None:
        """Show the rungs in the columns that fit."""
        table = self.query_one(Table)
        columns = [BITS if self._is_mixed else LOSS, PHASE, STEP]
        columns += [COPIED] if any(rung.sample.copied for rung in self._rungs) else []
        room = table.content_size.width - sum(column.width + 1 for column in columns)
        width = max((len(name) for name in self._names.values()), default=26)
        if room - width > 20:
            columns.append(Column("trial", "trial", width, is_left=True))
            room -= width + 1
        self._columns = [*columns, Column("text", "begins", max(10, room - 1), is_left=True)]
        table.show(self._columns, len(self._rungs), cursor=max(0, place))

    def _cells(self, row: int) -> list[Cell]:
        key, sample, loss = self._rungs[row]
        cells: dict[str, Cell] = {
            "loss": ("-" if loss is None else f"{loss:.3f}", "strong"),
            "phase": (inert(key[0]), "dim"),
            "step": (f"{sample.step:,}", "dim"),
            "copied": (f"{sample.copied.share:.0%}" if sample.copied else "-", ""),
            "trial": (self._names.get(key, ""), ""),
            "text": (inert(sample.text.strip()[:200]).replace("␊", " "), ""),
        }
        return [cells[column.name] for column in self._columns]

    def _flags(self, row: int) -> str:
        return "marked" if self._rungs[row].key in self.view.marks else ""

    def _here(self) -> Rung | None:
        cursor = self.query_one("#ladder", Table).cursor
        return self._rungs[cursor] if cursor < len(self._rungs) else None

    def _show_texts(self) -> None:
        self._show_text("left", self._here())
        self._show_text("right", self._pinned)
        self.set_class(self._pinned is not None or bool(self._generated), "-pinned")

    def _show_text(self, side: str, rung: Rung | None) -> None:
        pane = self.query_one(f"#text-{side}", VerticalScroll)
        if side == "right" and self._generated:
            pane.query_one(Static).update(self._lit(self._generated))
            return
        if rung is None:
            pane.query_one(Static).update("")
            return
        key, sample, loss = rung
        told_loss = "" if loss is None else f" · {loss:.3f} bits/char" if self._is_mixed else f" · loss {loss:.3f}"
        title = f"{key[0]} · {self._names.get(key, key[1])} · step {sample.step:,}{told_loss}"
        pane.border_title = literal(inert(title))
        pane.query_one(Static).update(self._lit(inert(sample.text, newlines=True).strip("\n")))
        pane.border_subtitle = told(sample.measured(self._corpus))

    def _lit(self, text: str) -> Content:
        return highlighted(text, self._corpus.training.measure(text).passages if self._corpus else ())

    @on(Table.Moved, "#ladder")
    def _moved(self) -> None:
        if here := self._here():
            self.view.focus = here.key
        self._show_text("left", self._here())

    def action_pin(self) -> None:
        """Keep the text under the cursor on the right; again takes it away."""
        here = self._here()
        self._generated = ""
        self._pinned = None if self._pinned == here else here
        self._show_texts()

    def action_mark(self) -> None:
        if here := self._here():
            self.view.toggle(here.key)
            self.query_one(Table).refresh_changed()

    def action_prompt(self) -> None:
        """Type a prompt."""
        self.query_one("#prompt", Input).focus()

    def action_back(self) -> None:
        """Leave the zoom, the prompt, the text beside: one layer at a time."""
        if self.maximized is not None:
            self.minimize()
        elif not self.query_one(Table).has_focus:
            self.query_one(Table).focus()
        else:
            self._pinned, self._generated = None, ""
            self._show_texts()

    def action_stop_generating(self) -> None:
        self.workers.cancel_group(self, "generation")

    def action_copy(self) -> None:
        """Copy the text under the cursor, or the one that was generated."""
        here = self._here()
        text = self._generated or (here.sample.text if here else "")
        if text:
            copy_text(self.app, "sample.txt", text)

    @on(Input.Submitted, "#prompt")
    def _prompted(self, event: Input.Submitted) -> None:
        here = self._here()
        if here is None:
            self.notify("there is no trial to generate from yet", severity="warning")
        else:
            self._generate(here.key, event.value)

    @work(group="generation", exclusive=True)
    async def _generate(self, key: TrialKey, prompt: str) -> None:
        pane = self.query_one("#text-right", VerticalScroll)
        pane.border_title = literal(inert(f"generated · {key[0]} · {key[1].rsplit('-', 1)[0]}"))
        pane.border_subtitle = "loading the weights · x stops"
        self._generated = " "
        self._show_texts()
        text = ""
        try:
            async for piece in generate(sample_command(self.feed.location.folder, key, prompt, LENGTH, TEMPERATURE)):
                text += piece
                self._generated = text
                pane.border_subtitle = "generating · x stops"
                pane.query_one(Static).update(literal(text))
        except InputError as error:
            self.notify(inert(str(error)), severity="error", markup=False)
        finally:
            pane.border_subtitle = ""
        self._generated = text
        self._show_texts()

    @work(thread=True, group="corpus", exclusive=True)
    def _read_corpus(self, state: StudyState) -> None:
        """Learn the training text, to find what is copied from it."""
        from litegpt.analysis.ladder import study_corpus  # here, because it brings NumPy along

        corpus = study_corpus(self.feed.location.folder, state)
        if corpus is not None:
            self.app.call_from_thread(self._compare, corpus)

    def _compare(self, corpus: CorpusIndex) -> None:
        self._corpus = corpus
        self._show_texts()
