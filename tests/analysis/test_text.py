from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litegpt.analysis.ladder import ladder, read_rungs
from litegpt.analysis.verbatim import CorpusIndex, VerbatimIndex
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal


def by_hand(text: str, sample: str, stretch: int) -> tuple[int, int]:
    """Return (copied words, longest stretch) by trying every stretch of the sample as a phrase."""
    haystack = f" {' '.join(text.split())} "
    words = sample.split()
    copied: set[int] = set()
    longest = 0
    for start in range(len(words)):
        for end in range(start + stretch, len(words) + 1):
            if f" {' '.join(words[start:end])} " in haystack:
                copied.update(range(start, end))
                longest = max(longest, end - start)
    return len(copied), longest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 4))
def test_it_is_what_trying_every_phrase_finds(seed: int, letters: int, stretch: int) -> None:
    draw = random.Random(seed)
    text = " ".join(draw.choice("abcd"[:letters]) for _ in range(60))
    sample = "\n".join(draw.choice("abcde"[: letters + 1]) for _ in range(25))
    found = VerbatimIndex(text, stretch).measure(sample)
    assert (found.copied, found.longest) == by_hand(text, sample, stretch)
    assert sum(run.words for run in found.stretches) == found.copied
    for run in found.stretches:
        assert len(sample[run.start : run.end].split()) == run.words


TEXT = "One two three four five six seven eight nine ten. Then came the wolves, and nobody spoke of it again."


def test_white_space_does_not_count_and_seven_words_are_no_stretch() -> None:
    index = VerbatimIndex(TEXT)
    found = index.measure("He said: two three\nfour five  six seven eight nine and left")
    assert (found.words, found.copied, found.longest) == (12, 8, 8)
    assert found.share == pytest.approx(8 / 12)
    assert index.measure("two three four five six seven eight").copied == 0
    assert index.measure("").share == 0
    assert VerbatimIndex("too short").measure(TEXT).copied == 0


def test_the_control_is_the_other_split() -> None:
    unseen = " And this part of the story was never shown to any model at all."
    index = CorpusIndex(TEXT + unseen, len(TEXT))
    seen = index.measure(TEXT[:60])
    assert seen.training.copied > 8
    assert seen.validation.copied == 0
    lucky = index.measure(unseen)
    assert lucky.training.copied == 0
    assert lucky.validation.longest == 14


def test_a_text_that_repeats_itself_is_no_trap() -> None:
    found = VerbatimIndex("a b " * 20_000).measure("a b " * 50)
    assert (found.copied, found.longest) == (100, 100)


def sampled(folder: Path, symbols: str = "\n ab") -> Path:
    """Write weights of a tiny model whose characters are `symbols`."""
    from litegpt.plan.trial import Trial
    from litegpt.train.checkpoint import Progress, save_weights
    from litegpt.train.corpus import CharacterTokenizer, Corpus
    from litegpt.train.pack import Pack

    trial = Trial(n_layer=1, n_head=1, n_embd=8, block_size=4, batch_size=2, learning_rate=1e-3, max_iters=1)
    corpus = Corpus(CharacterTokenizer(symbols).encode(symbols * 10), len(symbols) * 5)
    pack = Pack([trial], corpus, len(symbols), "fp32")
    folder.mkdir()
    save_weights(pack, 0, pack.model.weights, Progress(), tuple(symbols), folder / "best.safetensors")
    return folder


def test_a_trial_writes_what_its_seed_says(tmp_path: Path, capsys) -> None:
    command = ["sample", str(sampled(tmp_path / "trial")), "--length", "40", "--prompt", "ab"]
    assert main([*command, "--seed", "1"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("ab")
    assert len(first) == 2 + 40 + 1
    assert main([*command, "--seed", "1", "--stream"]) == 0
    assert capsys.readouterr().out == first
    assert main([*command, "--seed", "2"]) == 0
    assert capsys.readouterr().out != first


def test_what_a_trial_writes_cannot_act_on_the_terminal(tmp_path: Path, capsys) -> None:
    assert main(["sample", str(sampled(tmp_path / "trial", "\n\x1b[")), "--length", "60"]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "␛" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--prompt", "x"], "'x' is not in the vocabulary"), (["--top-k", "0"], "--top-k at least 1")],
)
def test_a_wrong_wish_is_one_clear_line(tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    assert main(["sample", str(sampled(tmp_path / "trial")), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert main(["sample", str(tmp_path)]) == 2
    assert "name a trial's folder" in capsys.readouterr().err


def test_the_ladder_goes_down_evenly(original: StudyFolder) -> None:
    trials = list(read_journal(original.journal).trials())
    rungs = read_rungs(original, trials, "final_loss")
    assert len(rungs) == 1636
    chosen = ladder(rungs, 12)
    losses = [rung.loss for rung in chosen]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == max(trial.final_loss for trial in trials)
    assert losses[-1] == min(trial.final_loss for trial in trials)
    assert max(a - b for a, b in itertools.pairwise(losses)) < 0.3
    assert ladder(rungs[:3], 12) == rungs[:3]
