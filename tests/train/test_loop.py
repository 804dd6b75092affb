"""The reports of a training and its accounting of time."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train import loop
from litegpt.train.checkpoint import read_checkpoint
from litegpt.train.loop import Beat, Ended, Evaluated, Training, TrialFiles
from litegpt.train.pack import Pack
from litegpt.train.tokenizer import CharacterTokenizer

TOKENIZER = CharacterTokenizer("ab")


def files_in(folder: Path, n_trials: int) -> list[TrialFiles]:
    return [TrialFiles(folder / f"checkpoint{index}", folder / f"best{index}") for index in range(n_trials)]


def test_evaluations_come_at_their_steps_and_endings_come_last(train, small: Trial) -> None:
    over = train(small, dataclasses.replace(small, seed=2))
    for index in range(2):
        evaluations = over.seen.evaluations[index]
        assert [evaluation.step for evaluation in evaluations] == [0, 20, 40, 50]
        assert evaluations[0].final_loss is None, "no minibatch before the first update"
        assert evaluations[0].tokens_per_second is None
        assert all(evaluation.tokens_per_second > 0 for evaluation in evaluations[1:])
        losses = [evaluation.val_loss for evaluation in evaluations]
        assert losses == sorted(losses, reverse=True), "it learns"
        ended = over.seen.endings[index]
        assert ended.evaluation == evaluations[-1]
        assert ended.progress.step == 50
        assert ended.progress.best_val_loss == min(losses)
        assert ended.progress.best_val_step == 50


@pytest.mark.parametrize("width", [1, 4])
def test_shared_time_is_divided_by_the_width(pack_of, small: Trial, tmp_path: Path, width: int) -> None:
    """The shares of a pack add up to the time that passed."""
    ticks = itertools.count(0.0, 0.25)
    events: list[Evaluated | Ended | Beat] = []
    trials = [dataclasses.replace(small, seed=seed) for seed in range(width)]
    pack, files = pack_of(*trials), files_in(tmp_path, width)
    Training(pack, files, TOKENIZER, events.append, clock=lambda: next(ticks)).run()
    seconds = [event.progress.seconds for event in events if isinstance(event, Ended)]
    assert len(set(seconds)) == 1
    assert sum(seconds) == pytest.approx(next(ticks) - 0.25, abs=0.5)


def test_beats_come_between_evaluations(pack_of, small: Trial, tmp_path: Path) -> None:
    ticks = itertools.count(0.0, 0.1)
    events: list[Evaluated | Ended | Beat] = []
    Training(pack_of(small), files_in(tmp_path, 1), TOKENIZER, events.append, clock=lambda: next(ticks)).run()
    beats = [event.step for event in events if isinstance(event, Beat)]
    assert len(beats) >= 8, "one every half second of five"
    assert beats == sorted(set(beats))


class Clocked:
    """A training whose steps, evaluations and checkpoints take given times on a clock; records when it saves."""

    def __init__(self, pack: Pack, folder: Path, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
        self.now = 0.0
        self.saved_at: list[int] = []
        self.events: list[Evaluated | Ended | Beat] = []
        self.files = files_in(folder, len(pack.trials))
        self.training = Training(pack, self.files, TOKENIZER, self.events.append, clock=lambda: self.now)

        def save(pack: Pack, *arguments: object) -> None:
            self.now += seconds.get("save", 0.0)
            self.saved_at.append(pack.step)

        def take(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
            def timed(*arguments: object) -> object:
                self.now += seconds.get(name, 0.0)
                return work(*arguments)

            return timed

        monkeypatch.setattr(loop, "save_checkpoint", save)
        pack.advance = take("step", pack.advance)
        pack.evaluate = take("evaluation", pack.evaluate)


@pytest.mark.parametrize(
    ("seconds", "saved_at"),
    [
        ({"step": 0.1, "evaluation": 1.0}, []),
        ({"step": 0.5}, [120]),
        ({"step": 2.0}, [30, 60, 90, 120, 150, 180]),
        ({"step": 2.0, "save": 5.0}, [30, 80, 130, 180]),
    ],
)
def test_checkpoints_are_a_minute_apart_and_take_a_small_share_of_the_time(
    pack_of,
    small: Trial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[str, float],
    saved_at: list[int],
) -> None:
    clocked = Clocked(pack_of(dataclasses.replace(small, max_iters=200)), tmp_path, monkeypatch, **seconds)
    clocked.training.run()
    assert clocked.saved_at == saved_at


@pytest.mark.parametrize(
    ("seconds", "saved_at"),
    [
        ({"step": 0.1, "evaluation": 10.0}, [20, 40, 50]),
        ({"step": 0.01, "evaluation": 1.0}, []),  # repeating so little costs nothing
        ({"step": 0.4, "evaluation": 3.0}, []),  # 20 steps take longer than the evaluation
    ],
)
def test_a_checkpoint_comes_before_an_evaluation_longer_than_the_unsaved_training(
    pack_of,
    small: Trial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[str, float],
    saved_at: list[int],
) -> None:
    clocked = Clocked(pack_of(small), tmp_path, monkeypatch, **seconds)
    clocked.training.run()
    assert clocked.saved_at == saved_at


@pytest.mark.parametrize("keeps_checkpoint", [False, True])
def test_an_ended_trial_writes_its_best_weights_and_a_checkpoint_only_if_it_keeps_one(
    pack_of,
    small: Trial,
    tmp_path: Path,
    keeps_checkpoint: bool,
) -> None:
    (files,) = (dataclasses.replace(files, keeps_checkpoint=keeps_checkpoint) for files in files_in(tmp_path, 1))
    Training(pack_of(small), [files], TOKENIZER, lambda event: None).run()
    assert files.best.exists()
    assert files.checkpoint.exists() == keeps_checkpoint
    assert json.loads((tmp_path / "state.json").read_text())["progress"]["step"] == 50


def test_beats_come_during_an_evaluation(
    pack_of,
    small: Trial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocked = Clocked(pack_of(dataclasses.replace(small, max_iters=1)), tmp_path, monkeypatch)
    evaluate = clocked.training.pack.evaluate

    def slow_evaluation(beat: Callable[[], None]) -> object:
        for _ in range(5):
            clocked.now += 1.0
            beat()
        return evaluate(beat)

    clocked.training.pack.evaluate = slow_evaluation
    clocked.training.run()
    assert [event.step for event in clocked.events if isinstance(event, Beat)] == [0] * 5 + [1] * 5


def test_a_stop_during_an_evaluation_ends_it(train, small: Trial) -> None:
    over = train(small, stop_at=20)
    assert (over.seen.endings[0].state, over.seen.endings[0].progress.step) == ("stopped", 20)
    assert [evaluation.step for evaluation in over.seen.evaluations[0]] == [0], "step 20 is evaluated after the resume"
    resumed = train(small, resume=over.files)
    assert [evaluation.step for evaluation in resumed.seen.evaluations[0]] == [20, 40, 50]


@pytest.mark.parametrize("stop", [None, 33])
def test_the_best_weights_come_from_memory_or_from_a_file(train, small: Trial, stop: int | None) -> None:
    over = train(small, poison={0: 25}, factor=10.0, stop_at=stop)
    if stop is not None:
        over = train(small, resume=over.files)
    assert over.seen.endings[0].progress.best_val_step == 20
    over.training.restore_best(0)
    best = read_checkpoint(over.files[0].best).tensors
    for name, view in over.pack.model.views(over.pack.model.weights).items():
        assert torch.equal(view[0], best[f"weights/{name}"])


def test_a_stop_takes_effect_after_the_current_step(train, small: Trial) -> None:
    over = train(small, stop_at=13)
    ended = over.seen.endings[0]
    assert (ended.state, ended.progress.step) == ("stopped", 13)
    assert [evaluation.step for evaluation in over.seen.evaluations[0]] == [0]
    assert over.files[0].checkpoint.is_file()


def test_a_stop_before_the_first_step_leaves_a_checkpoint(
    train,
    small: Trial,
    tokenizer: CharacterTokenizer,
) -> None:
    over = train(small, stop_at=0)
    assert over.seen.endings[0].state == "stopped"
    assert over.files[0].checkpoint.is_file()
    assert over.pack.step == 0
