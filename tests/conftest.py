"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch  # here, so that a run without GPU tests does not pay for it

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> Path:
    """A text file of 4,400 characters, 29 of them distinct."""
    path = tmp_path / "tiny.txt"
    path.write_text("The quick brown fox jumps over the lazy dog\n" * 100, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def seed_study() -> Path:
    """The original study's own results, which this project does not redistribute: beside the checkout or nowhere."""
    path = ROOT.parent / "shared" / "seed-study"
    if not path.is_dir():
        pytest.skip(f"the original study's results are not at {path}")
    return path
