"""The Importance tab: bars, intervals and scores, and the process that computes them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from textual.pilot import Pilot

from litegpt.analysis.anova import Anova, Effect
from litegpt.analysis.design import TARGETS as FIGURES
from litegpt.results.events import PhasePlanned, TrialQueued
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.results.metric import TrialMetrics
from litegpt.results.state import TrialState
from litegpt.study.trial import Trial
from tests.builders import phase_planned, study_started, trial_started
from tests.tui.conftest import QUICK, ended, log, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.importance import screen as importance
from tui.importance.answering import Answerer
from tui.importance.answers import METHODS, Answer, Method, Question, Share, _of_variance, answer
from tui.importance.bars import bars_content
from tui.importance.screen import TARGETS, ImportanceScreen
from tui.location import StudyLocation, find_location


def trials(count: int = 12) -> list[TrialState]:
    return [
        TrialState(
            "phase1",
            trial.id,
            trial,
            "done",
            metrics=TrialMetrics(final_loss=1 + 0.1 * trial.n_layer + trial.learning_rate, seconds=1.0 + at),
        )
        for at, trial in enumerate(phase_trials(count))
    ]


def open_importance(place: StudyLocation) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = "importance"
    return app


def answered(*names: str) -> Answer:
    return Answer(tuple(Share(name, 1 / place) for place, name in enumerate(names, 1)), "What it means.", ("a note",))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Answers at once, and from which thread it was asked."""
    questions: list[Question] = []

    def quick(_: Answerer, question: Question, trials: Iterable[TrialState], scores: Any = ()) -> Answer:
        assert threading.current_thread() is not threading.main_thread()
        questions.append(question)
        return answered(f"[red]\x1b{question.method}", "n_layer")

    monkeypatch.setattr(Answerer, "ask", quick)
    return questions


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_answers(method: Method) -> None:
    found = answer(Question("phase1", "loss", method, 12), trials())
    assert found.problem == ""
    assert found.meaning
    assert {score.name for score in found.scores} == {"n_layer", "learning_rate", "batch_size"}
    first = found.bars[0]
    assert first.name == "n_layer"
    assert (first.low is not None) == (method == "permutation")
    text = bars_content(found, 60, 20).plain
    assert "█" in text
    assert ("├" in text.split(found.meaning)[0]) == (method == "permutation")


@pytest.mark.slow
def test_the_process_answers_and_ends() -> None:
    answerer = Answerer()
    few = Question(None, "loss", "forest", 3)
    assert answerer.ask(few, trials(3)) == answer(few, trials(3))
    assert answerer.ask(few, trials(3)).problem  # the same process again
    answerer.close()
    assert answerer._process is not None
    assert answerer._process.poll() is not None


def test_a_killed_process_gives_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "the process has ended" in Answerer().ask(Question(None, "loss", "forest", 3), trials(3)).problem


def test_hyperparameters_that_vary_together_share_a_bar() -> None:
    wide = [Trial(**{**t.settings.settings(), "n_head": 2 * t.settings.n_layer}) for t in trials()]
    joint = [
        TrialState("p", t.id, t, "done", metrics=TrialMetrics(final_loss=t.n_layer + t.learning_rate, seconds=1.0))
        for t in wide
    ]
    found = answer(Question(None, "loss", "forest", 12), joint)
    assert {"n_head", "n_layer"} == {name for name, _ in found.bars[0].parts}
    text = bars_content(found, 80, 20).plain
    assert "n_head + n_layer" in text
    assert "they vary together" in text


def test_too_few_trials_give_a_problem() -> None:
    found = answer(Question(None, "loss", "forest", 3), trials(3))
    assert "Not enough data" in bars_content(found, 60, 20).plain.capitalize()


def test_anova_of_two_metrics_uses_the_loss() -> None:
    found = answer(Question(None, "loss and time", "anova", 12), trials())
    assert any("final_loss alone" in note for note in found.notes)
    assert set(TARGETS) <= set(FIGURES)


