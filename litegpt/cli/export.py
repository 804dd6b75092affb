"""`litegpt export RESULTS --out DIR`: results as CSV, Parquet or TensorBoard files."""

from __future__ import annotations

import argparse
from pathlib import Path

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal

FORMATS = ("csv", "parquet", "tensorboard")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--format", choices=FORMATS, default="csv", help="csv (default), parquet or tensorboard")


def run(arguments: argparse.Namespace) -> Exit:
    """Write the files and print where they are."""
    folder = StudyFolder.find(arguments.results)
    state = read_journal(folder.journal)
    if not state.phases:
        raise InputError("the study has no results yet", folder.path)
    from litegpt.analysis.export import write_tables, write_tensorboard

    try:
        if arguments.format == "tensorboard":
            write_tensorboard(folder, state, arguments.out)
            print(inert(str(arguments.out)))
        else:
            for path in write_tables(folder, state, arguments.out, arguments.format):
                print(inert(str(path)))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", arguments.out) from None
    return Exit.WELL
