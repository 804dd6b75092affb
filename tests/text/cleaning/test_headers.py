"""Headers and footers that recur on each page are removed; the headings of chapters are kept."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.text.cleaning.clean import clean_text

NOVELLA = (Path(__file__).parents[3] / "data" / "novella.txt").read_text(encoding="utf-8")
BODY = "\n\n".join(NOVELLA[:30_000].split("\n\n")[4:])
TITLE, AUTHOR = "Two Flashes and a Wait", "Isbel Tarn"
ROMAN = re.findall(r"\w+", "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx xxi xxii")


def paged(head: Callable[[int], list[str]], foot: Callable[[int], list[str]], margins: tuple[int, int] = (0, 0)) -> str:
    """Return BODY on pages of thirty lines; the first page has no header."""
    lines = [line for text in BODY.split("\n\n") for line in textwrap.wrap(text, 62, initial_indent="   ")]
    pages = []
    for number, start in enumerate(range(0, len(lines), 30), 1):
        page = [*(head(number) if start else ()), "", *lines[start : start + 30], "", *foot(number)]
        pages.append(textwrap.indent("\n".join(page), " " * margins[number % 2]))
    return "\n".join(pages) + "\n"


def nothing(number: int) -> list[str]:
    return []


@pytest.mark.parametrize(
    ("head", "foot"),
    [
        (lambda n: [TITLE, AUTHOR, f"- {n} -"], nothing),
        (nothing, lambda n: [str(n), TITLE, "Harbour Press"]),
        (nothing, lambda n: [ROMAN[n - 1]]),
        (lambda n: [f"{ROMAN[n - 1]}   {AUTHOR}" if n % 2 else f"{TITLE}   {ROMAN[n - 1]}"], nothing),
        (lambda n: [f"12/24/19, 9:04 PM                    {TITLE} - {AUTHOR}"], lambda n: [str(n)]),
        (lambda n: [f"{TITLE}    {n}/24"], nothing),
        (lambda n: [f"{TITLE}    Page {n} of 24"], nothing),
        (lambda n: [f"{AUTHOR}{n}" if n % 2 else f"{n}{TITLE}"], nothing),
    ],
    ids=[
        "three heads",
        "three feet",
        "roman numbers",
        "roman numbers in the header",
        "as long as a line",
        "of a total",
        "page and total",
        "a number without a blank",
    ],
)
def test_headers_of_many_forms_are_removed(head: Callable[[int], list[str]], foot: Callable[[int], list[str]]) -> None:
    assert clean_text(paged(head, foot)) == BODY + "\n"


def test_alternating_margins_are_removed() -> None:
    assert clean_text(paged(lambda n: [f"{n}   {AUTHOR}"], nothing, margins=(6, 14))) == BODY + "\n"


@pytest.mark.parametrize("heading", ["{}", "Chapter {}", "LETTER {}"])
def test_numbered_headings_after_form_feeds_are_kept(heading: str) -> None:
    numbers = iter(range(1, 100))
    text = re.sub(r"CHAPTER [IVXL]+\n\n[^\n]+", lambda _: heading.format(next(numbers)), NOVELLA)
    assert clean_text(re.sub(rf"^{heading.format('[0-9]+')}$", "\f\\g<0>", text, flags=re.MULTILINE)) == text


def test_a_heading_after_a_page_break_is_not_joined_to_the_paragraph() -> None:
    before = "and there was in all of the house nothing at all to be found."
    text = re.sub(r".*(\n\n3\n\n)", rf"{before}\1CHAPTER III\n", paged(nothing, lambda n: [str(n)]))
    assert f"{before}\n\nCHAPTER III\n" in clean_text(text)


def test_a_heading_is_kept_if_its_title_is_also_the_header() -> None:
    text = paged(lambda n: [f"{n}   {TITLE}" if n % 2 else f"{AUTHOR}   {n}"], nothing)
    end = text.index(".\n   ", text.index(f"7   {TITLE}")) + 1
    assert f"\n\n{TITLE}\n\n" in clean_text(f"{text[:end]}\n\n{TITLE}\n{text[end:]}")


@pytest.mark.parametrize("header", ["the chair light", "He was never asked."])
def test_repeated_sentence_on_form_feed_pages_is_a_header(header: str) -> None:
    text = paged(lambda n: [header if n % 2 else AUTHOR], nothing)
    assert clean_text(re.sub(rf"^({header}|{AUTHOR})$", "\f\\1", text, flags=re.MULTILINE)) == BODY + "\n"


def test_numbered_headers_after_form_feeds_need_not_interrupt_sentences() -> None:
    paragraphs = BODY.split("\n\n")[:60]
    pages = ["\n\n".join(paragraphs[start : start + 3]) for start in range(0, 60, 3)]
    text = "\f".join(f"A LAMP                {number}\n\n{page}\n" for number, page in enumerate(pages, 7))
    assert clean_text(text) == "\n\n".join(paragraphs) + "\n"
    odd = "\f".join(f"A LAMP                {number * 3}\n\n{page}\n" for number, page in enumerate(pages, 7))
    assert "A LAMP" in clean_text(odd), "the numbers do not count the pages"
