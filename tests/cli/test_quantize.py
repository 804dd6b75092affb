"""The command `litegpt quantize`. tests/train checks the quantized weights themselves."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest

from litegpt.analysis import quantize
from litegpt.cli.main import main
from litegpt.results.folder import TrialFolder
from litegpt.train.tokens import CacheError


@pytest.mark.parametrize("bits", [8, 4])
def test_quantized_weights_generate_text(trial: TrialFolder, capsys: pytest.CaptureFixture[str], bits: int) -> None:
    before = trial.best.read_bytes()
    assert main(["quantize", str(trial.path), "--bits", str(bits)]) == 0
    printed, messages = capsys.readouterr()
    assert [line.split()[:2] for line in printed.splitlines()] == [["32", "bits"], [str(bits), "bits"]]
    assert trial.quantized(bits).name in printed
    assert "validation loss" not in printed
    assert "the losses were not measured" in messages
    assert trial.best.read_bytes() == before
    assert main(["sample", str(trial.path), "--bits", str(bits), "--prompt", "ab", "--length", "30"]) == 0
    written = capsys.readouterr().out.removesuffix("\n")
    assert (written[:2], len(written)) == ("ab", 2 + 30)
    assert set(written) <= set(" abcde")


def test_the_output_as_json(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(trial.path), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    files = (trial.best, trial.quantized(8))
    assert records == [
        {"path": str(file), "bits": bits, "size": file.stat().st_size, "val_loss": None}
        for file, bits in zip(files, (32, 8), strict=True)
    ]


def test_a_trial_without_weights(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (trial.path / "nothing", trial.path.parent):
        assert main(["quantize", str(folder)]) == 2
        assert "no best.safetensors here" in capsys.readouterr().err
    trial.best.write_bytes(trial.best.read_bytes()[:-8])
    assert main(["quantize", str(trial.path)]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, len(complaint.splitlines())) == ("", 1)
    assert "cannot be read" in complaint
    assert not trial.quantized(8).exists()


def test_weights_that_cannot_be_written(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    trial.quantized(4).mkdir()
    assert main(["quantize", str(trial.path), "--bits", "4"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert list(trial.path.glob("*.tmp")) == []


def test_an_unsupported_number_of_bits(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["quantize", str(trial.path), "--bits", "5"])
    assert "invalid choice: 5" in capsys.readouterr().err


def test_a_cache_error_is_one_line(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise CacheError("the tokens cannot be kept in /here (full): make room there, or set XDG_CACHE_HOME")

    monkeypatch.setattr(quantize, "read_study_text", lambda *_: (Mock(), Mock()))
    monkeypatch.setattr(quantize, "tokenised", full)
    assert main(["quantize", str(trial.path)]) == 2
    assert capsys.readouterr().err == (
        "litegpt: the tokens cannot be kept in /here (full): make room there, or set XDG_CACHE_HOME\n"
    )


def test_weights_that_are_not_finite_are_refused(nan_trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(nan_trial.path)]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert "its weights are not finite" in complaint
    assert not nan_trial.quantized(8).exists()
