from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from litegpt.analysis.ladder import ladder, rank_samples
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.samples import read_samples


def sampled(folder: Path, symbols: str = "\n ab") -> Path:
    """Write weights of a tiny model whose characters are `symbols`."""
    from litegpt.train.checkpoint import Progress, save_weights
    from litegpt.train.pack import Pack
    from litegpt.train.tokenized_corpus import TokenizedCorpus
    from litegpt.train.tokenizer import CharacterTokenizer
    from tests.builders import make_trial

    trial = make_trial(n_layer=1, n_embd=8, block_size=4)
    tokenizer = CharacterTokenizer(symbols)
    corpus = TokenizedCorpus(*[tokenizer.encode(symbols * 5)] * 2, len(symbols))
    pack = Pack([trial], corpus, "fp32")
    folder.mkdir()
    save_weights(pack, 0, pack.model.weights, Progress(), tokenizer, folder / "best.safetensors")
    return folder


def test_the_seed_decides_the_text(tmp_path: Path, capsys) -> None:
    command = ["sample", str(sampled(tmp_path / "trial")), "--length", "40", "--prompt", "ab"]
    assert main([*command, "--seed", "1"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("ab")
    assert len(first) == 2 + 40 + 1
    assert main([*command, "--seed", "1", "--stream"]) == 0
    assert capsys.readouterr().out == first
    assert main([*command, "--seed", "2"]) == 0
    assert capsys.readouterr().out != first


def test_generated_escapes_do_not_reach_the_terminal(tmp_path: Path, capsys) -> None:
    assert main(["sample", str(sampled(tmp_path / "trial", "\n\x1b[")), "--length", "60"]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "␛" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--prompt", "x"], "'x' is not in the vocabulary"), (["--top-k", "0"], "--top-k must be at least 1")],
)
def test_a_wrong_option_is_one_clear_line(tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    assert main(["sample", str(sampled(tmp_path / "trial")), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert main(["sample", str(tmp_path)]) == 2
    assert "name a trial's folder" in capsys.readouterr().err


def test_the_ladder_descends_evenly(original: StudyFolder) -> None:
    trials = list(read_journal(original.journal).trials())
    samples = [(trial, read_samples(original.trial(trial.phase, trial.id).samples)) for trial in trials]
    ranked = rank_samples(samples, "final_loss")
    assert len(ranked) == 1636
    losses = [entry.value for entry in ladder(ranked, 12)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == max(trial.metrics.final_loss for trial in trials)
    assert losses[-1] == min(trial.metrics.final_loss for trial in trials)
    assert max(a - b for a, b in itertools.pairwise(losses)) < 0.3
    assert ladder(ranked[:3], 12) == ranked[:3]
