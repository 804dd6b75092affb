from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.display import inert

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Глава, 章, 🙂", "plain text, Глава, 章, 🙂"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b2J\x7f", "�2J␡"),
        ("safe\u202egnp.exe\u2066", "safe�gnp.exe�"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        ("two\nlines\r\n\tand", "two␊lines␍␊␉and"),
    ],
)
def test_what_acts_on_a_terminal_becomes_a_symbol(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_line_breaks_and_tabs_are_kept_on_request() -> None:
    assert inert("two\nlines\r\n\tand\rback", newlines=True) == "two\nlines\n\tand␍back"


@given(ANY_TEXT)
def test_nothing_shown_is_a_control_character(text: str) -> None:
    shown = inert(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert len(shown) == len(text)
    assert inert(shown) == shown
    shown.encode()
