"""Page layouts in which the novella is typeset and then cleaned."""

from __future__ import annotations

from tests.text.cleaning.typeset import Layout

PAPERBACK = Layout(
    width=62,
    page_lines=34,
    paragraphs="indented",
    header="author and title",
    number="in the header",
    drop_capital="after the first line",
)
"""The layout that the rules were developed with."""

OTHERS = {
    "hardback": Layout(
        width=74,
        page_lines=44,
        paragraphs="spaced",
        header="title and number",
        number="at the foot",
        drop_capital="before",
        form_feeds=True,
        left_margin=6,
    ),
    "proportional": Layout(
        width=58,
        page_lines=29,
        paragraphs="plain",
        header="title and number",
        number="in the header",
        drop_capital="before the heading",
        ragged=4,
    ),
    "wide": Layout(
        width=90,
        page_lines=50,
        paragraphs="plain",
        header="none",
        number="at the foot",
        drop_capital="after the second line",
    ),
    "justified": Layout(
        width=70,
        page_lines=40,
        paragraphs="spaced",
        header="title and number",
        number="at the foot",
        drop_capital="spaced",
        justified=True,
        form_feeds=True,
        left_margin=8,
    ),
    "double-spaced": Layout(
        width=65,
        page_lines=25,
        paragraphs="indented",
        header="none",
        number="at the foot",
        drop_capital="after the first line",
        double_spaced=True,
    ),
    "no numbers": Layout(
        width=48,
        page_lines=26,
        paragraphs="indented",
        header="author and title",
        number="none",
        drop_capital="spaced",
        ragged=2,
        hyphenated=False,
    ),
    "roman": Layout(
        width=64,
        page_lines=36,
        paragraphs="spaced",
        header="none",
        number="roman, at the foot",
        drop_capital="before",
        hyphen="\u00ad",
    ),
    "gutter": Layout(
        width=70,
        page_lines=44,
        paragraphs="plain",
        header="author and title",
        number="at the foot",
        drop_capital="after the second line",
        form_feeds=True,
        left_margin=6,
        gutter=8,
    ),
    "stacked": Layout(
        width=60,
        page_lines=33,
        paragraphs="indented",
        header="title over author",
        number="in the header",
        drop_capital="after the first line",
        ragged=3,
    ),
    "pocket": Layout(
        width=42,
        page_lines=27,
        paragraphs="indented",
        header="none",
        number="at the foot",
        drop_capital="spaced",
        footer="\u00a9 2019 Harbour Press \u2022 www.harbour.example",
    ),
}
"""Layouts that the rules were tested with afterwards."""
