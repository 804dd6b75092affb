"""`litegpt status STUDY`: the progress of a study, and its runner."""

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
from litegpt.results.metric import METRICS
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
    parser.add_argument("--watch", action="store_true", help="update until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print as JSON")


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
    """Return the progress of a study as plain data; `runner` is None if no runner holds the study."""
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
        "killed": holder if runner is None else None,  # a killed runner does not empty its lock
        "paused": (state.paused or runner.get("waiting")) if runner else None,
        "edited": edits(study, state, folder),
        "ranking": ranking_of(state.trials()),  # by which the best trials of all phases compare
        "phases": phases,
        "failures": [failed.record() for failed in failed_trials(state, folder)],
    }


def _headline(record: dict[str, Any]) -> str:
    """Return who runs the study, or how its last runner ended."""
    if record["paused"]:
        return f"{describe_holder(record['runner'])}, paused: {record['paused']}"
    if record["runner"]:
        return describe_holder(record["runner"])
    if record["killed"]:
        return (
            f"no runner; the last one, {describe_holder(record['killed'])}, was killed (litegpt-run resumes the study)"
        )
    return "no runner"


def _page(record: dict[str, Any]) -> Group:
    lines = [Text(inert(f"{record['study']}: {_headline(record)}"))]
    edited = [Text(inert("edited since the run started: " + "; ".join(record["edited"])))] if record["edited"] else []
    failed = [Text(inert(failure["told"])) for failure in record["failures"]]
    return Group(*lines, _table(record), *failed, *edited)


def _table(record: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    headings = ("trials", "queued", "running", "done", "diverged", "failed", "stopped")
    best_heading = f"best {METRICS[record['ranking']].curve.heading}"
    for heading in ("phase", *headings, best_heading):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase in record["phases"]:
        best = phase[record["ranking"]]
        counts = [str(phase[heading] or "") for heading in headings]
        table.add_row(Text(phase["name"]), *counts, "" if best is None else f"{best:.4f}")
    return table
