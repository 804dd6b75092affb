from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.display import (
    byte_size,
    count,
    difference,
    duration,
    inert,
    loss,
    short_count,
    short_range,
    spreadsheet_cell,
)

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
def test_control_characters_become_symbols(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_line_breaks_and_tabs_are_kept_on_request() -> None:
    assert inert("two\nlines\r\n\tand\rback", newlines=True) == "two\nlines\n\tand␍back"


@given(ANY_TEXT)
def test_inert_text_has_no_control_characters(text: str) -> None:
    shown = inert(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert len(shown) == len(text)
    assert inert(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(None, "-"), (0, "0 s"), (0.04, "0.0 s"), (2.5, "2.5 s"), (9.97, "10 s"), (12.3, "12 s"), (59.7, "1:00")],
        *[(90, "1:30"), (3599.9, "1:00:00"), (7385, "2:03:05"), (6_120_000, "1,700 h")],
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *[(None, "-"), (0, "0"), (500, "500"), (999.6, "1K"), (1234, "1.23K"), (110_000, "110K"), (999_600, "1M")],
        *[(42_700_000, "42.7M"), (175e9, "175B"), (1.5e12, "1500B")],
    ],
)
def test_short_counts(number: float | None, text: str) -> None:
    assert short_count(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (999.7, "1 KB"), (1234, "1.23 KB"), (5e9, "5 GB"), (2e12, "2.0 TB")],
)
def test_byte_sizes(size: float, text: str) -> None:
    assert byte_size(size) == text


def test_other_numbers() -> None:
    assert (count(1234), count(None)) == ("1,234", "-")
    assert (loss(1.23456), loss(None)) == ("1.2346", "-")
    assert (difference(0.5), difference(None)) == ("+0.5000", "-")
    assert (short_range(110_000, 42_700_000), short_range(110_000, 110_010)) == ("110K-42.7M", "110K")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_does_not_run_a_cell(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"
    assert spreadsheet_cell(f"a{text}") == f"a{text}"
    assert spreadsheet_cell(-1.5) == -1.5
