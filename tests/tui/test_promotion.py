"""The promotion dialog: its preview follows every choice."""

from __future__ import annotations

import threading

import pytest
from textual.pilot import Pilot

from litegpt.study.phase import Promotion
from litegpt.study.study import read_study
from tests.tui.conftest import QUICK, STUDY, phase_trials, run, settled, text_of
from tui import actions
from tui.app import ConsoleApp
from tui.dialogs.confirm import ConfirmScreen
from tui.location import StudyLocation
from tui.promotion.preview import PromotionPreview, PromotionQuestion, preview_choices
from tui.promotion.screen import PromotionScreen


def study_text(place: StudyLocation) -> str:
    assert place.study_path is not None
    return place.study_path.read_text(encoding="utf-8")


async def dialog(app: ConsoleApp, pilot: Pilot[None], phase: str = "phase1", marked: int = 0) -> PromotionScreen:
    await settled(app, pilot, lambda: len(app.feed.state.phases) == 2)
    ids = [trial.id for trial in phase_trials()]
    screen = PromotionScreen(
        app.session, phase, [("phase1", ids[place]) for place in range(0, 2 * marked, 2)], "val_loss"
    )
    app.push_screen(screen)
    await previewed(app, pilot)
    return screen


async def previewed(app: ConsoleApp, pilot: Pilot[None]) -> str:
    """Wait for the preview of the choices; return the screen's text."""
    await pilot.pause()
    screen = app.screen
    assert isinstance(screen, PromotionScreen)
    await settled(app, pilot, lambda: not screen.is_computing)
    return text_of(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
def test_the_preview_follows_the_choices(finished: StudyLocation, size: tuple[int, int]) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot)
        text = text_of(app)
        assert "phase3: the 5 best of phase1 by val_loss" in text
        assert "parameters" in text
        assert "+ [[phase]]" in text
        await pilot.press("j", "3", "j", "l", "l", "j", "l", "j", "l")
        text = await previewed(app, pilot)
        assert "phase3: the 3 best of phase1 by final_loss" in text
        assert "3 trials · " in text
        await pilot.press("k", "l")
        assert "only 'exact' can start from a checkpoint" in await previewed(app, pilot)
        await pilot.press("enter")
        assert isinstance(app.screen, PromotionScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, PromotionScreen)
        assert study_text(finished) == STUDY

    run(app, drive, size)


def test_enter_writes_the_rule_and_offers_to_run(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[tuple[str, ...]] = []
    monkeypatch.setattr(actions, "_run_litegpt", lambda app, session, *arguments: launched.append(arguments))
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot)
        await pilot.press("j", "backspace", "4", "j", "j", "l", "j", "l", "j", *"90", "backspace", "l", "enter")
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert finished.study_path is not None
        phase = read_study(finished.study_path).phase("phase3")
        assert phase.promotion == Promotion("phase1", 4, by="val_loss", how="exact", start="checkpoint")
        assert phase.fixed["max_iters"] == 10
        assert study_text(finished).startswith(STUDY)
        await pilot.press("y")
        await settled(app, pilot, lambda: bool(launched))

    run(app, drive)


def test_keys_do_not_wait_for_the_preview(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    may_compute = threading.Event()

    def slow_preview(question: PromotionQuestion) -> PromotionPreview:
        assert may_compute.wait(30)
        return preview_choices(question)

    monkeypatch.setattr("tui.promotion.screen.preview_choices", slow_preview)
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(app.feed.state.phases) == 2)
        app.push_screen(PromotionScreen(app.session, "phase1", [], "val_loss"))
        await pilot.press("j", "3")
        assert "3 ▸" in text_of(app)
        await pilot.press("enter")
        assert study_text(finished) == STUDY
        may_compute.set()
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert finished.study_path is not None
        assert read_study(finished.study_path).phase("phase3").promotion == Promotion("phase1", 3, by="val_loss")

    run(app, drive)


def test_marking_the_best_trials_writes_a_rule(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot, marked=1)
        assert "phase3: the 1 best of phase1 by val_loss" in text_of(app)

    run(app, drive)


def test_marked_trials_are_written_out(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot, marked=3)
        assert "3 marked trials of phase1, narrow" in text_of(app)
        await pilot.press("j", "j", "j", "l")
        assert "3 trials · " in await previewed(app, pilot)
        await pilot.press("enter")
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert finished.study_path is not None
        phase = read_study(finished.study_path).phase("phase3")
        assert len(phase.listed) == 3
        assert phase.promotion is None
        assert "# 3 marked trials of phase1, exact\n[[phase]]" in study_text(finished)
        await pilot.press("escape")

    run(app, drive)


def test_promotion_does_not_overwrite_a_changed_file(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot)
        assert finished.study_path is not None
        theirs = STUDY + "# theirs\n"
        finished.study_path.write_text(theirs, encoding="utf-8")
        await pilot.press("enter")
        await pilot.pause()
        assert study_text(finished) == theirs
        assert any("nothing was written" in toast.message for toast in app._notifications)
        await pilot.press("enter")
        await settled(app, pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert study_text(finished).startswith(theirs)

    run(app, drive)


def test_readonly_writes_nothing(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK, readonly=True)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert study_text(finished) == STUDY

    run(app, drive)


def test_p_opens_it_on_both_tabs(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)
    app.view.tab = "grid"

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "phase1" in text_of(app))
        await pilot.press("p")
        await settled(app, pilot, lambda: isinstance(app.screen, PromotionScreen))
        await pilot.press("escape", "2")
        await settled(app, pilot, lambda: "15 trials" in text_of(app))
        await pilot.press("p")
        await settled(app, pilot, lambda: isinstance(app.screen, PromotionScreen))

    run(app, drive)


def test_promotion_from_a_phase_without_results_shows_a_sentence(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot, phase="phase9")
        assert "no finished trial yet" in text_of(app)
        await pilot.press("enter")
        assert study_text(finished) == STUDY

    run(app, drive)


def test_preview_mentions_ties_at_the_cut(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.promotion.preview.evaluation_noise", lambda curves, by: 0.04 if curves else None)
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await dialog(app, pilot)
        await settled(app, pilot, lambda: "2 trials below rank 5 tie with it" in text_of(app))
        await pilot.press("j", *"11")
        await settled(app, pilot, lambda: "the 11 best" in text_of(app) and "tie with it" not in text_of(app))

    run(app, drive)
