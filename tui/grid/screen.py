"""Tab 3: the study file as an editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.study.edit.draft import Draft
from litegpt.study.edit.entries import Entry, EntryAddress
from tui.actions import may_change
from tui.grid.diff import DiffScreen
from tui.grid.drafts import open_draft, remember
from tui.grid.entries import Entries
from tui.grid.estimate import Estimates
from tui.grid.phases import PhaseList
from tui.grid.text import preview_content
from tui.messages import FeedChanged
from tui.screen import StudyScreen
from tui.session import Session
from tui.terminal import literal
from tui.widgets.table import Table


class GridScreen(StudyScreen):
    """Phases on the left, the entries of one on the right, what they come to below."""

    TAB = "grid"
    HELP = (
        "The study file as an editor. Nothing is written until ctrl+s, which shows the difference first; comments and "
        "order stay. What has run keeps its results, whatever is edited."
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
        Binding("ctrl+l", "reload", "Reload", tooltip="Take the file as it is on disk", show=False, id="grid.reload"),
        Binding("p", "promote", "Promote", show=False, id="grid.promote"),
        Binding("h,left", "pane('#grid-phases')", "Phases", show=False, id="grid.phases"),
        Binding("l,right", "pane('#grid-entries')", "Entries", show=False, id="grid.entries"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.draft: Draft | None = None
        self._estimates: Estimates | None = None
        self._problem: str | None = None  # why there is nothing to edit
        self._tried: str | None = None  # the file as the line that is being typed would have it
        self._mistake: str | None = None  # in that line

    def compose_panes(self) -> ComposeResult:
        with Horizontal(id="grid-row"):
            yield PhaseList(id="grid-phases")
            yield Entries()
        yield Static(id="grid-live", classes="pane")

    def on_mount(self) -> None:
        self.query_one("#grid-live").border_title = "What it comes to"
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
            self._estimate(is_news=True)

    def _take_file(self) -> None:
        """Open the study file, or take in that it has changed, unless there are edits that would be lost."""
        path, draft = self.feed.location.study_path, self.draft
        if draft is not None and (draft.is_changed or not draft.is_behind()):
            if draft.is_changed and draft.is_behind():
                self.notify("the study file has changed on disk; ctrl+l takes it, u comes back", severity="warning")
            self._show()
            return
        self.draft, self._problem = None, None if path else self.invitation
        if path is not None:
            try:
                self.draft = open_draft(path, self.view.of(self.TAB))
                self._estimates = Estimates(path)
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
        self._estimate()

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

    def _estimate(self, *, is_news: bool = False) -> None:
        """Have the preview made anew, in a thread; the one that is shown stays until then."""
        if self._estimates is not None and self.draft is not None:
            text = self.draft.text if self._tried is None else self._tried
            self._estimates.want(self, text, self.feed.state, is_news=is_news)
        self._show_estimate()

    @on(Estimates.Made)
    def _estimated(self, event: Estimates.Made) -> None:
        if self._estimates is not None and self._estimates.take(self, event):
            self._table.show_preview(event.preview)
            self._show_estimate()

    def _show_estimate(self) -> None:
        pane = self.query_one("#grid-live", Static)
        if self._problem or self._estimates is None:
            pane.update(inert(self._problem or ""))
        elif self._estimates.latest is not None:
            pane.update(preview_content(self._estimates.latest, self.phase, self._mistake, pane.content_size.height))

    @on(Table.Moved, "#grid-phases")
    def _phase_chosen(self) -> None:
        self._show_entries()
        self._show_estimate()

    @on(Table.Opened, "#grid-phases")
    def _phase_opened(self) -> None:
        self.action_pane("#grid-entries")

    @on(Table.Opened, "#grid-entries")
    def _entry_opened(self) -> None:
        if (entry := self._entries.entry) is not None and self._may_edit():
            self._entries.edit(entry.address, entry.text)

    @on(Entries.Typing)
    def _typed(self, event: Entries.Typing) -> None:
        """Show what the line would come to; take it when the user is done."""
        draft = self.draft
        if draft is None:
            return
        try:
            address, typed = event.addressed()
            self._tried = draft.preview(self.phase, address, typed)
        except InputError as error:
            self._tried, self._mistake = None, str(error) if event.text.strip() else None
            self._entries.mark_wrong(bool(self._mistake))
            self._estimate()
            return
        self._mistake = None
        self._entries.mark_wrong(False)
        if event.is_taken:
            self._tried = None
            self._entries.close()
            self._edit(lambda draft: draft.set(self.phase, address, typed), address)
        else:
            self._estimate()

    @on(Entries.Closed)
    def _line_left(self) -> None:
        self._tried = self._mistake = None
        self._estimate()

    def _may_edit(self) -> bool:
        """Say so and return False where nothing can be edited now."""
        if not may_change(self.app, self.session) or self.draft is None or self._entries.is_typing:
            return False
        if self.feed.location.study_path == self.feed.location.folder.snapshot:
            self.notify("this is a run's own copy of its study; open the study file to edit it", severity="warning")
            return False
        return True

    def action_add(self, kind: str) -> None:
        """Open a line for a new entry."""
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
        """Delete the phase or the entry, whichever has the focus."""
        if self._table.has_focus:
            self._edit(lambda draft: draft.delete_phase(self.phase))
        elif (entry := self._entries.entry) is not None:
            self._edit(lambda draft: draft.remove(self.phase, entry.address))

    def _edit(self, change: Callable[[Draft], int | None], address: EntryAddress | None = None) -> None:
        """Make an edit, where one may be made; what it cannot do is said, and nothing changes."""
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
        """Take the file as it is on disk."""
        self._edit(Draft.reload)

    def action_save(self) -> None:
        """Show what saving would change, and save if the user agrees."""
        if not self._may_edit() or self.draft is None:
            return
        if self.draft.is_changed:
            self._check(self.draft)
        else:
            self.notify("nothing has changed")

    @work(thread=True, group="check", exclusive=True)
    def _check(self, draft: Draft) -> None:
        """Look at every permutation, which takes a while where there are many."""
        problem = None
        try:
            draft.check()
        except InputError as error:
            problem = inert(str(error))
        self.app.call_from_thread(self._checked, draft, problem)

    def _checked(self, draft: Draft, problem: str | None) -> None:
        if problem is not None:
            self.notify(problem, title="not saved: this is no study yet", severity="error", markup=False)
        elif not draft.is_checked:  # it was edited meanwhile
            self._check(draft)
        elif draft is self.draft and self.is_current:
            self.app.push_screen(DiffScreen(draft.path.name, draft.difference()), self._save)

    def _save(self, agreed: bool | None) -> None:
        if agreed and self.draft is not None:
            self._edit(Draft.save)
            if not self.draft.is_changed:
                self.notify(f"saved {inert(self.draft.path.name)}; r runs what is new", markup=False)

    def action_promote(self) -> None:
        """Promote the best of the phase into a new phase."""
        names = self._table.names
        if self.draft is not None and self.draft.is_changed:
            self.notify("save the edits first: ctrl+s", severity="warning")
        elif names:
            from tui.promotion.screen import PromotionScreen

            self.app.push_screen(PromotionScreen(self.session, names[self.phase], [], None))

    def action_pane(self, selector: str) -> None:
        """Go to the phases, or to the entries."""
        self.query_one(selector).focus()