def test_bars_show_whole_names_and_counts() -> None:
    joint = Answer((Share("tokenizer + vocab_size", 0.9), Share("n_layer", 0.1)), "m")
    assert "tokenizer + vocab_size " in bars_content(joint, 60, 20).plain
    effects = (Effect(("a",), 0.996, 1.0, 1), Effect(("b",), 0.004, 0.1, 1))
    small = Anova("loss", "p", effects, rest=0.0, cells=4, trials=4, notes=())
    assert [bar.name for bar in _of_variance(small, ()).bars] == ["a", "1 smaller effect", "the rest"]


def test_negative_importance_is_left_of_zero() -> None:
    found = Answer((Share("a", 0.5, 0.4, 0.6), Share("b", -0.1, -0.2, 0.05)), "m")
    lines = bars_content(found, 50, 20).plain.splitlines()
    assert lines[3].index("├") < lines[0].index("█")
    assert "█" not in lines[2]


def test_each_question_is_asked_once(finished: StudyLocation, asked: list[Question]) -> None:
    app = open_importance(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "minibatch loss · forest · all phases · 14 trials" in text_of(app))
        await settled(app, pilot, lambda: "[red]␛forest" in text_of(app))
        await pilot.press("m")
        await settled(app, pilot, lambda: "permutation █" in text_of(app))
        await pilot.press("m")
        await settled(app, pilot, lambda: "␛anova" in text_of(app))
        await pilot.press("M", "M")
        await settled(app, pilot, lambda: "␛forest" in text_of(app))
        await pilot.press("t", "full_stop")
        await settled(app, pilot, lambda: "best validation loss · forest · phase1 · 11 trials" in text_of(app))
        await settled(app, pilot, lambda: "␛forest" in text_of(app))
        await pilot.press("comma")
        assert app.view.of("importance") == {"method": "forest", "target": "best_val_loss"}
        assert len(set(asked)) == len(asked)
        await pilot.press("j", "k", "G", "g", "tab", "y")

    run(app, drive)


def test_a_huge_screen_shows_all_methods(finished: StudyLocation, asked: list[Question]) -> None:
    app = open_importance(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: all(f"␛{method}" in text_of(app) for method in METHODS))

    run(app, drive, (200, 60))


def test_importance_says_that_it_computes(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(*_: object) -> Answer:
        go.wait(10)
        return Answer(problem="not enough data: [b]14 trials\x1b")

    monkeypatch.setattr(Answerer, "ask", slow)
    app = open_importance(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "Computing the forest importance of 14 trials…" in text_of(app))
        assert "computing…" in text_of(app)
        await pilot.press("m")
        await settled(app, pilot, lambda: "Computing the permutation importance" in text_of(app))
        go.set()
        await settled(app, pilot, lambda: "not enough data: [b]14 trials␛." in text_of(app))

    run(app, drive)


def test_an_answer_is_kept_for_a_while_when_trials_end(
    finished: StudyLocation, folder: StudyFolder, asked: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "FRESH_SECONDS", 0.5)
    app = open_importance(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "␛forest" in text_of(app))
        trial = phase_trials(4, max_iters=200)[3]
        known = [t.id for t in phase_trials(3, max_iters=200)]
        with Journal(folder.journal, "small") as journal:
            journal.append(
                PhasePlanned(phase="phase2", trials=[*known, trial.id]), TrialQueued(phase="phase2", settings=trial)
            )
            journal.append(trial_started("phase2", trial), ended("phase2", trial, 1))
        await settled(app, pilot, lambda: "15 trials" in text_of(app))
        assert "␛forest" in text_of(app)
        await settled(app, pilot, lambda: [question.done for question in asked] == [14, 15])

    run(app, drive)


def test_importance_without_finished_trials_shows_a_sentence(study_file: Any, folder: StudyFolder) -> None:
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started())
        journal.append(*phase_planned("phase1", phase_trials(2)))
        log(folder, "phase1", phase_trials(1)[0], 0)
    app = open_importance(find_location(study_file, folder.root))

    async def drive(pilot: Pilot[None]) -> None:
        assert isinstance(app.screen, ImportanceScreen)
        await settled(app, pilot, lambda: "no trial is finished yet" in text_of(app))
        await pilot.press("y")

    run(app, drive, (80, 24))
