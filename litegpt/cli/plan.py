"""`litegpt plan STUDY`: what a study would run and what it costs, before anything is spent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.plan.corpus import read_corpus
from litegpt.plan.cost import training_flops
from litegpt.plan.outline import Outline, PhaseOutline, outline
from litegpt.plan.study import Study, read_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.state import StudyState
from litegpt.results.text import inert
from litegpt.run.phases import resolve_study
from litegpt.run.view import duration


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
        Console().print(plan_table(study, plan, measured_speed(state, vocab_size)))
    return Exit.WELL


def measured_speed(state: StudyState, vocab_size: int) -> float | None:
    """Return the training FLOP/s of the whole machine over this study's packs so far, None before the first."""
    flops = sum(
        training_flops(trial.settings, vocab_size)
        for trial in state.trials()
        if trial.state == "done" and trial.attempt
    )
    seconds = sum(phase.pack_wall_seconds for phase in state.phases.values())
    return flops / seconds * max(1, len(state.devices)) if flops and seconds else None


def plan_table(study: Study, plan: Outline, speed: float | None) -> Table:
    """Return the plan for people; `speed` is in FLOP/s."""
    table = Table(title=f"{inert(study.name)} · {inert(study.corpus)}", title_justify="left")
    for heading in ("phase", "trials", "excluded", "iterations", "parameters", "FLOPs", "time", "from"):
        table.add_column(heading, justify="left" if heading in ("phase", "excluded", "from") else "right")
    for phase in plan.phases:
        table.add_row(*(Text(cell) for cell in _cells(phase, speed)))
    return table


def _cells(phase: PhaseOutline, speed: float | None) -> list[str]:
    most = "" if phase.trials is not None else "at most "
    promotion = phase.promotion
    cost = phase.cost
    return [
        phase.name,
        f"{most}{phase.trials_max:,}",
        "\n".join(f"{count} {reason}" for reason, count in phase.reasons) or "-",
        "-" if phase.max_iters is None else f"{phase.max_iters:,}",
        "-" if cost is None else _range(cost.parameters_min, cost.parameters_max),
        "-" if cost is None else f"{most}{cost.flops:.2e}",
        "-" if cost is None or speed is None else f"{most}{duration(cost.flops / speed)}",
        "-"
        if promotion is None
        else f"{promotion.source}: the {promotion.top} best by {promotion.by}, {promotion.how}",
    ]


def _range(least: int, most: int) -> str:
    return _millions(least) if least == most else f"{_millions(least)} to {_millions(most)}"


def _millions(count: int) -> str:
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:.1f}M"
