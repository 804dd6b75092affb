"""`litegpt status STUDY`: how far a study is, and who runs it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from litegpt.cli.command import Exit
from litegpt.display import inert
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import JournalReader
from litegpt.results.ranking import best_of, ranking_of
from litegpt.results.state import PhaseState, StudyState
from litegpt.run.edited import edits
from litegpt.run.failures import failed_trials
from litegpt.run.lock import describe_holder, read_holder, runner_at_work
from litegpt.study.study import Study, read_study

WATCH_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")
    parser.add_argument("--watch", action="store_true", help="keep showing it, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the counts of every phase."""
    study = read_study(arguments.study)
    folder = StudyFolder(arguments.results, study.name)
    reader = JournalReader(folder.journal)
    reader.poll()
    if arguments.json:
        print(json.dumps(status(study, reader.state, folder), indent=2))
        return Exit.WELL
    console = Console(highlight=False)
    if not arguments.watch:
        console.print(_page(status(study, reader.state, folder)), soft_wrap=True)
        return Exit.WELL
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_page(status(study, reader.state, folder)), refresh=True)
            time.sleep(WATCH_SECONDS)
            reader.poll()


def status(study: Study, state: StudyState, folder: StudyFolder) -> dict[str, Any]:
    """Return how far a study is, as plain data; `runner` is None where none is at work."""
    phases = []
    for phase in study.phases:
        phase_state = state.phases.get(phase.name, PhaseState(phase.name))
        counts = phase_state.counts()
        best = best_of(phase_state.current())
        phases.append(
            {
                "name": phase.name,
                "trials": counts.total,
                **counts,
                "excluded": len(phase_state.excluded),
                "best_val_loss": best and best.metrics.best_val_loss,
                "best_bits_per_char": best and best.metrics.best_bits_per_char,
            }
        )
    runner, holder = runner_at_work(folder.lock), read_holder(folder.lock)
    return {
        "study": study.name,
        "runner": runner,
        "killed": holder if runner is None else None,  # a runner that left no farewell
        "paused": state.paused if runner else None,
        "edited": edits(study, state, folder),
        "ranking": ranking_of(state.trials()),  # what the best of different phases compare by
        "phases": phases,
        "failures": [failed.record() for failed in failed_trials(state, folder)],
    }


def _headline(told: dict[str, Any]) -> str:
    """Return who runs the study, or what became of who did."""
    if told["paused"]:
        return f"{describe_holder(told['runner'])}, paused: {told['paused']}"
    if told["runner"]:
        return describe_holder(told["runner"])
    if told["killed"]:
        return f"no runner at work; the last, {describe_holder(told['killed'])}, was killed (litegpt-run goes on)"
    return "no runner at work"


def _page(told: dict[str, Any]) -> Group:
    lines = [Text(inert(f"{told['study']}: {_headline(told)}"))]
    edited = [Text(inert("edited since the run began: " + "; ".join(told["edited"])))] if told["edited"] else []
    failed = [Text(inert(failure["told"])) for failure in told["failures"]]
    return Group(*lines, _table(told), *failed, *edited)


def _table(told: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    headings = ("trials", "queued", "running", "done", "diverged", "failed", "stopped")
    best_heading = "best val" if told["ranking"] == "best_val_loss" else "best bits/char"
    for heading in ("phase", *headings, best_heading):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase in told["phases"]:
        best = phase[told["ranking"]]
        counts = [str(phase[heading] or "") for heading in headings]
        table.add_row(Text(phase["name"]), *counts, "" if best is None else f"{best:.4f}")
    return table
