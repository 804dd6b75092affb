"""The reports of a training and its accounting of time."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from litegpt.study.trial import Trial
from litegpt.train.loop import Beat, Ended, Evaluated, Training, TrialFiles
from litegpt.train.tokenizer import CharacterTokenizer

TOKENIZER = CharacterTokenizer("ab")


def files_in(folder: Path, n_trials: int) -> list[TrialFiles]:
    return [TrialFiles(folder / f"checkpoint{index}", folder / f"best{index}") for index in range(n_trials)]


def test_evaluations_come_at_their_steps_and_endings_come_last(train, small: Trial) -> None:  # type: ignore[no-untyped-def]
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
def test_shared_time_is_divided_by_the_width(pack_of, small: Trial, tmp_path: Path, width: int) -> None:  # type: ignore[no-untyped-def]
    """The shares of a pack add up to the time that passed."""
    ticks = itertools.count(0.0, 0.25)
    events: list[Evaluated | Ended | Beat] = []
    trials = [dataclasses.replace(small, seed=seed) for seed in range(width)]
    pack, files = pack_of(*trials), files_in(tmp_path, width)
    Training(pack, files, TOKENIZER, events.append, clock=lambda: next(ticks)).run()
    seconds = [event.progress.seconds for event in events if isinstance(event, Ended)]
    assert len(set(seconds)) == 1
    assert sum(seconds) == pytest.approx(next(ticks) - 0.25, abs=0.5)


def test_beats_come_between_evaluations(pack_of, small: Trial, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ticks = itertools.count(0.0, 0.1)
    events: list[Evaluated | Ended | Beat] = []
    Training(pack_of(small), files_in(tmp_path, 1), TOKENIZER, events.append, clock=lambda: next(ticks)).run()
    beats = [event.step for event in events if isinstance(event, Beat)]
    assert len(beats) >= 8, "one every half second of five"
    assert beats == sorted(set(beats))


def test_checkpoints_take_a_small_share_of_the_time(pack_of, small: Trial, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """If writing is slow, some evaluations write no checkpoint, but the end always does."""
    now, written = 0.0, []

    def clock() -> float:
        return now

    trial = dataclasses.replace(small, eval_interval=1)
    training = Training(pack_of(trial), files_in(tmp_path, 1), TOKENIZER, lambda event: None, clock=clock)
    save, advance = training._save, training.pack.advance

    def slow_save() -> None:
        nonlocal now
        now += 1.0
        written.append(training.pack.step)
        save()

    def advance_a_second() -> None:
        nonlocal now
        now += 1.0
        advance()

    training._save = slow_save  # type: ignore[method-assign]
    training.pack.advance = advance_a_second
    training.run()
    assert written == [1, 21, 41, 50]


def test_a_stop_takes_effect_after_the_current_step(train, small: Trial) -> None:  # type: ignore[no-untyped-def]
    over = train(small, stop_at=13)
    ended = over.seen.endings[0]
    assert (ended.state, ended.progress.step) == ("stopped", 13)
    assert [evaluation.step for evaluation in over.seen.evaluations[0]] == [0]
    assert over.files[0].checkpoint.is_file()


def test_a_stop_before_the_first_step_leaves_a_checkpoint(
    train,  # type: ignore[no-untyped-def]
    small: Trial,
    tokenizer: CharacterTokenizer,
) -> None:
    over = train(small, stop_at=0)
    assert over.seen.endings[0].state == "stopped"
    assert over.files[0].checkpoint.is_file()
    assert over.pack.step == 0
