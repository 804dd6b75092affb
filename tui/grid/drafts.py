"""Edits that were not saved: they are kept in the view from one session to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litegpt.study.edit.draft import Draft


def open_draft(path: Path, remembered: dict[str, Any]) -> Draft:
    """Open a study file with the edits that the last session left, if the file is as it was then.

    InputError: it cannot be read, or is not TOML.
    """
    draft = Draft.open(path)
    left = remembered.get("draft")
    if isinstance(left, dict) and left.get("saved") == draft.saved and isinstance(left.get("text"), str):
        draft.restore(left["text"])
    draft.phases()
    return draft


def remember(draft: Draft, remembered: dict[str, Any]) -> None:
    """Keep what of a draft is not saved."""
    remembered.pop("draft", None)
    if draft.is_changed:
        remembered["draft"] = {"saved": draft.saved, "text": draft.text}
