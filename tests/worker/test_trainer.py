"""The trainer of a worker, in this process: out of memory, tuning, and texts that change."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litegpt.errors import InputError
from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.split import SplitText
from litegpt.train.checkpoint import read_checkpoint
from litegpt.train.pack import CaptureFailedError, Pack
from litegpt.train.tokens import CacheError, Tokens
from litegpt.worker import pack_job, prepared_text
from litegpt.worker import trainer as trainer_module
from litegpt.worker.messages import (
    BAD_CORPUS,
    CACHE,
    Alive,
    Message,
    PackOver,
    ShapeTuned,
    TrainPack,
    TrialEvaluated,
    TrialOver,
    TrialRequest,
)
from litegpt.worker.trainer import DeviceFailedError, PackTrainer
from tests.run.study_files import SMALL, Record, read_records

TRIAL = replace(SMALL, dropout=0.0)
TRIALS = [replace(TRIAL, seed=seed) for seed in range(5)]
BYTES = replace(TRIAL, tokenizer="byte")
WORDS = replace(TRIAL, tokenizer="word", vocab_size=265)
LAST = SplitRule()
TIMES = ("seconds", "tokens_per_second", "time", "pack_width")

Break = Callable[[Pack], bool]


def run(
    folder: Path,
    trials: list[Trial],
    *,
    tune: bool = False,
    corpus: str = "text.txt",
    split: SplitRule = LAST,
    trainer: PackTrainer | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    sent: list[Message] | None = None,
) -> tuple[list[Message], dict[str, list[Record]]]:
    """Train trials as one pack; return the messages and each trial's metrics without times."""
    text = "the cat sat on the mat and the dog ran over the hill " * 20
    data = text.encode()
    (folder / corpus).write_bytes(gzip.compress(data) if corpus.endswith(".gz") else data)
    requests = [
        TrialRequest(phase="p", settings=trial.settings(), folder=str(folder / "p" / trial.id), attempt=1)
        for trial in trials
    ]
    sent = [] if sent is None else sent
    trainer = trainer or PackTrainer("cpu", sent.append)
    trainer.send = sent.append
    trainer.train(
        TrainPack(
            pack="p1",
            corpus=corpus,
            corpus_base=str(folder),
            corpus_sha256=hashlib.sha256(data).hexdigest(),
            split=asdict(split),
            trials=requests,
            tune=tune,
        ),
        should_stop,
    )
    metrics = {trial.id: read_records(folder / "p" / trial.id / "metrics.jsonl") for trial in trials}
    for records in metrics.values():
        for record in records:
            for name in TIMES:
                record.pop(name)
    return sent, metrics


@pytest.fixture(autouse=True)
def short_and_single(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give torch one thread, like a worker on a CPU, and generate short texts."""
    monkeypatch.setattr(trainer_module, "SAMPLE_CHARACTERS", 3)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Callable[[Break], None]:
    """Let updates of packs that are too large run out of memory."""

    def fail(too_much: Break) -> None:
        advance = Pack.advance

        def advance_or_fail(pack: Pack) -> None:
            if too_much(pack):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            advance(pack)

        monkeypatch.setattr(Pack, "advance", advance_or_fail)

    return fail


def widths(sent: list[Message]) -> list[int]:
    return [message.width for message in sent if isinstance(message, ShapeTuned)]


def ends(sent: list[Message]) -> list[str]:
    return [message.state for message in sent if isinstance(message, TrialOver)]


@pytest.mark.parametrize("at_step", [0, 13])
def test_a_pack_splits_where_memory_runs_out(tmp_path: Path, allocator: Callable[[Break], None], at_step: int) -> None:
    """At the start or in the middle: every trial ends with the losses of an unsplit pack."""
    _, undisturbed = run(_new_folder(tmp_path / "a"), TRIALS)
    allocator(lambda pack: len(pack.trials) > 2 and pack.step >= at_step)
    sent, metrics = run(_new_folder(tmp_path / "b"), TRIALS)
    assert ends(sent) == ["done"] * 5
    assert isinstance(sent[-1], PackOver)
    assert metrics == undisturbed
    assert widths(sent) == [3, 2], "the runner learns how wide such packs may be"


@pytest.mark.parametrize("tune", [False, True])
def test_a_failed_capture_ends_the_worker_and_the_next_one_trains_without_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: bool
) -> None:
    def fail(pack: Pack) -> None:
        raise CaptureFailedError("a step cannot be captured as a CUDA graph")

    monkeypatch.setattr(Pack, "advance", fail)
    sent: list[Message] = []
    with pytest.raises(DeviceFailedError, match="cannot be captured"):
        run(_new_folder(tmp_path), TRIALS[:2], tune=tune, trainer=PackTrainer("cpu", sent.append), sent=sent)
    (report,) = [message for message in sent if isinstance(message, ShapeTuned)]
    assert (report.graph, report.width, report.flops_per_second) == (False, 2, None)
    assert ends(sent) == [], "the runner queues the trials again"


def test_a_failed_device_ends_the_worker_and_fails_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an illegal address, every later call of the process would fail."""

    def fail(pack: Pack) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Pack, "advance", fail)
    monkeypatch.setattr(trainer_module, "device_has_failed", lambda device: True)
    sent: list[Message] = []
    with pytest.raises(DeviceFailedError, match="illegal memory access"):
        run(_new_folder(tmp_path), TRIALS[:2], sent=sent)
    assert ends(sent) == []
    assert not any(isinstance(message, PackOver) for message in sent)


