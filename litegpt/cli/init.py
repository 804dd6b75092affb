"""`litegpt init [TEXT]`: a study of one's own text, sized to this machine and a given time."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.text import Text

from litegpt.cli.command import Exit, narrator
from litegpt.display import duration, inert
from litegpt.estimate.device import cores
from litegpt.estimate.proposal import TEMPLATES
from litegpt.run.new_study import NewStudy, new_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "templates:\n" + "\n".join(f"  {name:<10} {what}" for name, what in TEMPLATES.items())
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="a file, a folder or a glob (default: the only text in this folder)"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("study.toml"), metavar="FILE", help="default: study.toml"
    )
    parser.add_argument("--name", help="the study's name, which names its results (default: from the text)")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the study may take (default: 5)")
    parser.add_argument("--template", choices=tuple(TEMPLATES), default="sweep", help="default: sweep")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")


def run(arguments: argparse.Namespace) -> Exit:
    """Write the study file and print its name; what was found and what to type next goes to stderr."""
    study = new_study(
        arguments.text,
        arguments.out,
        name=arguments.name,
        minutes=arguments.minutes,
        template=arguments.template,
        device=arguments.device,
    )
    study.write()
    print(inert(str(study.path)), flush=True)
    console = narrator()
    for line in _notes(study):
        console.print(Text(inert(line)), soft_wrap=True)
    return Exit.WELL


def _notes(study: NewStudy) -> list[str]:
    corpus, proposal = study.corpus, study.proposal
    workers = f", {study.throughput.workers} workers" if study.throughput.workers > 1 else ""
    lines = [
        f"text: {corpus.path}, {corpus.characters:,} characters, {len(corpus.symbols):,} different",
        f"device: {study.throughput.device.name}{workers}",
        f"time: about {duration(proposal.seconds)}",
    ]
    if proposal.assumption:
        lines.append(f"The speed of this device is not measured yet; the time assumes {proposal.assumption}.")
    load, present = os.getloadavg()[0], cores()
    if study.throughput.device.kind == "cpu" and load > present:
        busy = f"load {load:.1f} on {present} core{'s' * (present != 1)}"
        lines.append(f"Other programs keep this machine busy ({busy}); the study takes longer while they do.")
    if proposal.is_limited_by_text:
        lines.append("More time would not help: more training would only overfit so short a text.")
    if study.cleaning_hint:
        lines.append(study.cleaning_hint)
    return [*lines, f"Next: litegpt-run {study.path}"]
