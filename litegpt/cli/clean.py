"""`litegpt clean IN [-o OUT]`: clean a text for training, and report what was changed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit, narrator
from litegpt.display import inert
from litegpt.errors import InputError, did_you_mean
from litegpt.text.cleaning.clean import RULES, CleaningResult, ReportProgress, ShowChanges, clean_file
from litegpt.text.cleaning.lines import PAGE, ChangeLog, TextLine
from litegpt.text.decoding import STRAYS, Encoding
from litegpt.text.source import TextSource, open_source

EXAMPLE_CHARACTERS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "rules, in the order in which they are applied:\n" + "\n".join(
        f"  {name:<10} {what}" for name, what in RULES.items()
    )
    parser.add_argument("text", type=Path, metavar="IN", help="a text, a PDF or an EPUB")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="the file to write (default: stdout)")
    parser.add_argument("--encoding", metavar="NAME", help="the encoding of a plain text (default: detected)")
    parser.add_argument("--rules", metavar="NAMES", help="only these rules, separated by commas (default: all)")
    parser.add_argument("--without", metavar="NAMES", help="all rules but these")
    parser.add_argument(
        "--diff", action="store_true", help="print what changes, and by which rule, instead of the text"
    )
    parser.add_argument("--json", action="store_true", help="print the number of changes as JSON; needs --out")


def run(arguments: argparse.Namespace) -> Exit:
    """Clean a text. The text or its changes go to stdout or OUT, the summary goes to stderr."""
    path: Path = arguments.text
    out: Path | None = arguments.out
    rules = choose_rules(arguments.rules, arguments.without)
    if arguments.json and (out is None or arguments.diff):
        raise InputError("--json needs --out and excludes --diff: only one of them can go to stdout")
    if out is not None:
        _check_out(path, out)
    source = open_source(path, arguments.encoding)
    show = _diff_printer() if arguments.diff else None
    try:
        with tempfile.TemporaryDirectory(prefix=".litegpt-", dir=out.parent if out else None) as folder:
            with nullcontext() if arguments.diff else _progress(narrator()) as report:
                cleaned_file, result = clean_file(source.lines(), rules, Path(folder), show, report)
            if out is not None:
                os.replace(cleaned_file, out)
            elif not arguments.diff:
                _print_text(cleaned_file)
    except OSError as error:
        # An error without a file name comes from stdout, which the caller handles.
        if error.filename is None and (out is None or arguments.diff):
            raise
        raise InputError(f"cannot be written: {error.strerror or error}", out or error.filename) from None
    if arguments.json:
        record = {
            "text": str(path),
            "out": str(out),
            "encoding": source.encoding and source.encoding.name,
            "strays": source.encoding.invalid if source.encoding else 0,
            "lines": result.lines,
            "column_lines": result.column_lines,
            "characters": result.characters,
            "rules": {rule: result.counts[rule] for rule in RULES if rule in rules},
        }
        print(json.dumps(record))
    else:
        _narrate(narrator(), source, result)
    return Exit.WELL


def choose_rules(only: str | None, without: str | None) -> tuple[str, ...]:
    """Return the rules that the options select. InputError: an unknown name, or an empty selection."""
    chosen = _names(only) if only is not None else list(RULES)
    rules = [rule for rule in RULES if rule in chosen and rule not in _names(without or "")]
    if not rules:
        raise InputError("no rule is left to apply")
    return tuple(rules)


def _names(option: str) -> list[str]:
    names = [name.strip() for name in option.split(",") if name.strip()]
    for name in names:
        if name not in RULES:
            raise InputError(f"unknown rule '{name}'{did_you_mean(name, RULES) or ': ' + ', '.join(RULES)}")
    return names


def _check_out(path: Path, out: Path) -> None:
    try:
        if out.is_dir():
            raise InputError("expected the name of a file, not of a folder", out)
        if out.exists() and not out.is_file():
            raise InputError("not a regular file; without --out, the text goes to stdout", out)
        if out.exists() and os.path.exists(path) and out.samefile(path):
            raise InputError("this would overwrite the input; name another file", out)
        if not out.parent.is_dir():
            what = "not a folder" if out.parent.exists() else "no such folder"
            raise InputError(f"cannot be written: {what}", out.parent)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", out) from None


def _print_text(path: Path) -> None:
    terminal = sys.stdout.isatty()
    with path.open(encoding="utf-8", newline="\n", errors="replace") as file:
        for line in file:
            sys.stdout.write(inert(line, newlines=True) if terminal else line)


@contextmanager
def _progress(console: Console) -> Iterator[ReportProgress | None]:
    """Show the progress of cleaning on a terminal."""
    if not console.is_terminal:
        yield None
        return
    with console.status("round 1") as status:
        yield lambda number, characters: status.update(f"round {number}: {characters / 1e6:.0f} million characters")


def _diff_printer() -> ShowChanges:
    console = Console(highlight=False)

    def show(before: Sequence[TextLine], after: Sequence[TextLine], log: ChangeLog) -> None:
        for start, end, old, new in changes(before, after):
            touched: Mapping[int, set[str]] = log.touched or {}
            rules = {rule for number in range(start, end + 1) for rule in touched.get(number, ())}
            where = f"{start:,}" if start == end else f"{start:,} to {end:,}"
            named = ", ".join(rule for rule in RULES if rule in rules) or "spaces"
            console.print(Text(f"@@ {where}: {named}", style="cyan"), soft_wrap=True)
            for mark, style, lines in (("-", "red", old), ("+", "green", new)):
                for line in "\n".join(lines).strip("\n").split("\n") if any(lines) else ():
                    console.print(Text(mark + inert(line), style=style), soft_wrap=True)

    return show


def changes(before: Sequence[TextLine], after: Sequence[TextLine]) -> Iterator[tuple[int, int, list[str], list[str]]]:
    """Yield the parts that differ: first and last line number, old lines, new lines."""
    next_old = 0  # the first line of `before` that is not compared yet
    pending: list[str] = []
    first = before[0].number if before else 0
    ends = [line.number for line in after[1:]] + [before[-1].number + 1 if before else 0]
    for line, end in zip(after, ends, strict=True):
        pending.append(line.text)
        # The next line comes from the same original line.
        if end <= first:
            continue
        old: list[str] = []
        while next_old < len(before) and before[next_old].number < end:
            old.append(before[next_old].text)
            next_old += 1
        new = [text for text in pending if text != PAGE]
        if [text for text in old if text.strip()] != [text for text in new if text.strip()]:
            yield first, end - 1, old, new
        pending, first = [], end
    old = [line.text for line in before[next_old:]]
    if any(text.strip() for text in old):
        yield first, before[-1].number, old, pending


def _narrate(console: Console, source: TextSource, result: CleaningResult) -> None:
    before, after = (
        f"{lines:,} lines, {characters:,} characters"
        for lines, characters in zip(result.lines, result.characters, strict=True)
    )
    console.print(Text(inert(f"{source.path}: {before} -> {after}")), soft_wrap=True)
    if encoding := source.encoding:
        _narrate_encoding(console, encoding)
    if result.column_lines:
        console.print(
            f"{result.column_lines:,} lines have two columns of text side by side, which were not joined. Extract the "
            "text column by column (for example with pdftotext, without -layout)."
        )
    if not result.counts:
        console.print("No rule found anything to change.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule")
    table.add_column("changes", justify="right")
    table.add_column("for example", no_wrap=True, overflow="ellipsis")
    for rule in RULES:
        if result.counts[rule]:
            example = result.examples.get(rule, "")[:EXAMPLE_CHARACTERS]
            table.add_row(rule, f"{result.counts[rule]:,}", Text(inert(example)))
    console.print(table)


def _narrate_encoding(console: Console, encoding: Encoding) -> None:
    if encoding.name != "utf-8":
        name = "Windows-1252" if encoding.name == "cp1252" else encoding.name
        console.print(f"It is not UTF-8; it was read as {name}.")
    if encoding.invalid and encoding.errors == STRAYS:
        console.print(f"{encoding.invalid:,} of its characters are not UTF-8; they were read as Windows-1252.")
    elif encoding.invalid:
        console.print(f"{encoding.invalid:,} of its characters are invalid; they were replaced by U+FFFD.")
