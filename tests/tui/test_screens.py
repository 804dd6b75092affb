"""All tabs at all sizes, with and without results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, read_journal
from tests.builders import phase_planned, study_started, trial_started
from tests.tui.conftest import QUICK, log, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.location import StudyLocation, find_location
from tui.view import TABS
from tui.widgets.table import Table


@pytest.mark.usefixtures("quick_importance")
@pytest.mark.parametrize("size", [(200, 60), (24, 8)])  # the others have snapshots
def test_every_tab_opens_at_every_size(finished: StudyLocation, size: tuple[int, int]) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        for number, tab in enumerate(TABS, 1):
            await pilot.press(str(number))
            await pilot.pause(0.05)
            assert app.view.tab == tab
            assert text_of(app).strip()

    run(app, drive, size)


def test_live_shows_phases_chart_and_trials(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "★" in text_of(app))
        text = text_of(app)
        assert "phase1" in text
        assert "12/12" in text
        assert "1 diverged" in text
        assert "best val 1.5" in text
        assert "recently finished" in text

    run(app, drive)


def test_baseline_is_drawn_and_compared(finished: StudyLocation) -> None:
    corpus = read_journal(finished.folder.journal).corpus
    assert corpus is not None
    record = {"sha256": corpus.sha256, "val_loss": {"bigram": 1.9, "trigram": 1.6}}
    (finished.folder.path / "baselines.json").write_text(json.dumps(record), encoding="utf-8")
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "trigram 1.600" in text_of(app))
        await pilot.press("2", "G")
        await settled(app, pilot, lambda: "does not beat the trigram, 1.600" in text_of(app))
        await pilot.press("g")
        await settled(app, pilot, lambda: "does not beat" not in text_of(app))

    run(app, drive)


def test_live_follows_a_run_as_it_grows(study_file: Path, folder: StudyFolder) -> None:
    first, second = phase_trials(2)
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started())
        journal.append(*phase_planned("phase1", [first, second]))
        journal.append(trial_started("phase1", first))
        log(folder, "phase1", first, 0, until=40)
        app = ConsoleApp(find_location(study_file, folder.root), settings=QUICK)

        async def drive(pilot: Pilot[None]) -> None:
            await settled(app, pilot, lambda: "40/100" in text_of(app))
            log(folder, "phase1", first, 0, until=80)
            await settled(app, pilot, lambda: "80/100" in text_of(app))
            journal.append(trial_started("phase1", second))
            log(folder, "phase1", second, 1, until=20)
            await settled(app, pilot, lambda: "running · 2" in text_of(app))
            for key in ("m", "x", "f", "space"):
                await pilot.press(key)
            assert app.view.of("live") == {"figure": 1, "axis": "seconds"}
            assert len(app.view.marks) == 1

        run(app, drive)


def test_study_without_results_shows_how_to_run_it(study_file: Path, folder: StudyFolder) -> None:
    app = ConsoleApp(find_location(study_file, folder.root), settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "r runs the study" in text_of(app))
        await pilot.press("2")
        await settled(app, pilot, lambda: "No trials yet" in text_of(app))

    run(app, drive)


def test_a_mistake_in_the_study_file_is_one_line_on_the_screen(study_file: Path, folder: StudyFolder) -> None:
    study_file.write_text(study_file.read_text().replace("learning_rate", "lerning_rate"))
    app = ConsoleApp(find_location(study_file, folder.root), settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "did you mean" in text_of(app).replace("\n", " "))

    run(app, drive)


TEXT = "The lamp went out, and nobody in the harbour lit another one that night.\n" * 20


def test_a_first_run_offers_a_study_for_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    app = ConsoleApp(find_location(None, tmp_path / "results"), settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "n writes one for a text" in text_of(app))
        await pilot.press("n", "tab", "h", "i", "enter")
        await settled(app, pilot, lambda: app.feed.study is not None)
        assert app.feed.study is not None
        assert (app.feed.study.name, app.feed.study.path) == ("hi", Path("experiments.toml"))
        assert app.feed.location.folder.path == tmp_path / "results" / "hi"
        assert Path(app.feed.study.corpus_location).read_text(encoding="utf-8") == TEXT

    run(app, drive)


def test_a_new_study_leaves_the_open_one_alone(
    finished: StudyLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("short", encoding="utf-8")
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: app.feed.study is not None)
        await pilot.press("n")
        app.screen.query_one("#new-text", Input).value = "book.txt"
        await pilot.press("enter")
        await settled(app, pilot, lambda: "too short" in text_of(app))
        Path("book.txt").write_text(TEXT, encoding="utf-8")
        await pilot.press("enter")
        await settled(app, pilot, lambda: Path("study.toml").exists())
        await settled(app, pilot, lambda: any("study.toml opens it" in n.message for n in app._notifications))
        assert app.feed.location == finished

    run(app, drive)


def test_deleted_results_leave_a_sentence(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await settled(app, pilot, lambda: bool(app.screen.query_one(Table).count))
        finished.folder.journal.rename(finished.folder.journal.with_suffix(".gone"))
        await settled(app, pilot, lambda: "No trials yet" in text_of(app))

    run(app, drive)


def test_crashed_runner_is_shown(finished: StudyLocation) -> None:
    import socket

    holder = f'{{"host": "{socket.gethostname()}", "pid": 999999999}}'
    finished.folder.lock.write_text(holder)
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "the runner crashed" in text_of(app))

    run(app, drive)


def test_text_from_files_is_shown_literally(finished: StudyLocation) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await pilot.press(str(list(TABS).index("samples") + 1))
        await settled(app, pilot, lambda: "[red]zzz ␛[31m" in text_of(app))

    run(app, drive)


def test_charts_are_tables_for_screen_readers(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESSIBLE", "1")
    app = ConsoleApp(finished, settings=QUICK)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "★ 1x32-t16-b8-lr0.001-i200" in text_of(app))
        text = text_of(app)
        assert "step" in text
        assert not any("\u2800" < character <= "\u28ff" for character in text)

    run(app, drive)
