"""`litegpt plan STUDY`: what a study would run, and what it costs."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.cli.outlook import Outlook
from litegpt.cli.preflight import check_blocks, check_memory, check_results
from litegpt.display import duration, inert, short_range
from litegpt.estimate.device import PROFILES, device_profile
from litegpt.estimate.fit import gigabytes
from litegpt.estimate.forecast import PhaseEstimate, Throughput
from litegpt.estimate.outline import Outline, PhaseOutline, outline
from litegpt.results.folder import StudyFolder
from litegpt.results.forecast import Forecast
from litegpt.results.journal import read_journal
from litegpt.run.device_discovery import present_device, throughput_of, worker_slots
from litegpt.run.phases import resolve_study
from litegpt.study.remarks import remarks
from litegpt.study.study import read_study
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="a study file, for example experiments.toml")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")
    parser.add_argument("--device-profile", metavar="NAME", help=f"plan for another device: {', '.join(PROFILES)}")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print one row per phase."""
    study = read_study(arguments.study)
    corpus = read_corpus(study.corpus, study.corpus_base)
    folder = StudyFolder(arguments.results, study.name)
    state = read_journal(folder.journal)
    n_symbols = len(corpus.symbols)
    check_blocks(study, corpus)
    check_results(study, state, corpus, folder)
    expansions = resolve_study(study, state)
    plan = outline(study, n_symbols, expansions)
    throughput = _throughput(arguments)
    # `litegpt plan` notes what does not fit, because it may plan for another device. A dry run refuses it like a run.
    if getattr(arguments, "dry_run", False) and not arguments.device_profile:
        check_memory(study, corpus, throughput.device, throughput.workers)
    validation = SplitText(corpus, study.split).validation_characters
    outlook = Outlook.of(plan, throughput, n_symbols, validation)
    if not arguments.device_profile:
        forecast = Forecast.of(state, study.split)
        outlook = outlook.at_measured_speed(plan, forecast, state)
        outlook = outlook.with_time_left(forecast, state, folder, datetime.now(UTC))
    if arguments.json:
        print(json.dumps(outlook.added_to(plan.plain()), indent=2))
        return Exit.WELL
    console = Console(highlight=False)
    console.print(plan_table(plan, outlook))
    # Comparing splits loads numpy, which a dry run does without.
    split_notes = [] if getattr(arguments, "dry_run", False) else _split_notes(SplitText(corpus, study.split))
    for note in (*outlook.notes(), *plan_notes(plan), *map(inert, remarks(expansions)), *split_notes):
        console.print(Text(note), soft_wrap=True)
    return Exit.WELL


def _throughput(arguments: argparse.Namespace) -> Throughput:
    if arguments.device_profile:
        return throughput_of(device_profile(arguments.device_profile), arguments.results)
    slots = worker_slots(getattr(arguments, "device", "auto"), getattr(arguments, "workers", None))
    return throughput_of(present_device(slots), arguments.results, len(slots))


def plan_table(plan: Outline, outlook: Outlook) -> Table:
    """Return the plan as a table."""
    table = Table(title=Text(inert(plan.study)), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("phase", "trials", "iterations", "parameters", "FLOP", "memory", "time"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase in plan.phases:
        table.add_row(*(Text(cell) for cell in _cells(phase, outlook.phases.get(phase.name))))
    return table


def plan_notes(plan: Outline) -> list[str]:
    """Return a line for each reason of exclusions and for each promotion."""
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


def _split_notes(split: SplitText) -> list[str]:
    """Return a warning if the end of the text, which is the validation split, differs from the rest."""
    from litegpt.text.ngram import contrast_with_blocks

    contrast = contrast_with_blocks(split)
    warning = contrast.warning(split.rule) if contrast is not None else None
    return [warning] if warning is not None else []


def _cells(phase: PhaseOutline, estimate: PhaseEstimate | None) -> list[str]:
    most = "" if phase.trials is not None else "≤ "
    cost = phase.cost
    return [
        phase.name,
        f"{most}{phase.trials_max:,}",
        "" if phase.max_iters is None else f"{phase.max_iters:,}",
        "" if cost is None else _range(cost.parameters_min, cost.parameters_max),
        "" if cost is None else f"{most}{cost.flops:.2e}",
        "" if estimate is None else gigabytes(estimate.memory),
        "" if estimate is None or estimate.seconds is None else f"{most}{duration(estimate.seconds)}",
    ]


def _range(least: int, most: int) -> str:
    return short_range(least, most)
