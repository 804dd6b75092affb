"""Fixtures that several folders of tests need."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from litegpt.results.events import StudyEnded
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.results.metric import TrialMetrics
from litegpt.results.metrics import Evaluation, Evaluations, MetricsWriter
from litegpt.results.samples import Sample, append_sample
from litegpt.study.study import read_study
from litegpt.study.trial import Trial
from tests.builders import phase_planned, study_started, trial_ended

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    # Imported late, so that runs without GPU tests do not load torch.
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def _unprotected_environment() -> Iterator[None]:
    """Undo what encoding in a pool leaves behind: it protects the import path of all later child processes."""
    yield
    os.environ.pop("PYTHONSAFEPATH", None)


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> Path:
    """A text file of 4,400 characters, 29 of them distinct."""
    path = tmp_path / "tiny.txt"
    path.write_text("The quick brown fox jumps over the lazy dog\n" * 100, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def seed_study() -> Path:
    """The results of the original study, which this project does not redistribute. They may be beside the checkout."""
    path = ROOT.parent / "shared" / "seed-study"
    if not path.is_dir():
        pytest.skip(f"the original study's results are not at {path}")
    return path


MIXED_STUDY = """
[study]
name = "mixed"
corpus = "corpus.txt"

[defaults]
n_layer = 1
n_head = 2
n_embd = 32
block_size = 16
batch_size = 8
eval_interval = 20
max_iters = 100

[[phase]]
name = "phase1"
[[phase.exclude]]
tokenizer = "char"
vocab_size = 512
[[phase.exclude]]
tokenizer = "bpe"
vocab_size = 0
[phase.grid]
learning_rate = [1e-3, 2e-3, 4e-3, 8e-3]
tokenizer = ["char", "bpe"]
vocab_size = [0, 512]

[[phase]]
name = "phase2"
max_iters = 200
[phase.promote]
from = "phase1"
top = 2
how = "exact"
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """The study file of a finished phase that compares characters with BPE. BPE has higher losses, but fewer bits.

    Its results are in `results` beside it. The trigram has 2.2 nats per character, which is 3.2 bits.
    """
    path = tmp_path / "mixed.toml"
    path.write_text(MIXED_STUDY, encoding="utf-8")
    (tmp_path / "corpus.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60, encoding="utf-8")
    folder = StudyFolder(tmp_path / "results", "mixed")
    candidates = read_study(path).bounds["phase1"].candidates
    assert candidates is not None
    with Journal(folder.journal, "mixed") as journal:
        journal.append(study_started("mixed"), *phase_planned("phase1", candidates.trials))
        for index, trial in enumerate(candidates.trials):
            rows = Evaluations(_mixed_evaluation(trial, step, index) for step in range(0, 101, 20))
            with MetricsWriter(folder.trial("phase1", trial.id).metrics) as writer:
                for row in rows:
                    writer.append(row)
            sample = Sample(step=100, loss=rows[-1].val_loss, text=trial.tokenizer, prompt="", temperature=1.0, seed=0)
            append_sample(folder.trial("phase1", trial.id).samples, sample)
            journal.append(trial_ended("phase1", trial, metrics=TrialMetrics.at(100, rows)))
        journal.append(StudyEnded(seconds=1.0))
    record = {"sha256": "ab" * 32, "val_loss": {"unigram": 3.5, "trigram": 2.2}}
    (folder.path / "baselines.json").write_text(json.dumps(record), encoding="utf-8")
    return path


def _mixed_evaluation(trial: Trial, step: int, index: int) -> Evaluation:
    tokens_per_char = 0.5 if trial.vocab_size else 1.0
    bits = 3.0 + (0.0 if trial.vocab_size else 0.5) + index / 20 + 2 * math.exp(-step / 20)
    loss = bits * math.log(2) / tokens_per_char
    return Evaluation(
        step=step,
        train_loss=loss,
        val_loss=loss,
        final_loss=loss if step else None,
        bits_per_char=bits,
        seconds=step / 100,
        tokens_per_second=1e4,
        learning_rate=trial.learning_rate,
    )
