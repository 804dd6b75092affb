"""A study file under edit: its text, its history, and its way back to the disk."""

from __future__ import annotations

import difflib
from pathlib import Path

from litegpt.errors import InputError
from litegpt.study.document import Document, read_text
from litegpt.study.edit.blocks import delete_phase, edit_block, insert_phase, move_phase, phase_bodies
from litegpt.study.edit.entries import Entry, EntryAddress, phase_entries, phase_names, remove_entry, set_entry
from litegpt.study.edit.phase_text import free_phase_name, phase_text
from litegpt.study.edit.save import save
from litegpt.study.study import Study, parse_study

_FIRST_VALUES = {"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 64, "batch_size": 16, "max_iters": 100}
"""Values of a new phase for hyperparameters that have no default in the study."""


class Draft:
    """The text of a study file as it is being edited; every edit can be undone. An InputError changes nothing."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.saved = path, text, text
        self._checked: str | None = None  # the latest text that was found to be a study
        self._undone: list[str] = []
        self._past: list[str] = []

    @classmethod
    def open(cls, path: Path) -> Draft:
        """Read a study file. InputError: it cannot be read."""
        return cls(path, read_text(path))

    @property
    def is_changed(self) -> bool:
        return self.text != self.saved

    @property
    def is_checked(self) -> bool:
        return self.text == self._checked

    def phases(self) -> list[str]:
        """Return the phases' names."""
        return phase_names(self.text)

    def entries(self, phase: int) -> list[Entry]:
        """Return what the file says of a phase, the study's defaults last."""
        return phase_entries(self.text, phase)

    def tried(self, phase: int, address: EntryAddress, typed: str) -> str:
        """Return the text as it would be with an entry set; nothing changes."""
        return set_entry(self.text, phase, address, typed)

    def set(self, phase: int, address: EntryAddress, typed: str) -> None:
        """Set an entry, or add it: an axis takes a list of values, the others one value or a combination."""
        self._take(self.tried(phase, address, typed))

    def remove(self, phase: int, address: EntryAddress) -> None:
        """Leave an entry out."""
        self._take(remove_entry(self.text, phase, address))

    def add_phase(self, after: int) -> int:
        """Add a phase with a small grid after another; return its number."""
        defaults = Document(self.text, self.path).data.get("defaults", {})
        needed = {name: value for name, value in _FIRST_VALUES.items() if name not in defaults}
        table = {"name": free_phase_name(self.phases()), **needed, "grid": {"learning_rate": [1e-3, 3e-3]}}
        self._take(insert_phase(self.text, after + 1, phase_text(table)))
        return after + 1

    def duplicate_phase(self, phase: int) -> int:
        """Add a copy of a phase after it; return its number."""
        names = self.phases()
        name = free_phase_name(names, f"{names[phase]}-", first=2)
        copied = insert_phase(self.text, phase + 1, phase_bodies(self.text)[phase])
        self._take(_renamed_copy(copied, phase + 1, name))
        return phase + 1

    def move_phase(self, phase: int, by: int) -> int:
        """Move a phase up or down; return where it is now."""
        to = max(0, min(len(self.phases()) - 1, phase + by))
        if to != phase:
            self._take(move_phase(self.text, phase, to))
        return to

    def delete_phase(self, phase: int) -> None:
        """Delete a phase. InputError: it is the last, or another is promoted from it."""
        names = self.phases()
        if len(names) == 1:
            raise InputError("a study needs at least one phase")
        for other, name in enumerate(names):
            for entry in self.entries(other):
                if entry.address == EntryAddress("promote", "from") and entry.text == names[phase] and other != phase:
                    raise InputError(f"{name} is promoted from {names[phase]}: change or delete {name} first")
        self._take(delete_phase(self.text, phase))

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        return self._step(self._past, self._undone)

    def redo(self) -> bool:
        """Make the edit again that was taken back last; return whether there was one."""
        return self._step(self._undone, self._past)

    def check(self) -> Study:
        """Return the study that the text is; a large grid takes seconds. InputError: it is none, with the line."""
        text = self.text  # it may be edited meanwhile
        study = parse_study(text, self.path)
        self._checked = text
        return study

    def difference(self) -> list[str]:
        """Return a unified diff from the file as it was read."""
        old, new = self.saved.splitlines(), self.text.splitlines()
        return list(difflib.unified_diff(old, new, self.path.name, f"{self.path.name} (edited)", lineterm=""))

    def save(self) -> None:
        """Write the file in one step. InputError: it is no study, or the file has changed on disk meanwhile."""
        if not self.is_checked:
            self.check()
        save(self.path, self.text, expected=self.saved)
        self.saved = self.text

    def is_behind(self) -> bool:
        """Tell whether the file on disk is no longer what was read; one that is gone is."""
        try:
            return read_text(self.path) != self.saved
        except InputError:
            return True

    def reload(self) -> None:
        """Take the file as it is on disk; the text until now is an undo away. InputError: it cannot be read."""
        text = read_text(self.path)
        self.saved = text
        self._take(text)

    def restore(self, text: str) -> None:
        """Take up the edits of an earlier session, as one edit."""
        self._take(text)

    def _take(self, text: str) -> None:
        if text != self.text:
            self._past.append(self.text)
            self._undone.clear()
            self.text = text

    def _step(self, source: list[str], target: list[str]) -> bool:
        if not source:
            return False
        target.append(self.text)
        self.text = source.pop()
        return True


def _renamed_copy(text: str, phase: int, name: str) -> str:
    """Return the text with a copied phase called otherwise; what is promoted from the original stays so."""
    return edit_block(text, phase, lambda table: table.update({"name": name}))
