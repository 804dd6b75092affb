"""`litegpt corpus FILE|STUDY.toml`: what a text is like, before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.plan.corpus import read_corpus
from litegpt.plan.errors import InputError
from litegpt.plan.split import SplitRule, SplitText
from litegpt.plan.study import read_study
from litegpt.results.text import inert

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
    if path.suffix == ".toml":
        study = read_study(path)
        split = read_corpus(study.corpus, study.corpus_base).split(study.split)
    else:
        split = read_corpus(str(path), Path()).split(SplitRule())
    if split.validation_characters < 2 or split.train_characters < 1:
        raise InputError("the text is too short to describe: not even two characters are left for validation", path)
    if arguments.json:
        print(json.dumps(_record(split)))
    else:
        _print(Console(highlight=False), split)
    return Exit.WELL


def _record(split: SplitText) -> dict[str, object]:
    from litegpt.text.describe import describe  # it loads numpy

    corpus = split.corpus
    description = describe(split.train_text + split.validation_text, split.train_characters)
    return {
        "corpus": corpus.path,
        "sha256": corpus.sha256,
        "training_characters": split.train_characters,
        "validation_characters": split.validation_characters,
        "vocab_size": len(corpus.symbols),
        **dataclasses.asdict(description),
    }


def _print(console: Console, split: SplitText) -> None:
    from litegpt.text.describe import describe  # it loads numpy
    from litegpt.text.duplicates import WINDOW

    corpus = split.corpus
    cut = split.train_characters
    text = split.train_text + split.validation_text
    about = describe(text, cut)
    console.print(Text(inert(corpus.path), style="bold"), soft_wrap=True)
    sizes = _table("right", "left")
    for name, number, more in (
        ("characters", about.characters, f"{len(about.symbols):,} different"),
        ("lines", about.lines, f"the longest has {about.longest_line:,} characters"),
        ("paragraphs", about.paragraphs, ""),
        ("words", about.words, f"{about.distinct_words:,} different"),
        ("training split", cut, ""),
        ("validation split", len(text) - cut, split.rule.told),
    ):
        sizes.add_row(name, f"{number:,}", more)
    console.print(sizes)

    _head(console, "Most frequent")
    shares = [f"{_shown(c)} {100 * n / len(text):.1f} %" for c, n in list(about.symbols.items())[:FREQUENT]]
    for row in (shares[: FREQUENT // 2], shares[FREQUENT // 2 :]):
        console.print(Text("  " + "".join(f"{share:<13}" for share in row).rstrip()))

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
    beginning = "" if twice.looked_at == len(text) else f" of the first {twice.looked_at:,} characters"
    console.print(f"  {100 * twice.share:.2f} %{beginning}, in stretches of {WINDOW} characters and more")
    console.print(f"  {100 * twice.validation_share:.2f} % of the validation split stands in the training split")
    passages = _table("left", "right", "left")
    for passage in twice.passages:
        here, there = (text.count("\n", 0, at) + 1 for at in (passage.start, passage.earlier))
        shown = inert(text[passage.start : passage.start + passage.length].strip())[:PASSAGE_CHARACTERS]
        passages.add_row(f"line {here:,} as {there:,}", f"{passage.length:,}", Text(shown))
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
    if named.is_file():
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
