"""Copying: to the terminal's clipboard, and to a file for terminals that have none to offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import platformdirs

from tui.view import APPLICATION

if TYPE_CHECKING:
    from tui.app import ConsoleApp

CLIPBOARD_BYTES = 74_994  # what terminals take in one OSC 52


def copy_text(app: ConsoleApp, name: str, text: str) -> None:
    """Copy text through the terminal (OSC 52, over SSH too) and write it to a file; say where."""
    path = platformdirs.user_state_path(APPLICATION) / "copied" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        where = f"and in {path}"
    except OSError as error:
        where = f"only: {error}"
    if len(text.encode()) <= CLIPBOARD_BYTES:
        app.copy_to_clipboard(text)
        app.notify(f"copied, {where}", markup=False)
    else:
        app.notify(f"too long for the clipboard; it is in {path}", markup=False)
