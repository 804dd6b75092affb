"""`litegpt sample RESULTS/PHASE/TRIAL`: text generated from a trial's best weights."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.extras import optional_imports
from litegpt.results.folder import TrialFolder
from litegpt.study.trial import HYPERPARAMETERS

TEMPERATURE_MIN = 1e-6  # below, divided logits overflow, and only the likeliest token is drawn anyway


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("trial", type=Path, help="a trial's folder: results/<study>/<phase>/<trial>")
    parser.add_argument("--prompt", default="", help="text to continue (default: a line break)")
    parser.add_argument("--length", type=int, default=300, metavar="N", help="characters (default: 300)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="0 = greedy (default: 1)")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same text (default: 0)")
    parser.add_argument("--bits", type=int, choices=(8, 4), help="use the weights from `litegpt quantize`")
    parser.add_argument("--stream", action="store_true", help="print each character at once")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the prompt and its continuation."""
    trial = TrialFolder(arguments.trial)
    if arguments.bits is None:
        weights = trial.find_best()
    else:
        weights = trial.quantized(arguments.bits)
        if not weights.is_file():
            trial.find_best()
            raise InputError(f"not made yet: litegpt quantize {arguments.trial} --bits {arguments.bits}", weights)
    if not 0 <= arguments.length <= sys.maxsize:
        raise InputError(f"--length must be between 0 and {sys.maxsize}")
    if arguments.top_k is not None and arguments.top_k < 1:
        raise InputError("--top-k must be at least 1")
    if not 0 <= arguments.temperature < math.inf:
        raise InputError(f"--temperature must be a number from 0 on, not {arguments.temperature}")
    seeds = HYPERPARAMETERS["seed"].range
    if arguments.seed not in seeds:
        raise InputError(f"--seed must be {seeds}")
    with optional_imports("generating text"):
        from litegpt.analysis.sampling import sample_text

    characters = sample_text(
        weights,
        arguments.prompt,
        arguments.length,
        temperature=arguments.temperature if arguments.temperature >= TEMPERATURE_MIN else 0,
        top_k=arguments.top_k,
        seed=arguments.seed,
    )
    print(inert(arguments.prompt, newlines=True), end="", flush=arguments.stream)
    if arguments.stream:
        for character in characters:
            print(inert(character, newlines=True), end="", flush=True)
        print()
    else:
        print(inert("".join(characters), newlines=True))
    return Exit.WELL
