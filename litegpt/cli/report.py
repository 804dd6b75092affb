"""`litegpt report RESULTS --out DIR`: an HTML page and a Markdown file about a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.extras import optional_imports
from litegpt.results.folder import StudyFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="output folder for report.html and report.md"
    )


def run(arguments: argparse.Namespace) -> Exit:
    """Write the report and print where it is."""
    folder = StudyFolder.find(arguments.results)
    with optional_imports("the report"):
        from litegpt.analysis.report import write_report
    try:
        for path in write_report(folder, arguments.out)[:2]:
            print(inert(str(path)))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", arguments.out) from None
    return Exit.WELL
