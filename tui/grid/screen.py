"""Tab 3: an editor of the study file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.state import StudyState
from litegpt.study.edit.draft import Draft
from litegpt.study.edit.entries import Entry, EntryAddress
from tui.actions import may_change
from tui.grid.diff import DiffScreen
from tui.grid.entries import Entries
from tui.grid.phases import PhaseList
from tui.grid.preview import Previewer, StudyPreview
from tui.grid.text import preview_content
from tui.latest import Latest
from tui.messages import FeedChanged
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.widgets.table import Table

# When trials end, the preview is computed again at most this often.
NEWS_SECONDS = 2.0


class GridScreen(StudyScreen):
    """Phases on the left, the entries of one phase on the right, the summary of its trials below."""

    TAB = "grid"
    HELP = (
        "An editor of the study file. Nothing is written until ctrl+s, which shows the changes first. Comments and "
        "order are preserved. Finished trials keep their results, even if you remove them here."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add('grid')", "Axis", tooltip="Add an axis", id="grid.add"),
        Binding("s", "add('phase')", "Set", tooltip="Set a value for the phase, plain or derived", id="grid.set"),
        Binding("f", "add('defaults')", "Default", tooltip="Set a default of the study", show=False, id="grid.default"),
        Binding("x", "add('exclude')", "Exclude", tooltip="Exclude a combination", id="grid.exclude"),
        Binding("A", "add_phase", "Phase", tooltip="Add a phase after this one", id="grid.add_phase"),
        Binding("D", "duplicate", "Duplicate", tooltip="Duplicate the phase", show=False, id="grid.duplicate"),
        Binding("d,delete", "delete", "Delete", tooltip="Delete the phase or the entry", id="grid.delete"),
        Binding("ctrl+s", "save", "Save", id="grid.save"),
        Binding("u", "undo", "Undo", id="grid.undo"),
        Binding("ctrl+r", "redo", "Redo", show=False, id="grid.redo"),
        Binding("left_curly_bracket,ctrl+up", "shift(-1)", "Phase up", key_display="{", show=False, id="grid.up"),
        Binding("right_curly_bracket,ctrl+down", "shift(1)", "Phase down", key_display="}", show=False, id="grid.down"),
        Binding("ctrl+l", "reload", "Reload", tooltip="Load the file from disk again", show=False, id="grid.reload"),
        Binding("p", "promote", "Promote", show=False, id="grid.promote"),
        Binding("h,left", "pane('#grid-phases')", "Phases", show=False, id="grid.phases"),
        Binding("l,right", "pane('#grid-entries')", "Entries", show=False, id="grid.entries"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.draft: Draft | None = None
        # Why there is nothing to edit.
        self._problem: str | None = None
        # The text of the file with the unfinished input line, and the mistake in that line.
        self._tried: str | None = None
        self._mistake: str | None = None
        self._preview: Latest[tuple[str, StudyState], StudyPreview] | None = None
        self._previewed: tuple[str, StudyState] | None = None

    def compose_panes(self) -> ComposeResult:
        with Horizontal(id="grid-row"):
            yield PhaseList(id="grid-phases")
            yield Entries()
        yield Static(id="grid-live", classes="pane")

    def on_mount(self) -> None:
        self.query_one("#grid-live").border_title = "Summary"
        self._table.focus()

    @property
    def _table(self) -> PhaseList:
        return self.query_one(PhaseList)

    @property
    def _entries(self) -> Entries:
        return self.query_one(Entries)

    @property
    def phase(self) -> int:
        """The number of the phase that is shown."""
        return self._table.cursor

    def show_feed(self, changed: FeedChanged) -> None:
        if changed.study:
            self._take_file()
        if changed.state and self.draft is not None and not self._entries.is_typing:
            self._update_preview(is_news=True)

    def _take_file(self) -> None:
        """Open the study file, or load it again if it has changed and the draft has no edits."""
        path, draft = self.feed.location.study_path, self.draft
        if draft is not None and (draft.is_changed or not draft.is_behind()):
            if draft.is_changed and draft.is_behind():
                warning = "the study file has changed on disk; ctrl+l loads it, u returns to your edits"
                self.notify(warning, severity="warning")
            self._show()
            return
        self.draft, self._problem = None, None if path else self.invitation
        if path is not None:
            try:
                self.draft = open_draft(path, self.view.of(self.TAB))
                previewer = Previewer(path)
                self._preview = Latest(self, lambda question: previewer.preview(*question))
                self._previewed = None
            except InputError as error:
                self._problem = str(error)
        self._show()

    def _show(self, phase: int | None = None, address: EntryAddress | None = None) -> None:
        """Draw the draft."""
        draft, table = self.draft, self._table
        names: list[str] = []
        try:
            names = draft.phases() if draft else []
        except InputError as error:
            self._problem = str(error)
        mark = "● " if draft and draft.is_changed else ""
        table.border_title = literal(mark + inert(self.feed.location.name))
        table.border_subtitle = "not saved: ctrl+s" if draft and draft.is_changed else ""
        table.empty = "no phases"
        table.show_phases(names, phase)
        self._show_entries(address)
        if draft is not None:
            remember(draft, self.view.of(self.TAB))
        self._update_preview()

    def _show_entries(self, address: EntryAddress | None = None) -> None:
        entries: list[Entry] = []
        names = self._table.names
        if self.draft is not None and names:
            try:
                entries = self.draft.entries(self.phase)
            except InputError as error:
                self._problem = str(error)
        self._entries.border_title = literal(inert(names[self.phase] if names else ""))
        self._entries.show(entries, inert(self._problem or ""), address)

    def _update_preview(self, *, is_news: bool = False) -> None:
        """Compute the preview again in a thread; the last preview stays on screen until then."""
        if self._preview is not None and self.draft is not None:
            text = self.draft.text if self._tried is None else self._tried
            question = (text, self.feed.state)
            previewed = self._previewed
            if previewed is None or text != previewed[0] or self.feed.state is not previewed[1]:
                # Trials may end many times per second: a preview may take at most a tenth of the time.
                rest = max(NEWS_SECONDS, 10 * self._preview.seconds)
                delay = self._preview.finished_at + rest - time.monotonic() if is_news else 0.0
                self._previewed = question
                self._preview.ask(question, delay)
        self._show_preview()

    @on(Latest.Ready)
    def _preview_ready(self, event: Latest.Ready) -> None:
        # A preview of a study file that is no longer open is ignored.
        if event.latest is self._preview and (preview := event.latest.result) is not None:
            self._table.show_preview(preview)
            self._show_preview()

    def _show_preview(self) -> None:
        pane = self.query_one("#grid-live", Static)
        preview = self._preview.result if self._preview is not None else None
        if self._problem:
            pane.update(inert(self._problem))
        elif preview is not None:
            pane.update(preview_content(preview, self.phase, self._mistake, pane.content_size.height))

    @on(Table.Moved, "#grid-phases")
    def _phase_chosen(self) -> None:
        self._show_entries()
        self._show_preview()

    @on(Table.Opened, "#grid-phases")
    def _phase_opened(self) -> None:
        self.action_pane("#grid-entries")

    @on(Table.Opened, "#grid-entries")
    def _entry_opened(self) -> None:
        if (entry := self._entries.entry) is not None and self._may_edit():
            self._entries.edit(entry.address, entry.text)

    @on(Entries.Typing)
    def _typed(self, event: Entries.Typing) -> None:
        """Preview the input line; apply it when the user presses enter."""
        draft = self.draft
        if draft is None:
            return
        try:
            address, typed = event.addressed()
            self._tried = draft.preview(self.phase, address, typed)
        except InputError as error:
            self._tried, self._mistake = None, str(error) if event.text.strip() else None
            if event.is_left:
                self._cancel_entry()
            else:
                self._entries.mark_wrong(bool(self._mistake))
                self._update_preview()
            return
        self._mistake = None
        self._entries.mark_wrong(False)
        if event.is_taken:
            self._tried = None
            self._entries.close(refocus=not event.is_left)
            self._edit(lambda draft: draft.set(self.phase, address, typed), address)
        else:
            self._update_preview()

    def _cancel_entry(self) -> None:
        """Close an input line that cannot be accepted, and say why."""
        if self._mistake is not None:
            self.notify(inert(f"the entry was not accepted: {self._mistake}"), severity="warning", markup=False)
        self._entries.close(refocus=False)
        self._line_left()

    @on(Entries.Closed)
    def _line_left(self) -> None:
        self._tried = self._mistake = None
        self._update_preview()

    def _may_edit(self) -> bool:
        """True if edits are possible now; otherwise a warning says why."""
        if not may_change(self.app, self.session) or self.draft is None:
            return False
        if self._entries.is_typing:
            self.notify("finish the entry first: enter accepts it, esc cancels it", severity="warning")
            return False
        if self.feed.location.study_path == self.feed.location.folder.snapshot:
            self.notify("this is a run's own copy of its study; open the study file to edit it", severity="warning")
            return False
        return True

    def action_add(self, kind: str) -> None:
        """Open the input line for a new entry."""
        if self._may_edit():
            self._entries.edit(EntryAddress(kind), "")  # type: ignore[arg-type]

    def action_add_phase(self) -> None:
        self._edit(lambda draft: draft.add_phase(self.phase))

    def action_duplicate(self) -> None:
        self._edit(lambda draft: draft.duplicate_phase(self.phase))

    def action_shift(self, by: int) -> None:
        """Move the phase."""
        self._edit(lambda draft: draft.move_phase(self.phase, by))

    def action_delete(self) -> None:
        """Delete the phase or the entry that has the focus."""
        if self._table.has_focus:
            self._edit(lambda draft: draft.delete_phase(self.phase))
        elif (entry := self._entries.entry) is not None:
            self._edit(lambda draft: draft.remove(self.phase, entry.address))

    def _edit(self, change: Callable[[Draft], int | None], address: EntryAddress | None = None) -> None:
        """Make an edit if edits are possible. An edit that fails shows a warning and changes nothing."""
        if not self._may_edit() or self.draft is None:
            return
        try:
            phase = change(self.draft)
        except InputError as error:
            self.notify(inert(str(error)), severity="warning", markup=False)
            return
        self._show(phase, address)

    def action_undo(self) -> None:
        if self._may_edit() and self.draft is not None and self.draft.undo():
            self._show()

    def action_redo(self) -> None:
        if self._may_edit() and self.draft is not None and self.draft.redo():
            self._show()

    def action_reload(self) -> None:
        """Load the file from disk again; undo returns to the edits."""
        self._edit(Draft.reload)

    def action_save(self) -> None:
        """Show the changes, and save them if the user agrees."""
        if not self._may_edit() or self.draft is None:
            return
        if self.draft.is_changed:
            self._check(self.draft)
        else:
            self.notify("nothing has changed")

    @work(thread=True, group="check", exclusive=True)
    def _check(self, draft: Draft) -> None:
        """Check every permutation in a thread, because many take a while."""
        problem = None
        try:
            draft.check()
        except InputError as error:
            problem = inert(str(error))
        self.app.call_from_thread(self._checked, draft, problem)

    def _checked(self, draft: Draft, problem: str | None) -> None:
        if problem is not None:
            self.notify(problem, title="not saved: the study has a mistake", severity="error", markup=False)
        elif not draft.is_checked:
            # The draft was edited during the check.
            self._check(draft)
        elif draft is self.draft and self.is_current:
            self.app.push_screen(DiffScreen(draft.path.name, draft.difference()), self._save)

    def _save(self, agreed: bool | None) -> None:
        if agreed and self.draft is not None:
            self._edit(Draft.save)
            if not self.draft.is_changed:
                self.notify(f"saved {inert(self.draft.path.name)}; r runs what is new", markup=False)

    def action_promote(self) -> None:
        """Open the dialog that promotes the best trials of the phase."""
        names = self._table.names
        if self.draft is not None and self.draft.is_changed:
            self.notify("save the edits first: ctrl+s", severity="warning")
        elif names:
            from tui.promotion.screen import PromotionScreen

            self.app.push_screen(PromotionScreen(self.session, names[self.phase], [], None))

    def action_pane(self, selector: str) -> None:
        """Move the focus to the phases or to the entries."""
        self.query_one(selector).focus()


def open_draft(path: Path, options: dict[str, Any]) -> Draft:
    """Open a study file with the unsaved edits of the last run of the console, if the file has not changed since.

    `options` are the tab's options in the view. InputError: the file cannot be read, or is not TOML.
    """
    draft = Draft.open(path)
    edits = options.get("draft")
    if isinstance(edits, dict) and edits.get("saved") == draft.saved and isinstance(edits.get("text"), str):
        draft.restore(edits["text"])
    draft.phases()
    return draft


def remember(draft: Draft, options: dict[str, Any]) -> None:
    """Keep a draft's unsaved edits in the tab's options."""
    options.pop("draft", None)
    if draft.is_changed:
        options["draft"] = {"saved": draft.saved, "text": draft.text}
