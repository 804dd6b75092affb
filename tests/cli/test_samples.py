"""`litegpt samples`: stored samples by loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.samples import Sample, append_sample
from tests.analysis.conftest import imported_study, imported_trial, smooth_losses


@pytest.fixture
def overfitted(tmp_path: Path) -> StudyFolder:
    """A study whose memorised prose has the highest validation loss."""
    memorised = imported_trial(lambda _, step: (0.1, 4.9) if step else (4, 4), text="prose", n_layer=1)
    gibberish = imported_trial(lambda _, step: (3.1, 3.2) if step else (4, 4), text="g\x1b[31mib", n_layer=2)
    return imported_study(tmp_path, {"phase1": [memorised, gibberish]})


def texts(folder: StudyFolder, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert main(["samples", str(folder.path), "--json", *options]) == 0
    return [record["text"][:1] for record in json.loads(capsys.readouterr().out)]


def test_samples_can_be_ranked_by_each_loss(overfitted: StudyFolder, capsys) -> None:
    assert texts(overfitted, capsys) == ["p", "g"]
    assert texts(overfitted, capsys, "--by", "train_loss") == ["g", "p"]
    assert texts(overfitted, capsys, "--by", "final_loss") == ["g", "p"]


def test_the_table_is_safe_to_print(overfitted: StudyFolder, capsys) -> None:
    assert main(["samples", str(overfitted.path), "--by", "final_loss"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[31m" not in out
    assert "prose" in out


def test_a_loss_is_known_at_any_evaluated_step(tmp_path: Path, capsys) -> None:
    trial = imported_trial(smooth_losses, n_layer=1)
    folder = imported_study(tmp_path, {"phase1": [trial]})
    path = folder.trial("phase1", trial.settings.id).samples
    append_sample(path, Sample(step=100, loss=3.0, text="early", prompt="", temperature=1.0, seed=0))
    assert texts(folder, capsys, "--by", "train_loss") == ["e", "s"]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--by", "fina_loss"], "did you mean 'final_loss'"), (["--top", "1"], "--top must be at least 2")],
)
def test_a_wrong_option_is_one_line(overfitted: StudyFolder, capsys, options: list[str], message: str) -> None:
    assert main(["samples", str(overfitted.path), *options]) == 2
    assert message in capsys.readouterr().err
