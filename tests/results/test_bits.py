"""Bits per character in records, in records older than they are, and in rankings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litegpt.results.journal import Journal, read_journal
from litegpt.results.metric import bits_per_char
from litegpt.results.metrics import read_metrics
from litegpt.results.ranking import best_of, rank, ranking_of
from litegpt.results.state import TrialState
from litegpt.study.trial import Trial
from tests.builders import make_trial, phase_planned, trial_ended


def test_longer_tokens_mean_fewer_bits_per_character() -> None:
    assert bits_per_char(math.log(2)) == 1.0
    assert bits_per_char(3 * math.log(2), tokens_per_char=0.25) == pytest.approx(0.75)
    assert bits_per_char(None) is None


def ended(path: Path, trial: Trial, **metrics: Any) -> TrialState:
    """Return the state of a trial that has ended, read from a journal."""
    with Journal(path, "study") as journal:
        journal.append(*phase_planned("p", [trial]), trial_ended("p", trial, **metrics))
    return read_journal(path).phases["p"].trials[trial.id]


def test_the_journal_keeps_bits_per_character(tmp_path: Path) -> None:
    trial = make_trial(tokenizer="bpe", vocab_size=512)
    told = ended(tmp_path / "j", trial, val_loss=3.0, bits_per_char=2.0, best_val_loss=2.9, best_bits_per_char=1.9)
    assert (told.metrics.bits_per_char, told.metrics.best_bits_per_char) == (2.0, 1.9)


def test_old_records_get_bits_if_tokens_are_characters(tmp_path: Path) -> None:
    trial = make_trial()
    metrics = {"val_loss": 3.0, "best_val_loss": 2.0}
    told = ended(tmp_path / "char", trial, **metrics)
    assert (told.metrics.bits_per_char, told.metrics.best_bits_per_char) == (3 / math.log(2), 2 / math.log(2))
    told = ended(tmp_path / "byte", replace(trial, tokenizer="byte"), **metrics)
    assert (told.metrics.bits_per_char, told.metrics.best_bits_per_char) == (None, None)


def test_old_metrics_get_bits_per_character(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 0, "val_loss": 3.0}, {"step": 1, "val_loss": 3.0, "bits_per_char": None}, {"step": 2}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.bits_per_char for row in read_metrics(path)] == [3 / math.log(2), None, None]


def test_trials_with_different_tokens_are_ranked_by_bits(mixed: Path) -> None:
    phase = read_journal(mixed.parent / "results/mixed/journal.jsonl").phases["phase1"]
    trials = phase.current()
    assert ranking_of(trials) == "best_bits_per_char"
    assert [trial.settings.tokenizer for trial in rank(trials)] == ["bpe"] * 4 + ["char"] * 4
    assert [trial.settings.tokenizer for trial in rank(trials, "best_val_loss")] == ["char"] * 4 + ["bpe"] * 4
    assert best_of(trials) == rank(trials)[0]
    alike = [trial for trial in trials if trial.settings.tokenizer == "bpe"]
    assert ranking_of(alike) == ranking_of(()) == "best_val_loss"
    sizes = [replace(trial, settings=replace(trial.settings, vocab_size=300 + n)) for n, trial in enumerate(alike)]
    assert ranking_of(sizes) == "best_bits_per_char"
