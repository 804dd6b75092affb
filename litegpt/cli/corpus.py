"""`litegpt corpus FILE|STUDY.toml`: statistics of a text, before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.study.split import SplitRule
from litegpt.study.study import read_study
from litegpt.text.corpus import Corpus, read_corpus
from litegpt.text.split import SplitText

# Describing a text loads numpy, so that its modules are imported when they are needed.
if TYPE_CHECKING:
    from litegpt.text.describe import Description
    from litegpt.text.duplicates import Duplicates

FREQUENT = 12
ODD = 12
NAME_CHARACTERS = 26
PASSAGE_CHARACTERS = 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("text", type=Path, metavar="FILE", help="a text, a folder, a glob, or a study's TOML file")
    parser.add_argument("--encoding", metavar="NAME", help="the encoding of a text that is not Unicode")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the statistics of a text."""
    path: Path = arguments.text
    try:
        split = _split_text(path, arguments.encoding)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from None
    if split.validation_characters < 2 or split.train_characters < 1:
        raise InputError("the text is too short to describe: its validation split has fewer than two characters", path)
    if arguments.json:
        print(json.dumps(_record(split)))
    else:
        _print(Console(highlight=False), split)
    return Exit.WELL


def _split_text(path: Path, encoding: str | None) -> SplitText:
    if path.suffix == ".toml":
        study = read_study(path)
        return SplitText(read_corpus(study.corpus, study.corpus_base, encoding), study.split)
    return SplitText(read_corpus(str(path), Path(), encoding), SplitRule())


def _record(split: SplitText) -> dict[str, object]:
    from litegpt.text.describe import describe

    return {
        "corpus": split.corpus.path,
        "sha256": split.corpus.sha256,
        "training_characters": split.train_characters,
        "validation_characters": split.validation_characters,
        "vocab_size": len(split.corpus.symbols),
        **dataclasses.asdict(describe(split)),
    }


def _print(console: Console, split: SplitText) -> None:
    from litegpt.text.describe import describe

    about = describe(split)
    _print_sizes(console, split, about)
    _print_frequent(console, about)
    _print_odd(console, about)
    _print_duplicates(console, split.corpus, about.duplicates)
    _print_baselines(console, about, split.rule)
    _print_cleaning(console, split.corpus, about)


def _print_sizes(console: Console, split: SplitText, about: Description) -> None:
    corpus = split.corpus
    console.print(Text(inert(corpus.path), style="bold"), soft_wrap=True)
    sizes = _table("right", "left")
    for name, number, note in (
        ("characters", about.characters, f"{len(corpus.symbols):,} different"),
        ("training split", split.train_characters, ""),
        ("validation split", split.validation_characters, inert(split.rule.description)),
        ("lines", about.lines, f"the longest has {about.longest_line:,} characters"),
        ("paragraphs", about.paragraphs, ""),
        ("words", about.words, f"{about.distinct_words:,} different"),
    ):
        sizes.add_row(name, f"{number:,}", Text(note))
    console.print(sizes)
    if about.described < about.characters:
        console.print(f"  lines and all below: a sample of {about.described:,} characters, spread evenly over the text")


def _print_frequent(console: Console, about: Description) -> None:
    _print_heading(console, "Most frequent")
    shares = [
        Text(f"{_visible(character)} {100 * count / about.described:.1f} %")
        for character, count in list(about.symbols.items())[:FREQUENT]
    ]
    frequent = Table.grid(padding=(0, 2), pad_edge=True)
    for row in (shares[: FREQUENT // 2], shares[FREQUENT // 2 :]):
        frequent.add_row(*row)
    console.print(frequent)


def _print_odd(console: Console, about: Description) -> None:
    _print_heading(console, "Odd characters")
    if not about.odd:
        console.print("  none")
        return
    table = _table("right", "left", "left")
    for odd in about.odd[:ODD]:
        where = f"{odd.why}, line {odd.line:,}"
        table.add_row(Text(_visible(odd.character)), f"{odd.count:,}", Text(odd.name[:NAME_CHARACTERS]), where)
    console.print(table)
    if len(about.odd) > ODD:
        console.print(f"  and {len(about.odd) - ODD:,} more; --json lists all")


def _print_duplicates(console: Console, corpus: Corpus, duplicates: Duplicates) -> None:
    from litegpt.text.describe import line_numbers
    from litegpt.text.duplicates import WINDOW

    _print_heading(console, "Repeated")
    console.print(f"  {100 * duplicates.share:.2f} %, in passages of at least {WINDOW} characters")
    leaked = f"{100 * duplicates.validation_share:.2f} %"
    console.print(f"  {leaked} of the validation split also occurs in the training split")
    table = _table("right", "left")
    positions = (position for passage in duplicates.passages for position in (passage.start, passage.earlier))
    lines = line_numbers(corpus, positions)
    for passage in duplicates.passages:
        text = inert("".join(corpus.pieces(passage.start, passage.start + passage.length)).strip())
        where = f"line {lines[passage.start]:,} as {lines[passage.earlier]:,}"
        table.add_row(where, f"{passage.length:,}", Text(text[:PASSAGE_CHARACTERS]))
    if duplicates.passages:
        console.print(table)


def _print_baselines(console: Console, about: Description, rule: SplitRule) -> None:
    _print_heading(console, "Baselines: predicted by counting")
    losses = _table("right", "left")
    for name, loss in about.baselines.items():
        losses.add_row(name, f"{loss:.4f}", f"nats per character, {loss / math.log(2):.2f} bits")
    console.print(losses)
    if about.contrast is not None and (warning := about.contrast.warning(rule)):
        console.print(Text(f"  {warning}"), soft_wrap=True)


def _print_cleaning(console: Console, corpus: Corpus, about: Description) -> None:
    _print_heading(console, "Cleaning")
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


def _print_heading(console: Console, title: str) -> None:
    console.print(Text(f"\n{title}", style="bold"))


def _table(*justify: str) -> Table:
    """Return a table without lines: a column of names, then one column per alignment."""
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2))
    table.add_column(no_wrap=True)
    for alignment in justify:
        table.add_column(justify="right" if alignment == "right" else "left", overflow="ellipsis", no_wrap=True)
    return table


def _visible(character: str) -> str:
    """Return a character in a form that can be recognised on a screen."""
    named = {" ": "space", "\n": "line break", "\t": "tab"}
    if character in named:
        return named[character]
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
