"""The Grid tab: edits of the study file, and the summary that follows them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.study.study import Study, parse_study, read_study
from tests.tui.conftest import QUICK, STUDY, run, settled, text_of
from tui.app import ConsoleApp
from tui.grid.diff import DiffScreen
from tui.grid.entries import Entries, EntryInput
from tui.grid.preview import Previewer
from tui.grid.screen import GridScreen
from tui.grid.text import preview_content
from tui.location import StudyLocation, find_location
from tui.widgets.table import Table


def grid_of(app: ConsoleApp) -> GridScreen:
    assert isinstance(app.screen, GridScreen)
    return app.screen


def open_grid(place: StudyLocation, *, readonly: bool = False) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK, readonly=readonly)
    app.view.tab = "grid"
    return app


async def drawn(app: ConsoleApp, pilot: Pilot[None], text: str) -> None:
    await settled(app, pilot, lambda: text in text_of(app))


async def add(app: ConsoleApp, pilot: Pilot[None], key: str, text: str) -> None:
    """Add an entry; a key is typed far more slowly than a line is set."""
    await pilot.press(key)
    app.screen.query_one(EntryInput).value = text
    await pilot.press("enter")


def study_text(place: StudyLocation) -> str:
    assert place.study_path is not None
    return place.study_path.read_text(encoding="utf-8")


def test_tab_completes_a_name_and_accepts_an_entry(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await pilot.press("a", *"dro")
        line = app.screen.query_one(EntryInput)
        await settled(app, pilot, lambda: line._suggestion == "dropout = ")
        await pilot.press("tab")
        assert line.value == "dropout = "
        await pilot.press("tab")
        assert line.has_focus  # there is no value yet
        line.value = "dropout = 0.0, 0.1"
        await pilot.press("tab")
        await drawn(app, pilot, "24 permutations")
        assert not grid_of(app)._entries.is_typing

    run(app, drive)


def test_save_during_typing_says_why_it_does_not_save(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await pilot.press("a", "d", "ctrl+s")
        await settled(
            app, pilot, lambda: any("finish the entry first" in toast.message for toast in app._notifications)
        )

    run(app, drive)


@pytest.mark.parametrize(("text", "permutations"), [("dropout = 0.0, 0.1", 24), ("dropout = ", 12)])
def test_a_click_elsewhere_accepts_or_cancels_an_entry(finished: StudyLocation, text: str, permutations: int) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await pilot.press("a")
        app.screen.query_one(EntryInput).value = text
        await pilot.click("#grid-phases", offset=(5, 2))
        await settled(app, pilot, lambda: not grid_of(app)._entries.is_typing)
        await drawn(app, pilot, f"{permutations} permutations")
        was_refused = any("the entry was not accepted" in toast.message for toast in app._notifications)
        assert was_refused == (permutations == 12)
        assert app.screen.query_one("#grid-phases").has_focus

    run(app, drive)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
def test_grid_shows_phases_entries_and_summary(finished: StudyLocation, size: tuple[int, int]) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations = 12 trials")
        text = text_of(app)
        assert "1e-3, 3e-3, 1e-2" in text
        assert "12 already finished, 0 to train" in text
        await pilot.press("j")
        await drawn(app, pilot, "promotion")
        assert "= 3 trials" in text_of(app)
        await pilot.press("enter", "z")
        assert app.screen.maximized is not None

    run(app, drive, size)


def test_summary_follows_the_typed_values(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await pilot.press("l", "j", "j", "enter")
        line = app.screen.query_one(EntryInput)
        assert line.has_focus
        assert line.value == "1e-3, 3e-3, 1e-2"
        line.value = "log(1e-3, 1e-2, 3), 3e-2"
        await drawn(app, pilot, "16 permutations = 16 trials · 8 already finished, 8 to train")
        line.value = "log(1e-3, 1e-2"
        await drawn(app, pilot, "a bracket is open")
        assert line.has_class("-wrong")
        line.value = "1e-3, 3e-3, 1e-2, 3e-2"
        await pilot.press("enter")
        await drawn(app, pilot, "not saved: ctrl+s")
        assert not grid_of(app)._entries.is_typing
        assert study_text(finished) == STUDY

    run(app, drive)


def test_typing_can_be_cancelled(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await pilot.press("a", *"seed = 1..3")
        await drawn(app, pilot, "36 permutations")
        await pilot.press("escape")
        await drawn(app, pilot, "12 permutations")
        assert grid_of(app).draft is not None
        assert not grid_of(app).draft.is_changed

    run(app, drive)


def test_large_grids_are_only_counted_and_huge_ones_refused(study_file: Path) -> None:
    text = STUDY.replace("batch_size = [8, 16]", f"batch_size = [8, 16]\ndropout = {[n / 2000 for n in range(2000)]}")
    preview = Previewer(study_file).preview(text, StudyState())
    assert preview.problem is None
    assert (preview.phases[0].permutations, preview.phases[0].trials) == (24_000, None)
    assert "more than 20,000 are only checked when you save" in preview_content(preview, 0, None, 4).plain
    beyond = text.replace("n_layer = [1, 2]", f"n_layer = {list(range(1, 101))}")
    refused = Previewer(study_file).preview(beyond, StudyState())
    assert refused.problem is not None
    assert "1,200,000 permutations, more than 100,000" in refused.problem


def test_edits_can_be_undone_and_are_shown_before_saving(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await add(app, pilot, "a", "seed = 1, 2")
        await add(app, pilot, "s", "dropout = 0.1")
        await add(app, pilot, "f", "n_head = n_embd // 16")
        await add(app, pilot, "x", "n_layer = 2, seed = 2")
        await drawn(app, pilot, "24 permutations - 6 excluded = 18 trials")
        await pilot.press("u", "u", "ctrl+r", "ctrl+r", "ctrl+s")
        await settled(app, pilot, lambda: isinstance(app.screen, DiffScreen))
        assert "+seed = [1, 2]" in text_of(app)
        assert study_text(finished) == STUDY
        await pilot.press("escape", "ctrl+s")
        await settled(app, pilot, lambda: isinstance(app.screen, DiffScreen))
        await pilot.press("enter")
        await settled(app, pilot, lambda: study_text(finished) != STUDY)
        assert finished.study_path is not None
        phase = read_study(finished.study_path).phase("phase1")
        assert phase.axes["seed"] == (1, 2)
        assert phase.excludes == ({"n_layer": 2, "seed": 2},)
        assert phase.fixed["dropout"] == 0.1
        assert "# a remark that must survive" in study_text(finished)
        await settled(app, pilot, lambda: app.feed.study is not None and bool(app.feed.study.phase("phase1").excludes))

    run(app, drive)


def test_permutations_are_never_expanded_on_the_screens_thread(
    finished: StudyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    go_on = threading.Event()

    def slow(text: str, path: Path) -> Study:
        threads.append(threading.current_thread())
        assert go_on.wait(10)
        return parse_study(text, path)

    monkeypatch.setattr("litegpt.study.edit.draft.parse_study", slow)
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await add(app, pilot, "a", "seed = 1, 2")
        await pilot.press("ctrl+s")
        await settled(app, pilot, lambda: bool(threads))
        await add(app, pilot, "s", "dropout = 0.1")
        go_on.set()
        await settled(app, pilot, lambda: isinstance(app.screen, DiffScreen))
        assert "+dropout = 0.1" in text_of(app), "what was edited meanwhile is checked too"
        await pilot.press("enter")
        await settled(app, pilot, lambda: "dropout = 0.1" in study_text(finished))
        assert len(threads) == 2
        assert threading.main_thread() not in threads

    run(app, drive)


def test_phases_are_added_copied_moved_and_deleted(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        names = lambda: grid_of(app).draft.phases()  # noqa: E731
        await pilot.press("A")
        assert names() == ["phase1", "phase3", "phase2"]
        await pilot.press("right_curly_bracket", "D")
        assert names() == ["phase1", "phase2", "phase3", "phase3-2"]
        await pilot.press("ctrl+up", "d")
        assert names() == ["phase1", "phase2", "phase3"]
        await pilot.press("g", "d")
        await pilot.pause()
        assert names() == ["phase1", "phase2", "phase3"]
        assert any("promoted from phase1" in toast.message for toast in app._notifications)
        await pilot.press("l", "G", "k", "k", "k", "k", "d")
        assert app.screen.query_one("#grid-entries", Table).has_focus
        assert "batch_size" not in [entry.address.name for entry in grid_of(app).draft.entries(0)]

    run(app, drive)


def test_save_does_not_overwrite_a_changed_file(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await add(app, pilot, "a", "seed = 1, 2")
        theirs = STUDY.replace("top = 3", "top = 2")
        assert finished.study_path is not None
        finished.study_path.write_text(theirs, encoding="utf-8")
        await settled(app, pilot, lambda: any("changed on disk" in toast.message for toast in app._notifications))
        await pilot.press("ctrl+s", "enter")
        await settled(app, pilot, lambda: any("nothing was written" in t.message for t in app._notifications))
        assert study_text(finished) == theirs
        await pilot.press("ctrl+l")
        await settled(app, pilot, lambda: grid_of(app).draft is not None and grid_of(app).draft.text == theirs)

    run(app, drive)


def test_grid_reloads_a_changed_file(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        assert finished.study_path is not None
        finished.study_path.write_text(STUDY.replace("[8, 16]", "[8]"), encoding="utf-8")
        await drawn(app, pilot, "6 permutations = 6 trials")
        finished.study_path.write_text("[study", encoding="utf-8")
        await drawn(app, pilot, "is not TOML")
        finished.study_path.write_text(STUDY, encoding="utf-8")
        await drawn(app, pilot, "12 permutations")

    run(app, drive)


def test_unsaved_edits_survive_a_restart(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        await add(app, pilot, "a", "seed = 1, 2")
        await drawn(app, pilot, "24 permutations")

    run(app, drive)
    again = open_grid(finished)
    again.view.screens = app.view.screens

    async def look(pilot: Pilot[None]) -> None:
        await drawn(again, pilot, "24 permutations")
        await pilot.press("u")
        await drawn(again, pilot, "12 permutations")
        assert "draft" not in again.view.of("grid")

    run(again, look)


def test_readonly_edits_nothing(finished: StudyLocation) -> None:
    app = open_grid(finished, readonly=True)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        for key in ("a", "s", "f", "x", "A", "D", "d", "right_curly_bracket", "u", "ctrl+s", "l", "enter", "d"):
            await pilot.press(key)
        assert grid_of(app).draft is not None
        assert not grid_of(app).draft.is_changed
        assert not grid_of(app)._entries.is_typing

    run(app, drive)


def test_missing_study_or_corpus_shows_a_sentence(tmp_path: Path, study_file: Path, folder: StudyFolder) -> None:
    nothing = open_grid(StudyLocation(None, folder))

    async def look(pilot: Pilot[None]) -> None:
        await drawn(nothing, pilot, "There is no study here yet")
        await pilot.press("a", "d", "u", "ctrl+s", "p", "A")

    run(nothing, look)
    (tmp_path / "corpus.txt").unlink()
    app = open_grid(find_location(study_file, folder.root))

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "no such corpus")
        assert "12 permutations" in text_of(app)

    run(app, drive)


def test_illegal_combinations_are_counted(study_file: Path) -> None:
    text = STUDY.replace("n_head = 2", "n_head = 2\nn_layer = 1").replace("n_layer = [1, 2]", "n_embd = [32, 33]")
    preview = Previewer(study_file).preview(text, StudyState())
    assert preview.problem is not None
    assert "n_embd 33 is not a multiple of n_head 2" in preview.problem
    phase = preview.phases[0]
    assert (phase.permutations, phase.illegal, phase.trials) == (12, 6, 6)
    fine = Previewer(study_file).preview(STUDY, StudyState())
    assert (fine.phases[1].is_bound, fine.phases[1].trials, fine.phases[0].seconds) == (True, 3, None)
    assert fine.phases[0].parameters is not None


def test_the_editor_explains_the_hyperparameter_under_the_cursor(finished: StudyLocation) -> None:
    app = open_grid(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await drawn(app, pilot, "12 permutations")
        entries = app.screen.query_one(Entries)
        await pilot.press("l", "g")
        assert (entries.entry.address.name, entries.border_subtitle) == ("name", "")
        while entries.entry.address.name != "learning_rate":
            await pilot.press("j")
        assert entries.border_subtitle == "step size, for Muon as for AdamW"

    run(app, drive)
