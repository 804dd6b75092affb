"""Fixtures that run a command as a process, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from litegpt.results.folder import TrialFolder
from litegpt.train.checkpoint import read_checkpoint, save_weights
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

NO_TOKENS = np.zeros(0, dtype=np.uint8)
ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parents[1] / "results" / "written_by_0_1"

Ran = subprocess.CompletedProcess[str]
Litegpt = Callable[..., Ran]


@pytest.fixture
def litegpt(tmp_path: Path) -> Litegpt:
    """Return a function that runs `litegpt ARGUMENTS` in `tmp_path`."""

    def run(*arguments: str, **environment: str) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "litegpt.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    """A trial with its weights, but without its corpus."""
    shutil.copytree(KEPT, tmp_path / "results")
    (folder,) = (tmp_path / "results" / "kept" / "second").iterdir()
    return TrialFolder(folder)


@pytest.fixture
def nan_trial(trial: TrialFolder) -> TrialFolder:
    """A trial whose file of weights is undamaged but holds NaN."""
    checkpoint = read_checkpoint(trial.best)
    pack = Pack([checkpoint.trial], TokenizedCorpus(NO_TOKENS, NO_TOKENS, checkpoint.tokenizer.vocab_size), "fp32")
    with torch.no_grad():
        pack.model.weights[:, 0] = float("nan")
    save_weights(pack, 0, pack.model.weights, checkpoint.progress, checkpoint.tokenizer, trial.best)
    return trial