def test_an_error_of_a_healthy_device_fails_its_trials_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pack: Pack) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Pack, "advance", fail)
    sent, _ = run(_new_folder(tmp_path), TRIALS[:2])
    assert ends(sent) == ["failed"] * 2
    assert isinstance(sent[-1], PackOver)


def test_the_batch_of_a_single_trial_is_divided(tmp_path: Path, allocator: Callable[[Break], None]) -> None:
    _, undisturbed = run(_new_folder(tmp_path / "a"), TRIALS[:1])
    parts: list[int] = []

    def too_much(pack: Pack) -> bool:
        parts.append(pack.micro_batches)
        return pack.micro_batches < 4

    allocator(too_much)
    sent, metrics = run(_new_folder(tmp_path / "b"), TRIALS[:1])
    assert ends(sent) == ["done"]
    assert sorted(set(parts)) == [1, 2, 4]
    for trial, records in metrics.items():
        for record, whole in zip(records, undisturbed[trial], strict=True):
            assert record["val_loss"] == pytest.approx(whole["val_loss"], abs=1e-5)


def test_a_trial_that_never_fits_fails_alone(tmp_path: Path, allocator: Callable[[Break], None]) -> None:
    allocator(lambda pack: any(trial.seed == 3 for trial in pack.trials))
    sent, _ = run(_new_folder(tmp_path), TRIALS)
    end = {message.trial: message for message in sent if isinstance(message, TrialOver)}
    failed = end.pop(TRIALS[3].id)
    assert (failed.state, failed.failure) == ("failed", "out of memory")
    assert {message.state for message in end.values()} == {"done"}


def test_a_shape_is_tuned_before_it_is_trained(tmp_path: Path) -> None:
    _, undisturbed = run(_new_folder(tmp_path / "a"), TRIALS)
    sent, metrics = run(_new_folder(tmp_path / "b"), TRIALS, tune=True)
    (tuned,) = [message for message in sent if isinstance(message, ShapeTuned)]
    assert 1 <= tuned.width <= 5
    assert tuned.flops_per_second is not None
    assert tuned.flops_per_second > 0
    assert ends(sent) == ["done"] * 5
    for trial, records in metrics.items():
        assert [record["val_loss"] for record in records] == [
            pytest.approx(record["val_loss"], abs=1e-5) for record in undisturbed[trial]
        ]


def test_tuning_stops_between_two_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[object] = []

    def measure(*arguments: object) -> float:
        measured.append(arguments)
        return 1.0

    monkeypatch.setattr(trainer_module, "updates_per_second", measure)
    sent, _ = run(_new_folder(tmp_path), TRIALS, tune=True, should_stop=lambda: bool(measured))
    assert len(measured) == 1
    assert ends(sent) == ["stopped"] * 5


def test_generating_samples_shows_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_job, "HEARTBEAT_SECONDS", 0.0)
    sent, _ = run(_new_folder(tmp_path), TRIALS[:1])
    last = max(index for index, message in enumerate(sent) if isinstance(message, TrialEvaluated))
    signs = [message.step for message in sent[last:] if isinstance(message, Alive)]
    assert signs[:3] == [TRIAL.max_iters] * 3, "one per token"


