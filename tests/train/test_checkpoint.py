"""Checkpoints: a trial resumes bit for bit, alone or packed, and damaged files are refused."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from litegpt.errors import InputError
from litegpt.study.trial import Trial
from litegpt.train.checkpoint import Progress, read_checkpoint, restore, restore_weights, save_checkpoint
from litegpt.train.pack import Pack
from litegpt.train.tokenizer import CharacterTokenizer

ROWS = ("first", "second", "updates")


@pytest.fixture
def noisy(small: Trial) -> Trial:
    return dataclasses.replace(small, dropout=0.2, grad_clip=1.0, warmup_iters=15, lr_schedule="cosine")


def assert_same_end(resumed, whole, index: int = 0, whole_index: int = 0) -> None:
    assert torch.equal(resumed.pack.model.weights[index], whole.pack.model.weights[whole_index])
    for row in ROWS:
        assert torch.equal(getattr(resumed.pack.optimizer, row)[index], getattr(whole.pack.optimizer, row)[whole_index])
    later = resumed.seen.losses(index)
    assert later == {step: whole.seen.losses(whole_index)[step] for step in later}
    assert 50 in later
    ended, expected = resumed.seen.endings[index], whole.seen.endings[whole_index]
    assert (ended.state, ended.progress.best_val_loss) == (expected.state, expected.progress.best_val_loss)
    best, expected_best = (read_checkpoint(t.files[i].best) for t, i in ((resumed, index), (whole, whole_index)))
    assert_same_tensors(best.tensors, expected_best.tensors)


def assert_same_tensors(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


@pytest.mark.parametrize("stops", [[0], [13], [20], [49], [7, 8, 30, 40, 41]])
def test_a_stopped_trial_resumes_bit_for_bit(train, noisy: Trial, stops: list[int]) -> None:
    """With dropout, stopped between evaluations, at an evaluation, and more than once."""
    whole, part = train(noisy), train(noisy, stop_at=stops[0])
    for stop in (*stops[1:], None):
        part = train(noisy, resume=[part.files[0]], stop_at=stop)
    assert_same_end(part, whole)


@pytest.mark.parametrize("stop", [20, 33])
def test_a_trial_resumes_bit_for_bit_in_another_pack(train, mixed: list[Trial], stop: int) -> None:
    """With other trials, in another row, and in a pack of another width."""
    trials = [
        dataclasses.replace(trial, dropout=rate) for trial, rate in zip(mixed, (0.2, 0.1, 0.5, 0.3, 0.2), strict=True)
    ]
    whole, part = train(*trials), train(*trials, stop_at=stop)
    others = train(dataclasses.replace(trials[0], seed=77), dataclasses.replace(trials[0], seed=78), stop_at=stop)
    resumed = train(
        trials[4],
        others.pack.trials[1],
        trials[1],
        resume=[part.files[4], others.files[1], part.files[1]],
    )
    assert_same_end(resumed, whole, 0, 4)
    assert_same_end(resumed, whole, 2, 1)


def test_a_packed_trial_resumes_alone_bit_for_bit(train, mixed: list[Trial]) -> None:
    trials = [dataclasses.replace(trial, dropout=0.2) for trial in mixed]
    whole, part = train(*trials), train(*trials, stop_at=33)
    resumed = train(trials[1], resume=[part.files[1]])
    assert_same_end(resumed, whole, 0, 1)


def test_a_solo_trial_resumes_in_a_pack_bit_for_bit(train, mixed: list[Trial]) -> None:
    trials = [dataclasses.replace(trial, dropout=0.2) for trial in mixed[:2]]
    whole = [train(trial) for trial in trials]
    parts = [train(trial, stop_at=33) for trial in trials]
    resumed = train(*trials, resume=[part.files[0] for part in parts])
    assert_same_end(resumed, whole[0], 0)
    assert_same_end(resumed, whole[1], 1)


def test_a_loss_scale_is_restored(train, noisy: Trial) -> None:
    half = dataclasses.replace(noisy, precision="fp16")
    whole, part = train(half), train(half, stop_at=33)
    resumed = train(half, resume=[part.files[0]])
    assert_same_end(resumed, whole)
    for name in resumed.pack.loss_scale.STATE:
        assert torch.equal(getattr(resumed.pack.loss_scale, name), getattr(whole.pack.loss_scale, name))


def test_a_diverged_trial_stays_diverged(train, small: Trial) -> None:
    part = train(small, dataclasses.replace(small, seed=2), poison={1: 13}, stop_at=25)
    assert part.seen.endings[1].state == "diverged"
    resumed = train(*part.pack.trials, resume=part.files)
    assert [resumed.seen.endings[index].state for index in range(2)] == ["done", "diverged"]


def test_a_checkpoint_keeps_the_time_and_the_best_loss(train, noisy: Trial) -> None:
    part = train(noisy, stop_at=33)
    before = part.seen.endings[0].progress
    assert read_checkpoint(part.files[0].checkpoint).progress == dataclasses.replace(
        before, seconds=pytest.approx(before.seconds, rel=0.5)
    )
    assert before.best_val_step == 20
    resumed = train(noisy, resume=part.files)
    assert resumed.seen.endings[0].progress.seconds > before.seconds


@pytest.mark.parametrize("factor", [10.0, float("nan")])
def test_best_holds_the_weights_of_the_best_evaluation(train, noisy: Trial, factor: float) -> None:
    """The trial gets worse or diverges after step 20, so the file keeps the weights of step 20."""
    spoilt, at_best = train(noisy, poison={0: 25}, factor=factor), train(noisy, stop_at=20)
    losses = {evaluation.step: evaluation.val_loss for evaluation in spoilt.seen.evaluations[0]}
    assert spoilt.seen.endings[0].progress.best_val_step == 20
    assert all(loss is None or loss > losses[20] for step, loss in losses.items() if step != 20)
    best = read_checkpoint(spoilt.files[0].best)
    assert (best.progress.step, best.progress.best_val_loss) == (20, losses[20])
    assert all(name.startswith("weights/") for name in best.tensors), "weights alone"
    whole = read_checkpoint(at_best.files[0].checkpoint).tensors
    assert_same_tensors(best.tensors, {name: whole[name] for name in best.tensors})
    restore_weights(spoilt.pack, 0, best)
    assert spoilt.pack.evaluate()[1].item() == losses[20]


def test_best_survives_a_resume(train, noisy: Trial) -> None:
    spoilt = train(noisy, poison={0: 25}, factor=10.0, stop_at=33)
    resumed = train(noisy, resume=spoilt.files)
    assert resumed.seen.endings[0].progress.best_val_step == 20
    assert resumed.seen.endings[0].best_was_earlier
    best = [read_checkpoint(over.files[0].best).tensors for over in (spoilt, resumed)]
    assert_same_tensors(*best)


def test_state_json_repeats_the_checkpoints_header(train, noisy: Trial, tokenizer: CharacterTokenizer) -> None:
    part = train(noisy, stop_at=33)
    state = json.loads(part.files[0].checkpoint.with_name("state.json").read_text(encoding="utf-8"))
    checkpoint = read_checkpoint(part.files[0].checkpoint)
    assert state["numbers"] == checkpoint.numbers
    assert Progress(**state["progress"]) == checkpoint.progress
    assert state["format"] == 1
    assert Trial(**state["trial"]) == noisy
    assert state["progress"]["step"] == 33
    assert state["symbols"] == "".join(tokenizer.symbols)
    assert list(part.files[0].checkpoint.parent.glob("*.tmp")) == []


class TestDamage:
    @pytest.fixture
    def checkpoint(self, train, small: Trial) -> Path:
        path: Path = train(small, stop_at=5).files[0].checkpoint
        return path

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such checkpoint"):
            read_checkpoint(tmp_path / "none.safetensors")

    def test_a_file_cut_short_anywhere(self, checkpoint: Path) -> None:
        data = checkpoint.read_bytes()
        for length in (0, 1, 7, 8, 9, 100, *range(200, len(data), 4001), len(data) - 1):
            checkpoint.write_bytes(data[:length])
            with pytest.raises(InputError, match="cannot be read"):
                read_checkpoint(checkpoint)

    def test_a_header_with_any_bit_flipped(self, checkpoint: Path, pack_of, small: Trial) -> None:
        """Reading either raises InputError or returns a complete trial."""
        data = checkpoint.read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        chosen = random.Random(0)
        pack: Pack = pack_of(small)
        refused = 0
        for _ in range(400):
            damaged = bytearray(data)
            damaged[chosen.randrange(header)] ^= 1 << chosen.randrange(8)
            checkpoint.write_bytes(damaged)
            try:
                read = read_checkpoint(checkpoint)
                assert isinstance(read.trial, Trial)
                assert isinstance(read.progress, Progress)
                assert isinstance(read.tokenizer, CharacterTokenizer)
                restore(pack, 0, read)
            except InputError:
                refused += 1
        assert refused > 300

    @pytest.mark.parametrize("offset", [-1, -5000, -20_000])
    def test_a_tensor_with_a_bit_flipped(self, checkpoint: Path, offset: int) -> None:
        data = bytearray(checkpoint.read_bytes())
        data[offset] ^= 64
        checkpoint.write_bytes(data)
        with pytest.raises(InputError):
            read_checkpoint(checkpoint)

    @pytest.mark.parametrize("data", [b"", b"junk", b"\x80\x04K\x01.", b"\xff" * 100, b"\0" * 100])
    def test_a_file_that_is_not_safetensors(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(data)
        with pytest.raises(InputError, match="cannot be read"):
            read_checkpoint(path)

    @pytest.mark.parametrize(
        "header", ["null", "[]", "5", '"x"', "{}", '{"format": 2}', '{"format": 1}', "{", '{"format": 1, "trial": 5}']
    )
    def test_a_header_that_is_not_valid(self, tmp_path: Path, header: str) -> None:
        path = tmp_path / "checkpoint.safetensors"
        save_file({"x": torch.zeros(1)}, path, {"state": header})
        with pytest.raises(InputError):
            read_checkpoint(path)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError):
            read_checkpoint(tmp_path)

    def test_another_shape(self, checkpoint: Path, pack_of, small: Trial) -> None:
        read = read_checkpoint(checkpoint)
        for change in ({"n_embd": 32}, {"block_size": 16}, {"n_layer": 2}):
            with pytest.raises(InputError, match="does not fit"):
                restore(pack_of(dataclasses.replace(small, **change)), 0, read)

    @pytest.mark.parametrize(("saved", "wanted"), [("fp32", "fp16"), ("fp16", "fp32")])
    def test_another_precision(self, train, pack_of, small: Trial, saved: str, wanted: str) -> None:
        """On another machine the trial resumes in another precision."""
        part = train(dataclasses.replace(small, precision=saved), stop_at=5)
        pack = pack_of(dataclasses.replace(small, precision=wanted))
        try:
            assert restore(pack, 0, read_checkpoint(part.files[0].checkpoint)).step == 5
        except InputError:
            return

    def test_a_write_that_fails_leaves_the_old_checkpoint(
        self,
        checkpoint: Path,
        pack_of,
        small: Trial,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        before = checkpoint.read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            save_checkpoint(pack_of(small), 0, Progress(), CharacterTokenizer("a"), checkpoint)
        assert checkpoint.read_bytes() == before
