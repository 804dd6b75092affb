"""`litegpt quantize RESULTS/PHASE/TRIAL`: a trial's best weights in 8 or 4 bits, with the losses of both."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from litegpt.cli.command import Exit, narrator
from litegpt.display import inert
from litegpt.extras import optional_imports
from litegpt.results.folder import TrialFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("trial", type=Path, help="a trial's folder: results/<study>/<phase>/<trial>")
    parser.add_argument("--bits", type=int, choices=(8, 4), default=8, help="bits per weight (default: 8)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Write the quantized weights, and print size and loss of both files."""
    trial = TrialFolder(arguments.trial)
    trial.find_best()
    with optional_imports("quantizing"):
        from litegpt.analysis.quantize import quantize

    both = quantize(trial, arguments.bits)
    if arguments.json:
        print(json.dumps([vars(weights) | {"path": str(weights.path)} for weights in both], indent=2))
        return Exit.WELL
    for weights in both:
        loss = "" if weights.val_loss is None else f"   validation loss {weights.val_loss:.4f}"
        print(f"{weights.bits:>2} bits {weights.size / 1e6:>9.2f} MB{loss}   {inert(weights.path.name)}")
    if both[0].val_loss is None:
        narrator().print("The study's text cannot be read, so the losses were not measured.")
    return Exit.WELL
