"""Cleaning restores a typeset text, and leaves clean texts and everything but prose unchanged."""

from __future__ import annotations

import inspect
import re
import sched
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from litegpt.text.cleaning import lines
from litegpt.text.cleaning.clean import RULES, CleaningResult, clean_file, clean_text
from litegpt.text.cleaning.lines import ChangeLog, TextLine, read_lines
from tests.text.cleaning.layouts import OTHERS, PAPERBACK
from tests.text.cleaning.typeset import Layout, typeset

ROOT = Path(__file__).parents[3]
NOVELLA = (ROOT / "data" / "novella.txt").read_text(encoding="utf-8")


def likeness(text: str) -> float:
    """Return the share of the novella's characters that a text has in common with it, at least 0.9."""
    most = len(NOVELLA) // 10
    return 1 - Levenshtein.distance(NOVELLA, text, score_cutoff=most, score_hint=100) / len(NOVELLA)


def test_a_clean_text_is_unchanged() -> None:
    assert clean_text(NOVELLA) == NOVELLA


def test_a_typeset_text_is_restored() -> None:
    typeset_text = typeset(NOVELLA, PAPERBACK)
    assert len(typeset_text) > 1.02 * len(NOVELLA)
    cleaned = clean_text(typeset_text)
    assert likeness(cleaned) >= 0.995
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize("layout", OTHERS.values(), ids=OTHERS.keys())
def test_other_layouts_are_restored(layout: Layout) -> None:
    cleaned = clean_text(typeset(NOVELLA, layout))
    assert likeness(cleaned) >= 0.98
    assert "Isbel Tarn   " not in cleaned
    assert not re.search(r"^(TWO FLASHES AND A WAIT +)?\d+$", cleaned, re.MULTILINE)


