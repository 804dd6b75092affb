"""Characters, bytes, words and byte pairs in one study; their bits per character are computed independently."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

from litegpt.cli.main import main
from litegpt.study.trial import Trial
from tests.run.study_files import NewStudy, StudyFiles
from tests.train.plain import plain_logits

PHASES = """
[[phase]]
name = "tokens"
max_iters = 40
[phase.grid]
tokenizer = ["char", "byte", "word", "bpe"]
vocab_size = [0, 300]

[[phase]]
name = "best"
max_iters = 60
[phase.promote]
from = "tokens"
top = 2
how = "exact"
"""
TEXT = "Le café était fermé, and the cat's mat — 猫の敷物 — lay on the hill.\n"


@pytest.fixture(scope="module")
def study(new_study: NewStudy) -> StudyFiles:
    study = new_study(PHASES)
    study.corpus.write_text(TEXT * 8 + study.corpus.read_text("utf-8") + TEXT, encoding="utf-8")
    return study


@pytest.fixture(scope="module")
def first_run(study: StudyFiles) -> subprocess.CompletedProcess[str]:
    return study.run()


def encoder(study: StudyFiles, trial: Trial, text: str) -> Callable[[str], list[int]]:
    """Return a function from text to a trial's tokens, written independently of the program."""
    if trial.tokenizer == "char":
        symbols = sorted(set(text))
        return lambda part: [symbols.index(character) for character in part]
    if trial.tokenizer == "byte":
        return lambda part: list(part.encode())
    (kept,) = (study.results / "tokenizers").glob(f"{trial.tokenizer}-300-*.json")
    return lambda part: Tokenizer.from_file(str(kept)).encode(part).ids


def bits_per_character(study: StudyFiles, weights: Path, trial: Trial) -> float:
    """Return the bits per character of a trial's weights on the validation split."""
    text = study.corpus.read_text("utf-8")
    validation = text[int(0.9 * len(text)) :]
    tokens = torch.tensor(encoder(study, trial, text)(validation))
    tensors = {name.removeprefix("weights/"): tensor for name, tensor in load_file(weights).items()}
    nats, last = [], len(tokens) - 1
    for target in range(1, last + 1):  # with the context that its window gives it; the last window is full
        start = min((target - 1) // trial.block_size * trial.block_size, last - trial.block_size)
        logits = plain_logits(trial, tensors, tokens[start:target])[-1]
        nats.append(F.cross_entropy(logits, tokens[target]).item())
    return sum(nats) / len(nats) * len(tokens) / len(validation) / math.log(2)


def test_every_tokenizer_trains_and_its_bits_are_right(
    study: StudyFiles, first_run: subprocess.CompletedProcess[str]
) -> None:
    assert first_run.returncode == 0, first_run.stderr
    study.assert_complete()
    (ended,) = study.events("phase_ended", "tokens")
    assert (ended["done"], ended["excluded"]) == (4, 4)
    for key, settings in study.settings("tokens").items():
        trial = Trial(**settings)
        recorded = study.endings()["tokens", key]["best_bits_per_char"]
        best = study.results / "tokens" / key / "best.safetensors"
        assert recorded == pytest.approx(bits_per_character(study, best, trial), abs=1e-4), trial.tokenizer


def test_the_best_by_bits_are_promoted(study: StudyFiles, first_run: subprocess.CompletedProcess[str]) -> None:
    bits = {key: ended["best_bits_per_char"] for (phase, key), ended in study.endings().items() if phase == "tokens"}
    best = sorted(bits, key=lambda key: bits[key])[:2]
    settings = study.settings("tokens")
    chosen = [(settings[key]["tokenizer"], settings[key]["vocab_size"]) for key in best]
    assert [(s["tokenizer"], s["vocab_size"]) for s in study.settings("best").values()] == chosen


def test_prompts_with_characters_outside_of_the_corpus(
    study: StudyFiles, first_run: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes can spell them. A character vocabulary cannot, and the error says so."""
    for key, settings in study.settings("tokens").items():
        code = main(["sample", str(study.results / "tokens" / key), "--prompt", "Ω zebra", "--length", "20"])
        printed, complaint = capsys.readouterr()
        if settings["tokenizer"] == "char":
            assert code == 2
            assert "'Ω' is not in the vocabulary" in complaint
            assert complaint.count("\n") == 1
        else:
            assert code == 0, complaint
            assert printed.startswith("Ω zebra")
            assert len(printed.removesuffix("\n")) == len("Ω zebra") + 20
