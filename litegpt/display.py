"""Values as text for people: numbers, durations, and text from files made safe to show."""

from __future__ import annotations

import os
import re
from typing import Any

HARMFUL = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: escape sequences begin with one of them
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or reordering their line
    "\ud800-\udfff"  # surrogates: no encoding takes them
    "]"
)
"""A character that moves the cursor, recolours or reorders a terminal's line, or cannot be printed at all."""

MISSING = "-"


def wants_plain_text() -> bool:
    """True if charts should be tables: on a dumb terminal, or for a screen reader (ACCESSIBLE=1)."""
    return os.environ.get("TERM") == "dumb" or os.environ.get("ACCESSIBLE", "0") not in ("", "0")


def inert(text: str, *, newlines: bool = False) -> str:
    """Return text that cannot act on a terminal: each harmful character becomes one visible symbol (ESC becomes ␛).

    With `newlines`, line breaks and tabs are kept; otherwise the result is one line. Markup is the screen's affair.
    """
    if newlines:
        text = text.replace("\r\n", "\n")
    return HARMFUL.sub(lambda match: match[0] if newlines and match[0] in "\n\t" else _symbol(match[0]), text)


def spreadsheet_cell(cell: Any) -> Any:
    """Return a cell of a CSV file; a spreadsheet would run a text that begins like a formula."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell


def _symbol(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def duration(seconds: float | None) -> str:
    """Return a time as people read it: '2.5 s', '12 s', '3:05', '2:03:05', '1,700 h'."""
    if seconds is None:
        return MISSING
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{seconds / 3600:,.0f} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def value(setting: object) -> str:
    """Return the value of a hyperparameter."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def number(amount: float | None, form: str) -> str:
    """Return a number in a format, or a dash."""
    return MISSING if amount is None else f"{amount:{form}}"


def loss(nats: float | None) -> str:
    """Return a loss in at most six characters, or a dash."""
    return number(nats, ".4f" if nats is None or abs(nats) < 10 else ".2f")


def difference(nats: float | None) -> str:
    """Return the difference of two losses with its sign, or a dash."""
    return number(nats, "+.4f")


def count(things: float | None) -> str:
    """Return a whole number with separators ('1,234'), or a dash."""
    return number(things, ",.0f")


def short_count(things: float | None) -> str:
    """Return a number in three digits ('500', '110K', '42.7M', '175B'), or a dash."""
    if things is None:
        return MISSING
    for limit, unit, suffix in ((999.5, 1.0, ""), (999_500, 1e3, "K"), (999_500_000, 1e6, "M")):
        if things < limit:
            return f"{things / unit:.3g}{suffix}"
    return f"{things / 1e9:.4g}B"


def short_range(least: float, most: float) -> str:
    """Return the range of two numbers in three digits each, one number if they look the same."""
    return "-".join(dict.fromkeys((short_count(least), short_count(most))))


def byte_size(size: float) -> str:
    """Return a number of bytes as people read it: '37 KB', '3.48 GB'."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
