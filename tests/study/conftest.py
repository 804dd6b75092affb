"""Studies written in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.study.study import Study, read_study
from litegpt.study.trial import Trial
from tests.builders import make_trial

HEAD = """\
[study]
corpus = "novella.txt"

[defaults]
n_layer = 2
n_head = "n_embd // 32"
n_embd = 64
block_size = 32
batch_size = 8
learning_rate = 1e-3
max_iters = 100
"""

StudyOf = Callable[[str], Study]


@pytest.fixture
def study_of(tmp_path: Path) -> StudyOf:
    """Read the study of some phases, written after `HEAD`, whose 11 lines set every hyperparameter."""

    def read(phases: str) -> Study:
        path = tmp_path / "small.toml"
        path.write_text(HEAD + phases, encoding="utf-8")
        return read_study(path)

    return read


@pytest.fixture
def trial() -> Trial:
    return make_trial()
