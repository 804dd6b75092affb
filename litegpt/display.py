"""Values as text for people: numbers, durations, and text from files made safe to show."""

from __future__ import annotations

import re

HARMFUL = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: escape sequences begin with one of them
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or reordering their line
    "\ud800-\udfff"  # surrogates: no encoding takes them
    "]"
)
"""A character that moves the cursor, recolours or reorders a terminal's line, or cannot be printed at all."""

FIGURE_NAMES = {
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "best_val_loss": "best validation loss",
    "final_loss": "minibatch loss",
    "bits_per_char": "bits per character",
    "best_bits_per_char": "best bits per character",
    "seconds": "seconds",
}


def inert(text: str, *, newlines: bool = False) -> str:
    """Return text that cannot act on a terminal: each harmful character becomes one visible symbol (ESC becomes ␛).

    With `newlines`, line breaks and tabs are kept; otherwise the result is one line. Markup is the screen's affair.
    """
    if newlines:
        text = text.replace("\r\n", "\n")
    return HARMFUL.sub(lambda match: match[0] if newlines and match[0] in "\n\t" else _symbol(match[0]), text)


def _symbol(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def duration(seconds: float | None) -> str:
    """Return seconds as people read them: '12 s', '3:05', '2:03:05', '1,700 h'."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{seconds / 3600:,.0f} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def value(setting: object) -> str:
    """Return the value of a hyperparameter."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def number(amount: float | None, form: str) -> str:
    """Return a number in a format, or what stands for none."""
    return "-" if amount is None else f"{amount:{form}}"


def loss(nats: float | None) -> str:
    """Return a loss, or what stands for none."""
    return number(nats, ".4f")


def count(things: int | None) -> str:
    """Return a number of things, or what stands for none."""
    return number(things, ",")


def precise_duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it, or what stands for none."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
