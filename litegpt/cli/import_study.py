"""`litegpt import FOLDER... --study NAME`: results of another program as a study."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from litegpt.analysis.imported import ImportedPhase, check_new, write_study
from litegpt.analysis.mapped import read_mapping, read_table
from litegpt.analysis.original import read_folder
from litegpt.analysis.study_file import write_study_file
from litegpt.cli.command import Exit, complain
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.run.lock import StudyHeldError, StudyLock

DAMAGES_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="a folder per phase, in the study's order: output.csv with output_steps.csv, or output.txt",
    )
    parser.add_argument("--study", required=True, metavar="NAME", help="name of the new study")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the results folder (default: ./results)")
    parser.add_argument("--mapping", type=Path, metavar="TOML", help="read CSV tables with this mapping of columns")
    parser.add_argument("--json", action="store_true", help="print what was imported as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Import the complete trials and list the damage."""
    folder = StudyFolder(arguments.results, arguments.study)
    if arguments.mapping is None:
        phases = [read_folder(path) for path in arguments.folders]
    else:
        mapped = read_mapping(arguments.mapping)
        phases = [read_table(path, mapped) for path in arguments.folders]
    # Checked before the lock creates a folder.
    check_new(folder, phases)
    try:
        with StudyLock(folder):
            sources = [str(path) for path in arguments.folders]
            write_study(folder, phases, sources)
            try:
                write_study_file(folder, phases, sources)
            except InputError as error:
                complain(f"the results have no study file of these phases: {error}")
    except StudyHeldError as error:
        complain(str(error))
        return Exit.HELD
    damages = [damage for phase in phases for damage in phase.damages]
    for damage in damages[:DAMAGES_SHOWN]:
        complain(str(damage))
    if len(damages) > DAMAGES_SHOWN:
        complain(f"and {len(damages) - DAMAGES_SHOWN:,} more")
    _print(arguments, folder, phases)
    return Exit.TRIALS_FAILED if damages else Exit.WELL


def _print(arguments: argparse.Namespace, folder: StudyFolder, phases: list[ImportedPhase]) -> None:
    if arguments.json:
        records = [
            {
                "name": phase.name,
                "trials": len(phase.trials),
                "evaluations": sum(len(trial.evaluations) for trial in phase.trials),
                "damaged": [str(damage) for damage in phase.damages],
            }
            for phase in phases
        ]
        print(json.dumps({"study": folder.study, "results": str(folder.path), "phases": records}, indent=2))
        return
    for phase in phases:
        evaluations = sum(len(trial.evaluations) for trial in phase.trials)
        print(f"{phase.name}: {len(phase.trials):,} trials, {evaluations:,} evaluations")
    print(inert(f"in {folder.path}"))
