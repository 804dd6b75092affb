"""`litegpt corpus FILE|STUDY.toml`: what a text is like, before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.study.split import SplitRule
from litegpt.study.study import read_study
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText

FREQUENT = 12
ODD = 12
NAME_CHARACTERS = 26
PASSAGE_CHARACTERS = 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("text", type=Path, metavar="FILE", help="a text, a folder, a glob, or a study's TOML file")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the description."""
    path: Path = arguments.text
    try:
        split = _split_text(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from None
    if split.validation_characters < 2 or split.train_characters < 1:
        raise InputError("the text is too short to describe: not even two characters are left for validation", path)
    if arguments.json:
        print(json.dumps(_record(split)))
    else:
        _print(Console(highlight=False), split)
    return Exit.WELL


def _split_text(path: Path) -> SplitText:
    if path.suffix == ".toml":
        study = read_study(path)
        return SplitText(read_corpus(study.corpus, study.corpus_base), study.split)
    return SplitText(read_corpus(str(path), Path()), SplitRule())


def _record(split: SplitText) -> dict[str, object]:
    from litegpt.text.describe import describe  # it loads numpy

    return {
        "corpus": split.corpus.path,
        "sha256": split.corpus.sha256,
        "training_characters": split.train_characters,
        "validation_characters": split.validation_characters,
        "vocab_size": len(split.corpus.symbols),
        **dataclasses.asdict(describe(split)),
    }


def _print(console: Console, split: SplitText) -> None:
    from litegpt.text.describe import describe, line_numbers  # it loads numpy
    from litegpt.text.duplicates import WINDOW

    corpus = split.corpus
    about = describe(split)
    console.print(Text(inert(corpus.path), style="bold"), soft_wrap=True)
    sizes = _table("right", "left")
    for name, number, more in (
        ("characters", about.characters, f"{len(corpus.symbols):,} different"),
        ("training split", split.train_characters, ""),
        ("validation split", split.validation_characters, inert(split.rule.told)),
        ("lines", about.lines, f"the longest has {about.longest_line:,} characters"),
        ("paragraphs", about.paragraphs, ""),
        ("words", about.words, f"{about.distinct_words:,} different"),
    ):
        sizes.add_row(name, f"{number:,}", Text(more))
    console.print(sizes)
    if about.described < about.characters:
        console.print(f"  lines and what follows: of {about.described:,} characters, spread evenly over the text")

    _head(console, "Most frequent")
    shares = [Text(f"{_shown(c)} {100 * n / about.described:.1f} %") for c, n in list(about.symbols.items())[:FREQUENT]]
    frequent = Table.grid(padding=(0, 2), pad_edge=True)
    for row in (shares[: FREQUENT // 2], shares[FREQUENT // 2 :]):
        frequent.add_row(*row)
    console.print(frequent)

    _head(console, "Odd characters")
    if about.odd:
        odd = _table("right", "left", "left")
        for found in about.odd[:ODD]:
            where = f"{found.why}, line {found.line:,}"
            odd.add_row(Text(_shown(found.character)), f"{found.count:,}", Text(found.name[:NAME_CHARACTERS]), where)
        console.print(odd)
        if len(about.odd) > ODD:
            console.print(f"  and {len(about.odd) - ODD:,} more; --json has all")
    else:
        console.print("  none")

    _head(console, "In it twice")
    twice = about.duplicates
    console.print(f"  {100 * twice.share:.2f} %, in stretches of {WINDOW} characters and more")
    console.print(f"  {100 * twice.validation_share:.2f} % of the validation split stands in the training split")
    passages = _table("right", "left")
    lines = line_numbers(corpus, (place for passage in twice.passages for place in (passage.start, passage.earlier)))
    for passage in twice.passages:
        shown = inert("".join(corpus.pieces(passage.start, passage.start + passage.length)).strip())
        where = f"line {lines[passage.start]:,} as {lines[passage.earlier]:,}"
        passages.add_row(where, f"{passage.length:,}", Text(shown[:PASSAGE_CHARACTERS]))
    if twice.passages:
        console.print(passages)

    _head(console, "To beat: predicted by counting")
    losses = _table("right", "left")
    for name, loss in about.baselines.items():
        losses.add_row(name, f"{loss:.4f}", f"nats a character, {loss / math.log(2):.2f} bits")
    console.print(losses)

    _head(console, "Cleaning")
    if not about.cleaning:
        console.print("  no rule finds anything to change")
        return
    rules = _table("right", "left")
    for rule, count in about.cleaning.items():
        rules.add_row(rule, f"{count:,}", Text(inert(about.examples.get(rule, "")[:PASSAGE_CHARACTERS])))
    console.print(rules)
    named = corpus.base / corpus.path
    if os.path.isfile(named):
        console.print(Text(inert(f"  litegpt clean {named} --diff")), soft_wrap=True)


def _head(console: Console, title: str) -> None:
    console.print(Text(f"\n{title}", style="bold"))


def _table(*justify: str) -> Table:
    """Return a table without lines: a name, then columns set as said."""
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2))
    table.add_column(no_wrap=True)
    for how in justify:
        table.add_column(justify="right" if how == "right" else "left", overflow="ellipsis", no_wrap=True)
    return table


def _shown(character: str) -> str:
    """Return a character as a reader can tell it."""
    named = {" ": "space", "\n": "line break", "\t": "tab"}
    if character in named:
        return named[character]
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
