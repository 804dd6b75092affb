"""`litegpt plan STUDY`: what a study would run and what it costs, before anything is spent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.plan.corpus import read_corpus
from litegpt.plan.outline import Outline, PhaseOutline, outline
from litegpt.plan.study import read_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.speed import measured_speed
from litegpt.results.text import duration, inert
from litegpt.run.phases import resolve_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="a study file, for example experiments.toml")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print one row a phase."""
    study = read_study(arguments.study)
    corpus = read_corpus(study.corpus, study.corpus_base)
    state = read_journal(StudyFolder(arguments.results, study.name).journal)
    vocab_size = len(corpus.symbols)
    plan = outline(study, vocab_size, resolve_study(study, state))
    if arguments.json:
        print(json.dumps(plan.plain(), indent=2))
    else:
        console = Console(highlight=False)
        console.print(plan_table(plan, measured_speed(state, vocab_size)))
        for note in plan_notes(plan):
            console.print(Text(note), soft_wrap=True)
    return Exit.WELL


def plan_table(plan: Outline, speed: float | None) -> Table:
    """Return the plan for people; `speed` is in FLOP/s."""
    table = Table(title=Text(inert(plan.study)), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("phase", "trials", "excluded", "iterations", "parameters", "FLOP", "time"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase in plan.phases:
        table.add_row(*(Text(cell) for cell in _cells(phase, speed)))
    return table


def plan_notes(plan: Outline) -> list[str]:
    """Return a line for each exclusion's reason and each promotion."""
    notes = []
    for phase in plan.phases:
        notes += [f"{phase.name}: {count} {reason}" for reason, count in phase.reasons]
        if phase.promotion is not None:
            promotion = phase.promotion
            from_checkpoint = ", from their weights" if promotion.start == "checkpoint" else ""
            best = f"{promotion.top} best of {promotion.source} by {promotion.by}"
            what = f"the values of the {best}" if promotion.how == "narrow" else f"the {best}"
            notes.append(f"{phase.name}: {what}{from_checkpoint}")
    return notes


def _cells(phase: PhaseOutline, speed: float | None) -> list[str]:
    most = "" if phase.trials is not None else "≤ "
    cost = phase.cost
    return [
        phase.name,
        f"{most}{phase.trials_max:,}",
        f"{phase.excluded:,}" if phase.excluded else "",
        "" if phase.max_iters is None else f"{phase.max_iters:,}",
        "" if cost is None else _range(cost.parameters_min, cost.parameters_max),
        "" if cost is None else f"{most}{cost.flops:.2e}",
        "" if cost is None or speed is None else f"{most}{duration(cost.flops / speed)}",
    ]


def _range(least: int, most: int) -> str:
    return short_count(least) if least == most else f"{short_count(least)} - {short_count(most)}"


def short_count(count: int) -> str:
    """Return a number of parameters in three or four figures: 109.6K, 42.7M."""
    return f"{count / 1e3:.1f}K" if count < 1_000_000 else f"{count / 1e6:.1f}M"
