"""The Curves tab: means and ranges by the values of a hyperparameter."""

from __future__ import annotations

import dataclasses
import math

import pytest
from textual.pilot import Pilot

from litegpt.results.events import PhasePlanned, TrialQueued
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.results.state import TrialState
from litegpt.study.trial import Trial
from tests.builders import phase_planned, study_started, trial_started, trial_state
from tests.tui.conftest import QUICK, ended, evaluation, log, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.curve import Curve
from tui.curves.mean_curves import CurveSection, MeanCurve, MeanQuestion, drawable, mean_curves, smoothed
from tui.curves.screen import CurvesScreen
from tui.curves.settings import CurvesSettings
from tui.curves.values import ValuesTable
from tui.location import StudyLocation, find_location
from tui.messages import TrialKey
from tui.widgets.chart import Chart


def open_curves(place: StudyLocation) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = "curves"
    return app


def curves_screen(app: ConsoleApp) -> CurvesScreen:
    assert isinstance(app.screen, CurvesScreen)
    return app.screen


def is_drawn(app: ConsoleApp, trials: int) -> bool:
    screen = app.screen
    return (
        isinstance(screen, CurvesScreen)
        and screen._result.trials == trials
        and not screen._means.is_waiting
        and bool(screen._drawn)
    )


def curves_of(trials: list[Trial], phase: str = "phase1") -> dict[TrialKey, tuple[TrialState, Curve]]:
    found = {}
    for place, trial in enumerate(trials):
        steps = range(0, trial.max_iters + 1, trial.eval_interval)
        curve = Curve.of(evaluation(trial, step, place) for step in steps)
        found[phase, trial.id] = (trial_state(trial, phase=phase), curve)
    return found


def test_a_mean_curve_breaks_where_its_trials_change() -> None:
    curves = curves_of(phase_trials(12)) | curves_of(phase_trials(2, max_iters=200), "phase2")
    means, used = mean_curves(MeanQuestion(curves, "learning_rate", "val_loss", "step"))
    assert used == 14
    assert [mean.value for mean in means] == [1e-3, 3e-3, 1e-2]
    both, long = means[0].sections
    assert (both.trials, long.trials) == (6, 2)
    assert (both.xs[-1], long.xs[0]) == (100.0, 120.0)
    (line,) = means[0].lines("a", "red", "a")
    assert sum(map(math.isnan, line.ys)) == 1
    assert means[1].at(101.0) is None
    assert means[0].at(50.0) == (both, 2)


@pytest.mark.parametrize(("axis", "last"), [("step", 100.0), ("time", 1.0), ("tokens", 100 * 12 * 16)])
def test_x_of_means_is_the_step_or_the_mean_x_of_the_trials(axis: str, last: float) -> None:
    means, _ = mean_curves(MeanQuestion(curves_of(phase_trials(12)), "n_layer", "train_loss", axis))
    assert means[0].sections[0].xs[-1] == pytest.approx(last)


def test_only_trials_with_counterparts_are_compared() -> None:
    curves = curves_of(phase_trials(11))  # the largest learning rate lacks a setting
    _, used = mean_curves(MeanQuestion(curves, "learning_rate", "val_loss", "step", only_matched=True))
    assert used == 9


def test_smoothing_starts_at_the_first_value() -> None:
    assert smoothed([4.0, 4.0, 4.0], 0.9) == pytest.approx([4.0, 4.0, 4.0])
    assert smoothed([1.0, 3.0], 0.5) == pytest.approx([1.0, (0.5 + 3) / 1.5])
    assert smoothed([1.0, 3.0], 0.0) == [1.0, 3.0]


def test_logarithmic_axis_drops_step_0() -> None:
    mean = MeanCurve(1, (CurveSection([0.0, 10.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], 1),))
    assert drawable([mean], 0.0, "log")[0].sections[0].xs == [10.0]


def test_sections_that_overlap_in_time_are_separate_lines() -> None:
    first, second = (CurveSection(xs, [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], 2) for xs in ([0.0, 9.0], [5.0, 8.0]))
    lines = MeanCurve(1, (first, second)).lines("x", "red", "a")
    assert [(line.name, line.sign) for line in lines] == [("", ""), ("x", "a")]


