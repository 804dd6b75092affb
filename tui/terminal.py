"""Text for the terminal around the screen: its title, bell, notifications and clipboard, and literal markup."""

from __future__ import annotations

import codecs
import os
import sys
from typing import Any

import platformdirs
from textual.app import App

from litegpt.display import inert
from litegpt.errors import InputError
from tui.feed import Feed
from tui.view import APPLICATION

# Terminals accept at most this many bytes in one OSC 52 sequence.
CLIPBOARD_BYTES = 74_994


def check_terminal() -> None:
    """Raise InputError if the console cannot draw: without a terminal, on a dumb one, or without Unicode."""
    # textual-serve names its driver here. Its consoles draw into a pipe.
    if "TEXTUAL_DRIVER" in os.environ:
        return
    # Textual reads keys from stdin and draws on stderr. A redirected stdout means a script.
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise InputError("the console needs a terminal; `litegpt status` and `litegpt leaderboard` print text")
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise InputError("this terminal (TERM=dumb) cannot show the console; `litegpt status` prints text")
    encoding = getattr(sys.__stderr__, "encoding", None) or "ascii"
    if codecs.lookup(encoding).name != "utf-8":
        raise InputError(f"the console draws with Unicode characters, and the output is {encoding}: set PYTHONUTF8=1")


def literal(text: str) -> str:
    """Escape a text for widgets that parse markup, such as titles of panes."""
    return text.replace("[", "\\[")


def set_title(app: App[Any], feed: Feed) -> None:
    """Show the running phase and the progress in the terminal's title (OSC 2)."""
    counts = feed.state.counts()
    running = [phase.name for phase in feed.state.phases.values() if phase.started and not phase.ended]
    parts = [feed.location.name or "litegpt", *running[-1:], f"{counts.total - counts.unfinished}/{counts.total}"]
    _write(app, f"\x1b]2;{inert(' '.join(parts))}\x07")


def announce(app: App[Any], sentence: str) -> None:
    """Show a notification, ring the bell, and notify through the terminal (OSC 9)."""
    app.notify(sentence, markup=False)
    app.bell()
    _write(app, f"\x1b]9;{inert(sentence)}\x07")


def copy_text(app: App[Any], name: str, text: str) -> None:
    """Copy text through the terminal (OSC 52, which also works over SSH), and write it to a file of that name.

    The file is for terminals without OSC 52 and for texts that are too long for it. Control characters are replaced:
    a text that came from a file must not act on the terminal or the shell that it is pasted into.
    """
    text = inert(text, newlines=True)
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


def _write(app: App[Any], sequence: str) -> None:
    driver = app._driver
    if driver is not None and not app.is_headless:
        driver.write(sequence)
