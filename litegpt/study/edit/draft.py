"""A study file that is being edited: its text, its undo history, and saving."""

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
    """The text of a study file during edits, which can be undone. An edit that raises InputError changes nothing."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.saved = path, text, text
        self._checked: str | None = None  # the latest text that is known to be a legal study
        self._undone: list[str] = []
        self._past: list[str] = []

    @classmethod
    def open(cls, path: Path) -> Draft:
        """Read a study file. InputError: the file cannot be read."""
        return cls(path, read_text(path))

    @property
    def is_changed(self) -> bool:
        return self.text != self.saved

    @property
    def is_checked(self) -> bool:
        return self.text == self._checked

    def phases(self) -> list[str]:
        """Return the names of the phases."""
        return phase_names(self.text)

    def entries(self, phase: int) -> list[Entry]:
        """Return the entries of a phase, followed by the defaults of the study."""
        return phase_entries(self.text, phase)

    def preview(self, phase: int, address: EntryAddress, typed: str) -> str:
        """Return the text with an entry set, without changing the draft."""
        return set_entry(self.text, phase, address, typed)

    def set(self, phase: int, address: EntryAddress, typed: str) -> None:
        """Set or add an entry: a list of values for an axis, otherwise one value or a combination."""
        self._apply(self.preview(phase, address, typed))

    def remove(self, phase: int, address: EntryAddress) -> None:
        """Delete an entry."""
        self._apply(remove_entry(self.text, phase, address))

    def add_phase(self, after: int) -> int:
        """Add a phase with a small grid after phase number `after`; return its number."""
        defaults = Document(self.text, self.path).data.get("defaults", {})
        needed = {name: value for name, value in _FIRST_VALUES.items() if name not in defaults}
        table = {"name": free_phase_name(self.phases()), **needed, "grid": {"learning_rate": [1e-3, 3e-3]}}
        self._apply(insert_phase(self.text, after + 1, phase_text(table)))
        return after + 1

    def duplicate_phase(self, phase: int) -> int:
        """Add a copy after a phase; return the number of the copy."""
        names = self.phases()
        name = free_phase_name(names, f"{names[phase]}-", first=2)
        copied = insert_phase(self.text, phase + 1, phase_bodies(self.text)[phase])
        self._apply(_renamed_copy(copied, phase + 1, name))
        return phase + 1

    def move_phase(self, phase: int, by: int) -> int:
        """Move a phase up or down; return its new number."""
        to = max(0, min(len(self.phases()) - 1, phase + by))
        if to != phase:
            self._apply(move_phase(self.text, phase, to))
        return to

    def delete_phase(self, phase: int) -> None:
        """Delete a phase. InputError: it is the only phase, or another phase promotes from it."""
        names = self.phases()
        if len(names) == 1:
            raise InputError("a study needs at least one phase")
        for other, name in enumerate(names):
            for entry in self.entries(other):
                if entry.address == EntryAddress("promote", "from") and entry.text == names[phase] and other != phase:
                    raise InputError(f"{name} is promoted from {names[phase]}: change or delete {name} first")
        self._apply(delete_phase(self.text, phase))

    def undo(self) -> bool:
        """Undo the last edit; return whether there was one."""
        return self._step(self._past, self._undone)

    def redo(self) -> bool:
        """Redo the edit that was undone last; return whether there was one."""
        return self._step(self._undone, self._past)

    def check(self) -> Study:
        """Return the study of the text; a large grid takes seconds. InputError: the first mistake, with its line."""
        text = self.text  # another thread may edit the draft during the check
        study = parse_study(text, self.path)
        self._checked = text
        return study

    def difference(self) -> list[str]:
        """Return a unified diff against the file as it was read."""
        old, new = self.saved.splitlines(), self.text.splitlines()
        return list(difflib.unified_diff(old, new, self.path.name, f"{self.path.name} (edited)", lineterm=""))

    def save(self) -> None:
        """Write the file in one step. InputError: the text is not a legal study, or the file has changed on disk."""
        if not self.is_checked:
            self.check()
        save(self.path, self.text, expected=self.saved)
        self.saved = self.text

    def is_behind(self) -> bool:
        """Tell whether the file on the disk has changed or disappeared since it was read."""
        try:
            return read_text(self.path) != self.saved
        except InputError:
            return True

    def reload(self) -> None:
        """Take over the file on the disk; undo returns to the edits. InputError: the file cannot be read."""
        text = read_text(self.path)
        self.saved = text
        self._apply(text)

    def restore(self, text: str) -> None:
        """Take over the edits of an earlier session as one edit."""
        self._apply(text)

    def _apply(self, text: str) -> None:
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
    """Return the text with a copied phase renamed. Phases that promote from the original keep doing so."""
    return edit_block(text, phase, lambda table: table.update({"name": name}))
