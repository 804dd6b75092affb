"""Packs in a worker's own code, in this process: memory that runs out, and shapes that are tuned."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from litegpt.plan.split import SplitRule
from litegpt.plan.trial import Trial
from litegpt.run import pack_trainer
from litegpt.run.messages import Message, PackOver, ShapeTuned, TrainPack, TrialOver, TrialRequest
from litegpt.run.pack_trainer import PackTrainer
from litegpt.train.pack import Pack
from tests.run.study_files import SMALL, Record, read_records

TRIAL = replace(SMALL, dropout=0.0)
TRIALS = [replace(TRIAL, seed=seed) for seed in range(5)]
LAST = SplitRule()
TIMES = ("seconds", "tokens_per_second", "time", "pack_width")

Break = Callable[[Pack], bool]


def run(
    folder: Path, trials: list[Trial], *, tune: bool = False, corpus: str = "text.txt", split: SplitRule = LAST
) -> tuple[list[Message], dict[str, list[Record]]]:
    """Train trials as one pack; return what was said and each trial's metrics, but for what they took."""
    text = "the cat sat on the mat and the dog ran over the hill " * 20
    data = text.encode()
    (folder / corpus).write_bytes(gzip.compress(data) if corpus.endswith(".gz") else data)
    requests = [
        TrialRequest(phase="p", settings=trial.settings(), folder=str(folder / trial.id), attempt=1) for trial in trials
    ]
    said: list[Message] = []
    PackTrainer("cpu", said.append).train(
        TrainPack(
            pack="p1",
            corpus=corpus,
            corpus_base=str(folder),
            corpus_sha256=hashlib.sha256(data).hexdigest(),
            split=asdict(split),
            trials=requests,
            tune=tune,
        ),
        lambda: False,
    )
    metrics = {trial.id: read_records(folder / trial.id / "metrics.jsonl") for trial in trials}
    for records in metrics.values():
        for record in records:
            for name in TIMES:
                record.pop(name)
    return said, metrics


@pytest.fixture(autouse=True)
def short_and_single(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give torch one thread, as a worker on a CPU has, and write little text."""
    monkeypatch.setattr(pack_trainer, "SAMPLE_CHARACTERS", 3)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Callable[[Break], None]:
    """Let the device run out of memory in the update of packs that are too much."""

    def fail(too_much: Break) -> None:
        advance = Pack.advance

        def advance_or_fail(pack: Pack) -> None:
            if too_much(pack):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            advance(pack)

        monkeypatch.setattr(Pack, "advance", advance_or_fail)

    return fail


def widths(said: list[Message]) -> list[int]:
    return [message.width for message in said if isinstance(message, ShapeTuned)]


def ends(said: list[Message]) -> list[str]:
    return [message.state for message in said if isinstance(message, TrialOver)]


@pytest.mark.parametrize("at_step", [0, 13])
def test_a_pack_splits_where_memory_runs_out(tmp_path: Path, allocator: Callable[[Break], None], at_step: int) -> None:
    """At once, or in the middle; every trial ends, and its losses are those of a pack that was never split."""
    _, undisturbed = run(_made(tmp_path / "a"), TRIALS)
    allocator(lambda pack: len(pack.trials) > 2 and pack.step >= at_step)
    said, metrics = run(_made(tmp_path / "b"), TRIALS)
    assert ends(said) == ["done"] * 5
    assert isinstance(said[-1], PackOver)
    assert metrics == undisturbed
    assert widths(said) == [3, 2], "the runner hears how wide such packs may be"


def test_a_lone_trials_batch_is_worked_off_in_parts(tmp_path: Path, allocator: Callable[[Break], None]) -> None:
    _, undisturbed = run(_made(tmp_path / "a"), TRIALS[:1])
    parts: list[int] = []

    def too_much(pack: Pack) -> bool:
        parts.append(pack.micro_batches)
        return pack.micro_batches < 4

    allocator(too_much)
    said, metrics = run(_made(tmp_path / "b"), TRIALS[:1])
    assert ends(said) == ["done"]
    assert sorted(set(parts)) == [1, 2, 4]
    for trial, records in metrics.items():
        for record, whole in zip(records, undisturbed[trial], strict=True):
            assert record["val_loss"] == pytest.approx(whole["val_loss"], abs=1e-5)


def test_a_trial_that_never_fits_fails_alone(tmp_path: Path, allocator: Callable[[Break], None]) -> None:
    allocator(lambda pack: any(trial.seed == 3 for trial in pack.trials))
    said, _ = run(_made(tmp_path), TRIALS)
    over = {message.trial: message for message in said if isinstance(message, TrialOver)}
    failed = over.pop(TRIALS[3].id)
    assert (failed.state, failed.failure) == ("failed", "out of memory")
    assert {message.state for message in over.values()} == {"done"}


def test_a_shape_is_tuned_before_it_is_trained(tmp_path: Path) -> None:
    _, undisturbed = run(_made(tmp_path / "a"), TRIALS)
    said, metrics = run(_made(tmp_path / "b"), TRIALS, tune=True)
    (tuned,) = [message for message in said if isinstance(message, ShapeTuned)]
    assert 1 <= tuned.width <= 5
    assert tuned.flops_per_second is not None
    assert tuned.flops_per_second > 0
    assert ends(said) == ["done"] * 5
    for trial, records in metrics.items():
        assert [record["val_loss"] for record in records] == [
            pytest.approx(record["val_loss"], abs=1e-5) for record in undisturbed[trial]
        ]


def test_a_compressed_text_in_blocks_trains_as_the_plain_one_does(tmp_path: Path) -> None:
    blocks = SplitRule("blocks", 0.25)
    said, packed = run(_made(tmp_path / "a"), TRIALS[:1], corpus="text.txt.gz", split=blocks)
    assert ends(said) == ["done"]
    _, plain = run(_made(tmp_path / "b"), TRIALS[:1], split=blocks)
    assert packed == plain
    _, other = run(_made(tmp_path / "c"), TRIALS[:1], split=SplitRule("blocks", 0.25, seed=1))
    assert other != plain


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
