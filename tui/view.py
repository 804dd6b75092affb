"""What the user has set up on the screens of one study; it survives a restart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any

import platformdirs

from litegpt.files import write_whole
from tui.messages import TrialKey

APPLICATION = "litegpt"


@dataclass
class View:
    """One study's view. `screens` holds what a single screen remembers, by its tab: plain JSON data."""

    tab: str = "live"
    phase: str | None = None  # None: all
    focus: TrialKey | None = None
    marks: set[TrialKey] = field(default_factory=set)
    filter: str = ""
    sort: str | None = None  # a column; None: what suits the trials
    descending: bool = False
    step: int | None = None  # the time machine: ranks as they were at this step; a restart is back in the present
    screens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, tab: str) -> dict[str, Any]:
        """Return what a screen remembers, to read and to change."""
        return self.screens.setdefault(tab, {})

    def toggle(self, key: TrialKey) -> None:
        """Mark a trial, or take the mark away."""
        self.marks.symmetric_difference_update({key})


def view_path(folder: Path) -> Path:
    """Return where the view of a study's results is kept: in the user's state folder."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return platformdirs.user_state_path(APPLICATION) / "views" / f"{folder.name}-{digest}.json"


def load_view(path: Path) -> View:
    """Return the view that was left; a new one where there is none or it cannot be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        view = View(**{key: value for key, value in record.items() if key in _FIELDS})
        view.step = None
        view.marks = {(phase, trial) for phase, trial in view.marks}
        view.focus = None if view.focus is None else (str(view.focus[0]), str(view.focus[1]))
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return View()
    return view if _is_sound(view) else View()


def save_view(view: View, path: Path) -> None:
    """Write the view; whole or not at all. A disk that takes none is no reason to disturb anyone."""
    record = {**dataclasses.asdict(view), "marks": sorted(view.marks)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(record).encode())
    except OSError:
        pass


_FIELDS = {entry.name for entry in dataclasses.fields(View)}


def _is_sound(view: View) -> bool:
    """Tell whether what was read has the types it should have; the file is the user's to edit."""
    kinds: dict[str, type | UnionType] = {"tab": str, "filter": str, "screens": dict}
    kinds |= {"phase": str | None, "sort": str | None, "step": int | None}
    return all(isinstance(getattr(view, name), kind) for name, kind in kinds.items())
