"""The dialog that writes a study for a text, as `litegpt init` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from litegpt.display import duration, inert
from litegpt.errors import InputError

if TYPE_CHECKING:
    from litegpt.run.new_study import NewStudy

FIELDS = {
    "text": "text: a file, a folder or a glob",
    "name": "name (empty: from the text)",
    "minutes": "minutes that the study may take",
    "file": "study file to write",
}


class NewStudyScreen(ModalScreen["NewStudy | None"]):
    """Asks for a text, a name and a time, writes the study file, and returns it."""

    HELP = "A study for a text: its models, grid and lengths fit the text, this machine and the time."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", id="new_study.close")]

    def __init__(self, text: str, file: str) -> None:
        super().__init__()
        self._values = {"text": text, "name": "", "minutes": "5", "file": file}
        self._is_writing = False

    def compose(self) -> ComposeResult:
        with Vertical(id="new-study", classes="dialog") as box:
            box.border_title = "New study"
            box.border_subtitle = "tab next field · enter writes it · esc cancels"
            for field, label in FIELDS.items():
                yield Label(label, markup=False)
                yield Input(self._values[field], id=f"new-{field}", compact=True)
            yield Static(id="new-message")

    def on_mount(self) -> None:
        self.query_one("#new-text").focus()

    @on(Input.Submitted)
    def _write(self) -> None:
        """Write the study in a thread, because reading a long text takes a while."""
        if self._is_writing:
            return
        self._is_writing = True
        self._say(Content.styled("reading the text…", "$text-muted"))
        values = {field: self.query_one(f"#new-{field}", Input).value.strip() for field in FIELDS}
        self.run_worker(lambda: self._write_study(values), thread=True, exclusive=True)

    def _write_study(self, values: dict[str, str]) -> None:
        # The console starts without these modules.
        from litegpt.run.new_study import new_study

        try:
            study = new_study(
                str(Path(values["text"]).expanduser()) if values["text"] else None,
                Path(values["file"] or "study.toml").expanduser(),
                name=values["name"] or None,
                minutes=_minutes(values["minutes"]),
            )
            study.write()
        except (InputError, OSError, ValueError) as error:
            self.app.call_from_thread(self._refuse, str(error))
        else:
            self.app.call_from_thread(self._finish, study)

    def _refuse(self, problem: str) -> None:
        self._is_writing = False
        self._say(Content.styled(inert(problem), "$error"))

    def _finish(self, study: NewStudy) -> None:
        # Escape may have closed the dialog meanwhile. The study is written, so that the caller still hears of it.
        if self.is_attached:
            self.dismiss(study)

    def _say(self, message: Content) -> None:
        if self.is_attached:
            self.query_one("#new-message", Static).update(message)

    def action_close(self) -> None:
        if not self._is_writing:
            self.dismiss(None)


def _minutes(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"'{text}' is not a number of minutes") from None


def written_message(study: NewStudy) -> str:
    """Return a sentence about a study that has been written."""
    words = f"wrote {study.path}: about {duration(study.proposal.seconds)}"
    if study.proposal.assumption:
        words += " if this machine has the usual speed"
    return f"{words}. {study.cleaning_hint}" if study.cleaning_hint else words
