"""What a generated text has copied word for word from the training text, for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from litegpt.results.samples import Copied

if TYPE_CHECKING:
    from litegpt.text.copied import CopiedPassage


def told(copied: Copied | None) -> str:
    """Return the figures in words."""
    if copied is None:
        return ""
    if not copied.longest:
        return "nothing copied"
    control = f" · of the validation text {copied.validation_share:.0%}"
    return f"{copied.share:.0%} of the {copied.unit} copied, at most {copied.longest} in a row{control}"


def highlighted(text: str, passages: Sequence[CopiedPassage]) -> Content:
    """Highlight the copied passages of a text, each followed by its number of words or characters."""
    parts: list[str | tuple[str, str]] = []
    at = 0
    for passage in passages:
        parts += [text[at : passage.start], (text[passage.start : passage.end], "$accent")]
        parts.append((f"⟨{passage.units}⟩", "$text-muted"))
        at = passage.end
    return Content.assemble(*parts, text[at:])
