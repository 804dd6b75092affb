"""The n-gram baselines of a study: on record, in the leaderboard and in the report."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from pathlib import Path

import pytest

from litegpt.analysis.baselines import beats_bar, read_baselines, study_baselines
from litegpt.analysis.page import to_markdown
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.text.ngram import ngram_losses_of
from tests.analysis.conftest import imported_study, imported_trial
from tests.builders import study_text

TEXT = "the cat sat on the mat and the dog ran over the hill to the sea and the cat saw it " * 40
CUT = int(len(TEXT) * 0.9)
STUDY = study_text('[[phase]]\nname = "phase1"\nmax_iters = 1\n[phase.grid]\nseed = [1]\n')
LEVELS = {0.02: 2.5, 0.01: 1.5, 0.001: 0.5}  # the loss of a trial by its learning rate
RECORD = {"unigram": 3.0, "bigram": 2.0, "trigram": 1.0, "5-gram": 0.75}


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Three trials, with their corpus."""
    trials = [
        imported_trial(lambda trial, _: (LEVELS[trial.learning_rate],) * 2, learning_rate=rate) for rate in LEVELS
    ]
    folder: StudyFolder = imported_study(tmp_path, {"only": trials})
    (folder.path / "text.txt").write_text(TEXT, encoding="utf-8")
    (folder.path / "study.toml").write_text(STUDY, encoding="utf-8")
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    corpus = {"path": "text.txt", "sha256": digest, "characters": len(TEXT), "vocab_size": len(set(TEXT))}
    with folder.journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "study_started", "study": "made", "corpus": corpus}) + "\n")
    return folder


def put_on_record(folder: StudyFolder) -> None:
    record = {"sha256": hashlib.sha256(TEXT.encode()).hexdigest(), "val_loss": RECORD}
    (folder.path / "baselines.json").write_text(json.dumps(record), encoding="utf-8")


def test_baselines_are_measured_once_and_then_read(study: StudyFolder) -> None:
    state = read_journal(study.journal)
    assert read_baselines(study, state) is None
    measured = study_baselines(study, state)
    assert measured == pytest.approx(ngram_losses_of(TEXT[:CUT], TEXT[CUT:]))
    assert read_baselines(study, state) == measured
    (study.path / "text.txt").unlink()
    assert study_baselines(study, state) == measured


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"val_loss": {"trigram": "low"}}', '{"val_loss": {"trigram": NaN}}']
)
def test_a_damaged_record_is_measured_again(study: StudyFolder, damage: str) -> None:
    (study.path / "baselines.json").write_text(damage, encoding="utf-8")
    state = read_journal(study.journal)
    assert read_baselines(study, state) is None
    assert study_baselines(study, state) == read_baselines(study, state) is not None


def test_baselines_of_another_text_are_not_used(study: StudyFolder) -> None:
    state = read_journal(study.journal)
    (study.path / "text.txt").write_text(TEXT + "more", encoding="utf-8")
    assert study_baselines(study, state) is None
    assert not (study.path / "baselines.json").exists()


def test_the_leaderboard_lists_baselines_between_trials(study: StudyFolder, capsys) -> None:
    put_on_record(study)
    assert main(["leaderboard", str(study.path)]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()[4:] if line.strip()]
    assert [row[0] for row in rows[:7]] == ["1", "5-gram", "trigram", "2", "bigram", "3", "unigram"]
    assert rows[2] == ["trigram", "1.0000"]
    assert "\N{DAGGER}1.5000" in rows[3]
    assert "\N{DAGGER}2.5000" in rows[5]
    assert out.count("\N{DAGGER}") == 3
    assert "no better than the trigram" in out
    assert "baselines see their full context" in " ".join(out.split())
    assert main(["leaderboard", str(study.path), "--by", "seconds"]) == 0
    assert "trigram" not in capsys.readouterr().out


def test_json_lists_only_trials_and_whether_they_beat_the_trigram(study: StudyFolder, capsys) -> None:
    put_on_record(study)
    assert main(["leaderboard", str(study.path), "--json"]) == 0
    assert [row["beats_trigram"] for row in json.loads(capsys.readouterr().out)] == [True, False, False]


def test_without_baselines_no_trial_beats_one() -> None:
    assert beats_bar(None, RECORD) is None
    assert beats_bar(1.0, None) is None
    assert beats_bar(1.0 / math.log(2), RECORD) is False
    assert beats_bar(1.4, RECORD) is True


def test_the_report_lists_the_baselines(study: StudyFolder) -> None:
    from litegpt.analysis.report import baseline_blocks

    text = to_markdown("report", list(baseline_blocks(RECORD, read_journal(study.journal).phases["only"].current())))
    assert "| trigram | 1.0000 | 1 of 3 |" in text
    assert "The baselines see their full context" in text
    assert list(baseline_blocks(None, [])) == []


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="no matplotlib")
def test_a_chart_draws_the_baselines() -> None:
    from litegpt.analysis.charts import courses_chart

    chart = courses_chart([("only", [0, 100], [4.0, 2.0], [4.0, 2.1])], 4.1, RECORD)
    assert all(f">{name}<" in chart.file for name in ("uniform guess", *RECORD))
