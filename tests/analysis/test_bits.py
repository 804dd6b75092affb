"""Trials of different tokenizers: ranked, judged, compared and promoted by bits per character."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
from itertools import takewhile
from pathlib import Path

import pytest

from litegpt.analysis.baselines import baseline_levels, beats_bar, read_baselines
from litegpt.analysis.curves import key_of, read_curves
from litegpt.analysis.cut import cut_safety
from litegpt.analysis.design import comparable_targets
from litegpt.analysis.evaluation_noise import evaluation_noise
from litegpt.analysis.findings import suspicious
from litegpt.analysis.leaderboard import leaderboard
from litegpt.analysis.page import Heading, to_markdown
from litegpt.cli.closing import print_closing
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metric import TrialMetrics
from litegpt.results.state import TrialState
from litegpt.study.study import read_study
from tests.conftest import MIXED_STUDY


@pytest.fixture
def folder(mixed: Path) -> StudyFolder:
    return StudyFolder(mixed.parent / "results", "mixed")


@pytest.fixture
def trials(folder: StudyFolder) -> list[TrialState]:
    return read_journal(folder.journal).phases["phase1"].current()


def test_a_board_ranks_and_ties_in_one_unit(folder: StudyFolder, trials: list[TrialState]) -> None:
    rows = leaderboard(trials, noise=0.05)
    assert [row.settings.tokenizer for row in rows] == ["bpe"] * 4 + ["char"] * 4
    assert [row.tie for row in rows] == [
        1,
        1,
        3,
        3,
        5,
        5,
        7,
        7,
    ]  # 0.1 bits apart, and 95 % of differences are within 0.139
    assert [row.tie for row in leaderboard(trials, "best_val_loss", noise=0.0)] == [*range(1, 9)]
    curves = read_curves(folder, trials)
    bits, nats = (evaluation_noise(curves.values(), figure) for figure in ("best_bits_per_char", "best_val_loss"))
    assert bits is not None
    assert nats is not None
    assert math.log(2) < nats / bits < 2 * math.log(2)
    then = trials[0].at(50, curves[key_of(trials[0])])
    assert then.metrics.bits_per_char == then.metrics.best_bits_per_char == curves[key_of(trials[0])][2].bits_per_char


def test_the_command_shows_baselines_in_bits_per_character(folder: StudyFolder, capsys) -> None:
    assert main(["leaderboard", str(folder.path)]) == 0
    out = capsys.readouterr().out
    assert "by best_bits_per_char" in out
    rows = [line.split() for line in out.splitlines()[4:] if line.strip()]
    assert [row[0].lstrip("=") for row in rows[:4]] == ["1", "2", "trigram", "3"]
    assert rows[2] == ["trigram", f"{2.2 / math.log(2):.4f}"]
    assert "nats/token" in out
    assert "best val" not in out.replace("best_val", "")
    assert out.count("\N{DAGGER}") == 7  # two of BPE, all of characters, and the legend
    assert main(["leaderboard", str(folder.path), "--by", "best_val_loss"]) == 0
    out = capsys.readouterr().out
    assert "bits/char" in out
    # Losses per token do not compare with those of characters.
    assert "trigram" not in out
    assert main(["leaderboard", str(folder.path), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["beats_trigram"] for record in records] == [True] * 2 + [False] * 6
    assert records[0]["best_val_loss"] > 2.2
    assert records[0]["reason"] is None
    assert records[0]["bits_per_char"] == records[0]["best_bits_per_char"]
    assert main(["leaderboard", str(folder.path), "--filter", "bpc<3.1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_one_tokenizer_other_than_characters_keeps_its_losses(folder: StudyFolder, capsys) -> None:
    lines = [line for line in folder.journal.read_text("utf-8").splitlines() if '"tokenizer": "char"' not in line]
    folder.journal.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["leaderboard", str(folder.path)]) == 0
    out = capsys.readouterr().out
    assert "by best_val_loss" in out
    rows = [line.split() for line in out.splitlines()[4:] if line.strip()]
    assert [row[0].lstrip("=") for row in rows[:4]] == ["1", "2", "trigram", "3"]
    assert rows[2] == ["trigram", f"{2.2 / math.log(2):.4f}"]


def test_baselines_are_compared_in_their_own_unit(folder: StudyFolder, trials: list[TrialState]) -> None:
    baselines = read_baselines(folder, read_journal(folder.journal))
    assert baselines is not None
    settings = [trial.settings for trial in trials]
    characters = [trial for trial in settings if trial.tokenizer == "char"]
    assert baseline_levels(baselines, characters, "val_loss") == baselines
    assert baseline_levels(baselines, settings, "val_loss") == {}
    assert baseline_levels(baselines, settings, "bits_per_char")["trigram"] == 2.2 / math.log(2)
    assert beats_bar(trials[1].metrics.best_bits_per_char, baselines) is True
    from litegpt.analysis.report import baseline_blocks

    assert "| trigram | 3.1739 | 2 of 8 |" in to_markdown("report", list(baseline_blocks(baselines, trials)))


def test_a_guess_depends_on_the_vocabulary_of_a_trial(trials: list[TrialState]) -> None:
    """A uniform guess among 29 characters has 3.4 nats, among 512 tokens 6.2. So a BPE trial with 4.2 has learned."""
    assert suspicious(trials, n_symbols=29) == []
    guessers = [trials[0], dataclasses.replace(trials[1], metrics=TrialMetrics(val_loss=6.3)), *trials[2:]]
    assert [(found.trial, found.kind) for found in suspicious(guessers, n_symbols=29)] == [
        (trials[1].id, "worse than guessing")
    ]


def test_importance_uses_a_comparable_metric(trials: list[TrialState]) -> None:
    assert comparable_targets(trials)[0] == "best_bits_per_char"
    assert comparable_targets(trials[::2])[0] == "loss"


def test_a_promotion_uses_a_comparable_metric(
    mixed: Path, folder: StudyFolder, trials: list[TrialState], capsys
) -> None:
    command = ["promote", str(mixed), "--from", "phase1", "--top", "2", "--results", str(folder.root), "--dry-run"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rule"]["by"] == "best_bits_per_char"
    assert told["promoted"] == [trials[1].id, trials[3].id]
    assert main([*command, "--by", "best_val_loss", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["promoted"] == [trials[0].id, trials[2].id]
    assert "best_val_loss does not compare between tokenizers" in told.err
    assert main([*command, "--top", "5"]) == 0
    told = capsys.readouterr()
    assert "compare" not in told.err
    assert "  4 excluded: tokenizer = char, vocab_size = 512" in told.out


def test_two_phases_of_one_tokenizer_each_compare_too(folder: StudyFolder) -> None:
    state = read_journal(folder.journal)
    first = state.phases["phase1"]
    for name, tokenizer in (("a", "char"), ("b", "bpe")):
        own = {key: trial for key, trial in first.trials.items() if trial.settings.tokenizer == tokenizer}
        state.phases[name] = dataclasses.replace(first, name=name, planned=tuple(own), trials=own)
    assert cut_safety(state)[0].by == "best_bits_per_char"


def test_status_shows_the_best_of_each_phase_in_one_unit(mixed: Path, folder: StudyFolder, capsys) -> None:
    command = ["status", str(mixed), "--results", str(folder.root)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "best bits/char" in out
    assert "3.0635" in out
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["phases"][0]
    assert told["best_bits_per_char"] == pytest.approx(3.0635, abs=1e-4)
    assert told["best_val_loss"] == pytest.approx(told["best_bits_per_char"] * 2 * math.log(2))


def test_the_closing_is_in_bits_per_character(mixed: Path, folder: StudyFolder, capsys) -> None:
    print_closing(read_study(mixed), read_journal(folder.journal), folder)
    out = capsys.readouterr().out
    assert "phase1: the best of 8 trials by best bits per character" in out
    assert (
        "6 of 8 trials in phase 'phase1' do not beat the trigram baseline, which only counts characters (3.1739 bits"
        in out
    )
    assert "bits per character by step" in out
    assert "trigram, by counting  3.174 at 100" in out
    assert "phase1 writes, bits per character 3.063:" in out
    assert "best of all phases" not in out


def test_the_closing_names_a_best_trial_of_an_earlier_phase(
    mixed: Path,
    folder: StudyFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    last = '[[phase]]\nname = "model"\nlearning_rate = 1e-3\n[phase.grid]\nactivation = ["relu", "gelu"]\n'
    mixed.write_text(MIXED_STUDY + last, "utf-8")
    state = read_journal(folder.journal)
    known = [trial for trial in state.phases["phase1"].current() if trial.settings.tokenizer == "char"][:2]
    own = [
        dataclasses.replace(trial, phase="model", settings=dataclasses.replace(trial.settings, activation=activation))
        for trial, activation in zip(known, ("relu", "gelu"), strict=True)
    ]
    state.phases["model"] = dataclasses.replace(
        state.phases["phase1"], name="model", planned=(), trials={trial.id: trial for trial in own}
    )
    print_closing(read_study(mixed), state, folder)
    out = capsys.readouterr().out
    best = min(state.phases["phase1"].current(), key=lambda trial: trial.metrics.best_bits_per_char or 9.0)
    assert f"The best of all phases is {best.id} of phase1: best bits per character 3.0635." in out
    assert "No trial in phase 'model' beats the trigram" in out
    heading = next(line for line in out.splitlines() if "best val" in line and "step" in line)
    assert heading.split()[:3] == ["rank", "lr", "activation"]
    assert "train" not in heading


needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="no matplotlib")


@needs_matplotlib
def test_the_first_sections_of_a_report_use_bits_per_character(folder: StudyFolder) -> None:
    from litegpt.analysis.report import _won, read_material, report_blocks

    begun = takewhile(lambda block: block != Heading("By hyperparameter"), report_blocks(read_material(folder)))
    text = to_markdown("report", list(begun))
    assert "The best of phase1 by best bits per character." in text
    assert "| nats/token | bits/char |" in text
    assert "| phase | best bits/char | at step | last bits/char |" in text
    assert "| phase1 | 3.44 | 100 | 3.44 |" in text
    assert "Median bits per character of each phase's trials" in text
    assert "uniform guess" not in text
    assert "best of all phases" not in text
    material = read_material(folder)
    characters = tuple(trial for trial in material.trials if trial.settings.tokenizer == "char")
    last = dataclasses.replace(
        material.phases[0], name="phase2", planned=(), trials={trial.id: trial for trial in characters}
    )
    won = _won(dataclasses.replace(material, phases=(*material.phases, last)))
    assert "of phase1: best bits per character 3.0635." in to_markdown("report", list(won))


@needs_matplotlib
@pytest.mark.slow
def test_a_report_is_in_bits_per_character(folder: StudyFolder, tmp_path: Path) -> None:
    assert main(["report", str(folder.path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/report.md").read_text("utf-8")
    assert "Exact analysis of the variance of the best bits per character" in text
    assert "Best bits per character against time" in text
    assert "| phase | bits per character |" in text
    assert "charts/bits_per_char_by_learning_rate.svg" in text
    assert not re.search(r"loss by|loss_by|minibatch", text)
