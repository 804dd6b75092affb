"""Rules for single characters and spaces."""

from __future__ import annotations

import pytest

from litegpt.text.cleaning.characters import normalise_unicode
from litegpt.text.cleaning.clean import clean_text

BROKEN = """\
The reader of this book had gone out to buy a pound of tea, a
quarter of butter, and anything else that was to be had at that
hour of the day. It was a well-known shop, and what he car\u00ad
ried out of it again was not what he had been going in for.
"""


@pytest.mark.parametrize(
    ("source", "cleaned"),
    [
        ("one\u2028two\u2029three\x0bfour\n", "one\ntwo\nthree\nfour\n"),
        ("one\x1ctwo\x1fthree\n", "one two three\n"),
        ("it is so\u00adft\u00ad\n", "it is soft-\n"),
        ("<ann> \x0304red\x03 and \x034,12blue\x03 \x02bold\x02\n", "<ann> red and blue bold\n"),
        ("It was so, and then the  cat had gone out of the house again.\n", None),
        ("name  width\nsmall  64\nlarge  as wide\n",) * 2,
    ],
)
def test_separators_still_separate_words(source: str, cleaned: str | None) -> None:
    assert clean_text(source) == (cleaned if cleaned is not None else source.replace("  ", " "))


def test_a_soft_hyphen_at_the_end_of_a_line_is_a_hyphen() -> None:
    assert "what he carried out of it" in clean_text(BROKEN)


@pytest.mark.parametrize(
    ("text", "count"),
    [("e\u0301" + "x" * 50, 1), ("\u212b and u\u0308", 2), ("q\u0307\u0323", 1), ("\u00e9", 0)],
)
def test_each_change_is_counted_once(text: str, count: int) -> None:
    assert normalise_unicode(text)[1] == count