KEPT = {
    "verse": """\
The Owl and the Pussy-cat went to sea
   In a beautiful pea-green boat,
They took some honey, and plenty of money,
   Wrapped up in a five-pound note.
The Owl looked up to the stars above,
   And sang to a small guitar,
"O lovely Pussy, O Pussy, my love,
    What a beautiful Pussy you are!"
""",
    "verse in small letters": "so much depends\nupon\n\na red wheel\nbarrow\n\nglazed with rain\nwater\n\n" * 3,
    "a play": "HAMLET.\nTo be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n\n"
    "OPHELIA.\nGood my lord,\nHow does your honour for this many a day?\n\n" * 30,
    "a refrain": "and the green grass grew all around, all around,\nAnd the green grass grew all around\n\n" * 40,
    "a list": "Take with you:\n\n- a rope\n- two lamps, filled\n- tea\n\n1. Light the lamp.\n2. Count.\n",
    "a table": "name     width  loss\nsmall       64  1.92\nmedium     128  1.81\nlarge      256  1.77\n",
    "columns by tab": "a\tb\tc\n1\t2\t3\n",
    "rows": "2026-11-24,run,1.92,done\n2026-11-24,run,1.81,done\n" * 20,
    "a log": "".join(f"12:{m:02}:07 worker {m % 3} evaluated step {m}\n" for m in range(60)),
    "numbered headings": "".join(
        f"{n}. Of the tide\n\nIt came in, and it went out. It was wet.\n\n" for n in range(1, 40)
    ),
    "code": (ROOT / "litegpt" / "errors.py").read_text(encoding="utf-8"),
    "code with much to read": inspect.getsource(sched),
    "pins": (ROOT / "constraints.txt").read_text(encoding="utf-8"),
    "settings": (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
    "a style sheet": "Screen {\n    layout: vertical;\n    padding: 1 2;\n}\n",
    "letters as an index": "A\n\nabacus, 12\nanchor, 14\n\nB\n\nbarge, 3\nbeacon, 9, 17\n",
    "another script": "Мой дядя самых честных правил,\nКогда не в шутку занемог,\nОн уважать себя заставил\n",  # noqa: RUF001
    "emoji with joiners": "\N{MAN}\u200d\N{WOMAN} and \N{WHITE HEART SUIT}\ufe0f\n",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_other_texts_than_prose_keep_their_lines(text: str) -> None:
    text = text.strip("\n") + "\n"
    assert clean_text(text) == text


EBOOK = "THIS PROJECT GUTENBERG EBOOK A BOOK"
PROSE = (
    "The reader of this book had gone out to buy a pound of tea, a quarter of butter, and anything else that was to be "
    "had at that hour of the day. It was a well-known shop, and he went in, and then he came out of it again."
)


def wrapped(text: str, width: int = 60) -> str:
    return textwrap.fill(text, width)


def test_verse_lists_and_tables_within_prose_are_kept() -> None:
    kept = '  "A pound of tea," said I,\n  "And a quarter of a pie,\n    And a parrot in a cage."'
    table = "  Item          Price\n  Tea             1/6\n  Butter            9"
    items = "- tea\n- butter, which was not to be had at any price at all\n- a parrot"
    parts = [PROSE, PROSE, kept, table, items, PROSE]
    source = "\n\n".join(wrapped(part) if part is PROSE else part for part in parts) + "\n"
    assert clean_text(source) == "\n\n".join(parts) + "\n"


def test_broken_words_are_rejoined_as_the_text_writes_them() -> None:
    source = (
        "The lighthouse keeper had a well-known cat, and the cat had a\n"
        "lighthouse of her own. She was well aware of it: that light-\n"
        "house was known to be hers. No one in the place was so well-\n"
        "known as she was, for an animal of her size and disposi-\n"
        "tion. They would come to see her in the summer, from all a-\n"
        "long the coast, and she would look at them.\n"
    )
    cleaned = clean_text(source)
    assert "that lighthouse was" in cleaned
    assert "so well-known as" in cleaned
    assert "disposition. They" in cleaned
    assert cleaned.count("\n") == 1


@pytest.mark.parametrize(
    ("rule", "source", "cleaned"),
    [
        ("quotes", "\u201cIt\u2019s,\u201d she said, \u2018so\u2019\n", "\"It's,\" she said, 'so'\n"),
        ("dashes", "no\u2014yes \u2013 1914\u20131918\u2026\n", "no--yes - 1914-1918...\n"),
        ("mojibake", "It\u00e2\u20ac\u2122s caf\u00c3\u00a9\n", "It\u2019s caf\u00e9\n"),
        ("unicode", "e\u0301 of\ufb01ce so\u00adft\u200b\ufeff\x07\n", "\u00e9 office soft\n"),
        ("spaces", "\n\na\u00a0b.  C \t\n\n\n\n\nd\n\n", "a b. C\n\n\nd\n"),
        ("capitals", "T\nhere is a rule. There was one.\n", "There is a rule. There was one.\n"),
        (
            "capitals",
            "The Chair\nT\nhere is a rule in the family. There was one.\n",
            "The Chair\nThere is a rule in the family. There was one.\n",
        ),
        ("capitals", "W\nE HAD ONE boat. So we had.\n", "WE HAD ONE boat. So we had.\n"),
        (
            "gutenberg",
            f"x\n*** START OF {EBOOK} ***\ntext\n*** END OF {EBOOK} ***\ny\n",
            "text\n",
        ),
        (
            "gutenberg",
            "End of Project Gutenberg is what it is.\ntext\nEnd of Project Gutenberg's A Book\ny\n",
            "End of Project Gutenberg is what it is.\ntext\n",
        ),
    ],
)
def test_each_rule_can_be_used_alone_and_left_out(rule: str, source: str, cleaned: str) -> None:
    assert clean_text(source, (rule,)) == cleaned
    others = tuple(name for name in RULES if name != rule)
    assert clean_text(source, others) != clean_text(source)


SCRAPS = [
    "the",
    "a",
    "rule",
    "It",
    "t-",
    "T",
    "12",
    "\u201cwe",
    "light-house.",
    "\u2014",
    "i",
    "\u00e2\u20ac\u2122",
    "A",
]
LINES = ["", "", "12", "T", "    He was there, and he", "The Chair   12", "\f", "- tea", f"*** START OF {EBOOK}"]
ANY_LINE = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(st.sampled_from(SCRAPS), max_size=14).map(" ".join),
    st.sampled_from(LINES),
)


@given(st.lists(ANY_LINE, max_size=30), st.sets(st.sampled_from(sorted(RULES))))
def test_cleaning_again_changes_nothing(lines: list[str], without: set[str]) -> None:
    rules = tuple(rule for rule in RULES if rule not in without)
    cleaned = clean_text("\n".join(lines) + "\n", rules)
    assert clean_text(cleaned, rules) == cleaned


def test_a_very_long_line_is_cleaned_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    source = tmp_path / "long.txt"
    line = "it\u2019s one two " * 40
    source.write_text(f"short\n{line}\n{'x' * 250}\nshort", encoding="utf-8")
    with source.open(encoding="utf-8") as file:
        result, cleaned = clean_file(read_lines(file), tuple(RULES), tmp_path)
    expected = line.replace("\u2019", "'").strip()
    assert result.read_text(encoding="utf-8").split("\n") == ["short", expected, "x" * 250, "short", ""]
    assert cleaned.lines == (4, 4)
    assert cleaned.characters[1] == result.stat().st_size


def test_cleaning_in_parts_gives_the_same_text(tmp_path: Path) -> None:
    source = typeset(NOVELLA[:60_000], OTHERS["hardback"])
    shown: list[tuple[int, int, ChangeLog]] = []

    def show(before: list[TextLine], after: list[TextLine], log: ChangeLog) -> None:
        shown.append((len(before), len(after), log))

    result, cleaned = clean_file(source.split("\n"), tuple(RULES), tmp_path, show, part_characters=20_000)
    assert isinstance(cleaned, CleaningResult)
    assert len(shown) >= 3
    whole, parts = clean_text(source), result.read_text(encoding="utf-8")
    assert Levenshtein.distance(whole, parts) < 0.01 * len(whole)
    assert not re.search(r"[^\n]{100}\n[^\n]{100}", parts), "a blank line separates paragraphs"
    assert cleaned.counts["quotes"] == sum(source.count(quote) for quote in "\u201c\u201d\u2018\u2019")
    assert cleaned.characters[1] == len(parts)


NOTICE = "<<THIS ELECTRONIC VERSION IS COPYRIGHT BY A LIBRARY AND IS\nPROVIDED BY PROJECT\nGUTENBERG ETEXT.>>"


def test_notices_and_titles_of_project_gutenberg_are_removed() -> None:
    quoted = "<<He said it>> and went.\n\n<<THIS IS A QUOTATION\nWITHOUT THE NAME>>"
    book = f"{PROSE}\n\n{NOTICE}\n\n{quoted}\n\n{PROSE} Produced by hand.\n"
    expected = book.replace(f"{NOTICE}\n\n", "")
    title = (
        "The Project Gutenberg Etext of A Lamp, by A. Keeper\n\n"
        "This header should be the first thing seen when anyone opens the file.\n\n"
    )
    assert clean_text(book, ("gutenberg",)) == expected
    ended = f"{title}{book}\nEnd of the Project Gutenberg Etext of A Lamp\n\n*END THE SMALL PRINT! FOR ETEXTS*\n"
    assert clean_text(ended, ("gutenberg", "spaces")) == expected
    marked = f"*** START OF {EBOOK} ***\n\nProduced by A. Keeper and\nthe team\n\n{book}*** END OF {EBOOK} ***\n"
    assert clean_text(marked, ("gutenberg", "spaces")) == expected
    unmarked = f"{title}{PROSE}\n"
    assert clean_text(unmarked, ("gutenberg",)) == unmarked, "without a mark, it may be an essay"


def test_two_columns_are_kept_and_reported(tmp_path: Path) -> None:
    left = textwrap.wrap(NOVELLA[2000:6000].replace("\n", " "), 38)
    right = textwrap.wrap(NOVELLA[9000:13000].replace("\n", " "), 38)
    lines = [f"{a:40}{b}" for a, b in zip(left, right, strict=False)]
    target, result = clean_file(lines, tuple(RULES), tmp_path)
    assert target.read_text(encoding="utf-8") == "\n".join(lines) + "\n"
    assert result.column_lines == len(lines)
    for name in ("paperback", "justified"):
        layout = PAPERBACK if name == "paperback" else OTHERS[name]
        _, result = clean_file(typeset(NOVELLA[:30_000], layout).split("\n"), tuple(RULES), tmp_path)
        assert result.column_lines == 0
    table = [f"{name:20}{'large and red' if i % 2 else 'small and blue'}" for i, name in enumerate(["A Lamp"] * 40)]
    _, result = clean_file(table, tuple(RULES), tmp_path)
    assert result.column_lines == 0
