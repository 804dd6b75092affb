"""Text in places that read markup: titles of panes, and what `Static` takes."""

from __future__ import annotations


def literal(text: str) -> str:
    """Return markup that shows a text as it is, brackets and all."""
    return text.replace("[", "\\[")