def test_invalid_options_become_the_first_choice() -> None:
    plain = {"figure": ["x"], "axis": 3, "smoothing": "much", "x_scale": None}
    settings = CurvesSettings(lambda: plain)
    assert (settings.metric, settings.axis, settings.weight, settings.x_scale) == ("val_loss", "step", 0.0, "linear")


def test_every_key_of_the_screen(finished: StudyLocation) -> None:
    app = open_curves(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: is_drawn(app, 14))  # the one that diverged is not among them
        text = text_of(app)
        assert "validation loss by learning_rate · all phases · 14 trials" in text
        assert "◂phase1" in text
        await pilot.press("full_stop")
        await settled(app, pilot, lambda: is_drawn(app, 11))
        await pilot.press("j", "f", "x", "x", "y", "X", "m", "v", "b")
        await settled(app, pilot, lambda: "training loss by n_layer · phase1" in text_of(app))
        assert app.view.of("curves") == {
            "name": "n_layer",
            "figure": "train_loss",
            "axis": "tokens",
            "y_scale": "log",
            "x_scale": "log",
            "smoothing": 0.6,
            "areas": "all",
        }
        assert "smoothed 0.6 · x log" in text_of(app)
        assert app.screen.query_one(ValuesTable).cursor == 1
        await pilot.press("k", "e")
        await settled(app, pilot, lambda: is_drawn(app, 9))
        assert "equal settings, 9 of 11 · training loss" in app.screen.query_one(Chart).border_title
        await pilot.press("comma", "e")
        await settled(app, pilot, lambda: is_drawn(app, 14))

    run(app, drive)


def test_cursor_reads_every_value(finished: StudyLocation) -> None:
    app = open_curves(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: is_drawn(app, 14))
        await pilot.press("l", "plus", "h")
        chart = app.screen.query_one(Chart)
        assert chart.cursor is not None
        assert f"at step {chart.cursor:,.0f}" in text_of(app)
        await pilot.press("z")
        await pilot.pause()
        assert "a 0.001" in text_of(app)
        assert [column.name for column in app.screen.query_one(ValuesTable).columns][:3] == ["value", "mean", "at"]
        await pilot.press("escape", "escape")
        assert chart.cursor is None
        assert "at the line ends" in text_of(app)

    run(app, drive)


def test_curves_include_a_trial_that_ends(study_file: object, folder: StudyFolder, finished: StudyLocation) -> None:
    app = open_curves(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: is_drawn(app, 14))
        trial = dataclasses.replace(phase_trials(1, max_iters=200)[0], learning_rate=0.5)
        log(folder, "phase2", trial, 1)
        with Journal(folder.journal, "small") as journal:
            known = [t.id for t in phase_trials(3, max_iters=200)]
            journal.append(
                PhasePlanned(phase="phase2", trials=[*known, trial.id]), TrialQueued(phase="phase2", settings=trial)
            )
            journal.append(trial_started("phase2", trial), ended("phase2", trial, 1))
        await settled(app, pilot, lambda: is_drawn(app, 15))
        assert "d 0.5" in text_of(app)

    run(app, drive)


def test_curves_without_finished_trials_show_a_sentence(study_file: object, folder: StudyFolder) -> None:
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started())
        journal.append(*phase_planned("phase1", phase_trials(2)))
    app = open_curves(find_location(study_file, folder.root))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "No trial is finished yet" in text_of(app))
        assert "end." in text_of(app)  # on a second line

    run(app, drive, (80, 24))


def test_names_from_files_are_shown_literally(study_file: object, folder: StudyFolder) -> None:
    phase = "[red]p"
    trials = phase_trials(4)
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started())
        journal.append(*phase_planned(phase, trials))
        for place, trial in enumerate(trials):
            log(folder, phase, trial, place)
            journal.append(trial_started(phase, trial), ended(phase, trial, place))
    app = open_curves(find_location(study_file, folder.root))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: is_drawn(app, 4))
        await pilot.press("full_stop")
        await settled(app, pilot, lambda: "· [red]p · 4 trials" in text_of(app))

    run(app, drive)
