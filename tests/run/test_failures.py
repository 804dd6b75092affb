"""The reasons of failed trials, at the end of a run and in `litegpt status`."""

from __future__ import annotations

import json

import pytest

from litegpt.cli.main import main
from litegpt.results.journal import read_journal
from tests.run.study_files import NewStudy

PHASES = """
[[phase]]
name = "long"
max_iters = 20
block_size = 200
tokenizer = "word"
vocab_size = 300
[phase.grid]
seed = [1, 2]
"""
WHY = "the smaller split has "


def test_each_reason_is_reported_once(new_study: NewStudy, capsys: pytest.CaptureFixture[str]) -> None:
    study = new_study(PHASES)
    run = study.run()
    assert run.returncode == 1
    (line,) = [line for line in run.stderr.splitlines() if WHY in line]
    trial = next(iter(read_journal(study.journal).phases["long"].trials))
    assert line.startswith(f"long: 2 trials, such as {trial}, failed: {WHY}")
    error = study.results / "long" / trial / "error.txt"
    assert line.endswith(f"; see {error}")
    assert "ShortTextError" in error.read_text()

    status = ["status", str(study.file), "--results", str(study.results.parent)]
    assert main([*status, "--json"]) == 0
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert (failure["phase"], failure["trial"], failure["trials"]) == ("long", trial, 2)
    assert failure["reason"].startswith(WHY)
    assert failure["error"] == str(error)
    assert main(status) == 0
    assert line in capsys.readouterr().out