def test_a_compressed_text_trains_like_the_plain_one(tmp_path: Path) -> None:
    blocks = SplitRule("blocks", 0.25)
    sent, packed = run(_new_folder(tmp_path / "a"), TRIALS[:1], corpus="text.txt.gz", split=blocks)
    assert ends(sent) == ["done"]
    _, plain = run(_new_folder(tmp_path / "b"), TRIALS[:1], split=blocks)
    assert packed == plain
    _, other = run(_new_folder(tmp_path / "c"), TRIALS[:1], split=SplitRule("blocks", 0.25, seed=1))
    assert other != plain


def trial_ends(sent: list[Message]) -> list[TrialOver]:
    return [message for message in sent if isinstance(message, TrialOver)]


def test_a_failed_tokenization_leaves_no_wrong_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the failed tokenizer nor the tokens of the one before may be used afterwards."""
    _, undisturbed = run(_new_folder(tmp_path / "a"), [BYTES])
    trainer, folder = PackTrainer("cpu", lambda message: None), _new_folder(tmp_path / "b")
    run(folder, [replace(BYTES, seed=1)], trainer=trainer)

    def full(*_: object) -> None:
        assert not trainer.text.is_tokenized, "the old tokens leave the device first"
        raise CacheError("the tokens cannot be kept in /here (full): make room there")

    with monkeypatch.context() as patch:
        patch.setattr(prepared_text, "tokenised", full)
        (end,) = trial_ends(run(folder, [WORDS], trainer=trainer)[0])
    assert (end.state, end.failure) == ("failed", CACHE)
    assert end.reason == "the tokens cannot be kept in /here (full): make room there"
    sent, metrics = run(folder, [BYTES], trainer=trainer)
    assert ends(sent) == ["done"]
    assert metrics == undisturbed


def test_a_trained_trial_ends_well_if_the_text_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text would only be needed to measure what a sample has copied."""
    tokenised = prepared_text.tokenised

    def delete_after(text: SplitText, *rest: Any) -> Tokens:
        tokens = tokenised(text, *rest)
        (tmp_path / "text.txt").unlink()
        return tokens

    monkeypatch.setattr(prepared_text, "tokenised", delete_after)
    assert ends(run(tmp_path, [BYTES])[0]) == ["done"]


def test_a_text_that_changes_during_a_run_is_a_bad_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object) -> None:
        raise InputError("the corpus has changed since it was read first", "text.txt")

    monkeypatch.setattr(prepared_text, "tokenised", changed)
    (end,) = trial_ends(run(tmp_path, [BYTES])[0])
    assert end.failure == BAD_CORPUS


def test_a_pack_can_be_stopped_while_a_long_text_is_tokenized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("litegpt.train.tokens.MAPPED_FROM", 0)
    for trial in (BYTES, WORDS):
        (end,) = trial_ends(run(_new_folder(tmp_path), [trial], should_stop=lambda: True)[0])
        assert (end.state, end.failure) == ("stopped", None)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".tmp"]


def test_a_trial_resumes_with_the_vocabulary_of_its_weights(tmp_path: Path) -> None:
    """A new trial takes the vocabulary of the study, which was replaced meanwhile."""
    _, undisturbed = run(_new_folder(tmp_path / "a"), [WORDS])
    folder, updates = _new_folder(tmp_path / "b"), itertools.count()
    assert ends(run(folder, [WORDS], should_stop=lambda: next(updates) > 10)[0]) == ["stopped"]
    (kept,) = (folder / "tokenizers").iterdir()
    definition = json.loads(kept.read_text())
    vocabulary = definition["model"]["vocab"]
    definition["model"]["vocab"] = dict(zip(vocabulary, reversed(vocabulary.values()), strict=True))
    kept.write_text(json.dumps(definition))
    fresh = replace(WORDS, seed=1)
    sent, metrics = run(folder, [fresh, WORDS])
    assert ends(sent) == ["done", "done"]
    assert metrics[WORDS.id] == undisturbed[WORDS.id]
    theirs, own = (
        read_checkpoint(folder / "p" / trial.id / "best.safetensors").tokenizer.state() for trial in (WORDS, fresh)
    )
    assert theirs["tokenizer"] != own["tokenizer"] == kept.read_text()


def _new_folder(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
