"""The user's set-up of the tabs for one study. It is saved when the console quits and loaded when it starts."""

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
TABS = {
    "live": "Live",
    "leaderboard": "Leaderboard",
    "grid": "Grid",
    "curves": "Curves",
    "importance": "Importance",
    "samples": "Samples",
}
"""The tabs in their order: the name of each and its title."""


@dataclass
class StudyView:
    """The view of one study."""

    tab: str = "live"
    # None means all phases.
    phase: str | None = None
    focus: TrialKey | None = None
    marks: set[TrialKey] = field(default_factory=set)
    filter: str = ""
    # A column of the leaderboard; None sorts by the metric that fits the trials.
    sort: str | None = None
    descending: bool = False
    # The leaderboard shows the ranking as of this step; None, also after a restart, is the latest one.
    step: int | None = None
    # The options of each tab, by the tab's name, as plain JSON data.
    screens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, tab: str) -> dict[str, Any]:
        """Return the options of a tab, which may be changed in place."""
        return self.screens.setdefault(tab, {})

    def toggle(self, key: TrialKey) -> None:
        """Mark a trial, or remove its mark."""
        self.marks.symmetric_difference_update({key})


def view_path(folder: Path) -> Path:
    """Return the file in the user's state folder that keeps the view of a results folder."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return platformdirs.user_state_path(APPLICATION) / "views" / f"{folder.name}-{digest}.json"


def load_view(path: Path) -> StudyView:
    """Load a saved view; a missing or broken file gives a new view."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        view = StudyView(**{key: value for key, value in record.items() if key in _FIELDS})
        view.step = None
        view.marks = {(phase, trial) for phase, trial in view.marks}
        view.focus = None if view.focus is None else (str(view.focus[0]), str(view.focus[1]))
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return StudyView()
    return view if _is_sound(view) else StudyView()


def save_view(view: StudyView, path: Path) -> None:
    """Save the view, whole or not at all. A full or read-only disk is ignored: a view is not worth an error."""
    record = {**dataclasses.asdict(view), "marks": sorted(view.marks)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(record).encode())
    except OSError:
        pass


_FIELDS = {entry.name for entry in dataclasses.fields(StudyView)}


def _is_sound(view: StudyView) -> bool:
    """Check the types, because users may edit the file."""
    kinds: dict[str, type | UnionType] = {"tab": str, "filter": str, "screens": dict}
    kinds |= {"phase": str | None, "sort": str | None, "step": int | None}
    return view.tab in TABS and all(isinstance(getattr(view, name), kind) for name, kind in kinds.items())
