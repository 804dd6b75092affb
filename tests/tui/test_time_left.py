"""Runner, console and `litegpt plan` show the same time left for the same state."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from litegpt.cli.main import main
from litegpt.results.events import PackEnded
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, read_journal
from litegpt.run.phase_run import RunningTrial
from litegpt.run.view import ProgressLine
from litegpt.study.study import read_study
from litegpt.text.corpus import read_corpus
from tests.builders import phase_planned, study_started, trial_started
from tests.tui.conftest import QUICK, ended, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.location import find_location


@pytest.fixture
def half_done(study_file: Path, folder: StudyFolder) -> StudyFolder:
    """Six of twelve trials have ended, after 100 seconds each."""
    trials = phase_trials(12)
    folder.path.mkdir(parents=True)
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started(sha256=read_corpus("corpus.txt", study_file.parent).sha256))
        journal.append(*phase_planned("phase1", trials))
        for place, trial in enumerate(trials[:6]):
            pack = PackEnded(pack="p1", phase="phase1", trials=[trial.id], wall_seconds=100.0)
            journal.append(trial_started("phase1", trial), ended("phase1", trial, place), pack)
    return folder


def test_runner_console_and_plan_show_the_same_time_left(
    half_done: StudyFolder, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(study_file), "--results", str(half_done.root)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("time left: ")]
    time_left = line.removeprefix("time left: ").removesuffix(" in the phases planned so far")
    assert main(["plan", str(study_file), "--results", str(half_done.root), "--json"]) == 0
    assert 100 < json.loads(capsys.readouterr().out)["seconds_left"] < 1200

    study = read_study(study_file)
    runner: Any = SimpleNamespace(
        state=read_journal(half_done.journal),
        study=study,
        phases=study.phases,
        running=[RunningTrial("phase1", phase_trials(12)[6])],
    )
    assert ProgressLine().text(runner, datetime.now(UTC)) == f"{time_left} left (phase 1 of 2)"

    app = ConsoleApp(find_location(study_file, half_done.root), settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: f"{time_left} left" in text_of(app))

    run(app, drive)
