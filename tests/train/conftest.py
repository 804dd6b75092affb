"""Trials small enough to train hundreds of steps per second, and a text for them."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train.checkpoint import Progress, read_checkpoint, restore
from litegpt.train.loop import Beat, Ended, Evaluated, Training, TrialFiles
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokenizer import CharacterTokenizer
from tests.builders import tiny_trial

WORDS = ("the", "a", "cat", "dog", "bird", "sat", "ran", "flew", "on", "under", "over", "mat", "hill", "and")
SMALL = tiny_trial(max_iters=50, dropout=0.0, eval_interval=20)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Give torch one thread, as a worker on a CPU has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def text() -> str:
    chosen = random.Random(7)
    return " ".join(chosen.choice(WORDS) for _ in range(800))


@pytest.fixture(scope="session")
def tokenizer(text: str) -> CharacterTokenizer:
    return CharacterTokenizer(tuple(sorted(set(text))))


@pytest.fixture(scope="session")
def corpus(text: str, tokenizer: CharacterTokenizer) -> TokenizedCorpus:
    return TokenizedCorpus(*np.split(tokenizer.encode(text), [int(len(text) * 0.9)]), tokenizer.vocab_size)


@pytest.fixture
def small() -> Trial:
    return SMALL


@pytest.fixture(scope="session")
def mixed() -> list[Trial]:
    """Return five trials of one shape that differ in everything a pack allows except dropout."""
    return [
        SMALL,
        dataclasses.replace(SMALL, learning_rate=3e-3, weight_decay=0.3, seed=2),
        dataclasses.replace(SMALL, learning_rate=3e-2, grad_clip=0.1, seed=3),
        dataclasses.replace(SMALL, beta1=0.5, beta2=0.9, warmup_iters=10, seed=4),
        dataclasses.replace(SMALL, lr_schedule="cosine", min_learning_rate=1e-3, warmup_iters=5, grad_clip=1.0),
    ]


PackOf = Callable[..., Pack]


@pytest.fixture
def pack_of(corpus: TokenizedCorpus, tokenizer: CharacterTokenizer) -> PackOf:
    """Return a function that packs trials at the precision of the first."""

    def make(*trials: Trial) -> Pack:
        return Pack(trials, corpus, trials[0].precision)

    return make


class Recorder:
    """Records the evaluations and endings that a training reports, by trial."""

    def __init__(self, n_trials: int) -> None:
        self.evaluations: list[list[Evaluated]] = [[] for _ in range(n_trials)]
        self.endings: dict[int, Ended] = {}

    def __call__(self, event: Evaluated | Ended | Beat) -> None:
        if isinstance(event, Evaluated):
            self.evaluations[event.index].append(event)
        elif isinstance(event, Ended):
            assert event.index not in self.endings, "a trial ends once"
            self.endings[event.index] = event

    def losses(self, index: int) -> dict[int, tuple[float | None, ...]]:
        """Return a trial's losses by step."""
        return {e.step: (e.train_loss, e.val_loss, e.final_loss) for e in self.evaluations[index]}


class Trained:
    """A finished training: its pack, its reports and its files."""

    def __init__(
        self,
        pack: Pack,
        folder: Path,
        tokenizer: CharacterTokenizer,
        progress: list[Progress] | None = None,
        stop_at: int | None = None,
        poison: dict[int, int] | None = None,
        factor: float = float("nan"),
    ) -> None:
        """Train to the end, or until `stop_at` updates; `poison` {index: step} multiplies a trial's weights there."""
        self.pack, self.seen = pack, Recorder(len(pack.trials))
        self.files = []
        for index in range(len(pack.trials)):
            trial = folder / str(index)
            trial.mkdir(parents=True, exist_ok=True)
            self.files.append(TrialFiles(trial / "checkpoint.safetensors", trial / "best.safetensors", True))
        self.training = Training(pack, self.files, tokenizer, self.seen, progress)

        def should_stop() -> bool:
            for index, step in (poison or {}).items():
                if pack.step == step:
                    pack.model.weights[index] *= factor
            return pack.step == stop_at

        self.training.run(should_stop)


Train = Callable[..., Trained]


@pytest.fixture
def train(pack_of: PackOf, tmp_path: Path, tokenizer: CharacterTokenizer) -> Train:
    """Return a function that trains a pack in a new folder, from the start or from the files in `resume`."""
    count = 0

    def run(*trials: Trial, resume: Sequence[TrialFiles] | None = None, **options: object) -> Trained:
        nonlocal count
        count += 1
        pack = pack_of(*trials)
        progress = None
        if resume is not None:
            progress = [restore(pack, i, read_checkpoint(files.checkpoint)) for i, files in enumerate(resume)]
        folder = tmp_path / f"training{count}"
        for index, files in enumerate(resume or ()):  # copied, as if it were the same trial folder
            shutil.copytree(files.checkpoint.parent, folder / str(index))
        return Trained(pack, folder, tokenizer, progress, **options)

    return run
