"""A study with several tokenizers: every tab compares in bits per character."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from litegpt.results.journal import read_journal
from litegpt.results.state import StudyState, TrialState
from tests.tui.conftest import QUICK, run, settled, text_of
from tui.app import ConsoleApp
from tui.grid.preview import Previewer
from tui.grid.text import preview_content
from tui.importance.answering import Answerer
from tui.importance.answers import Answer, Question
from tui.leaderboard.board import Board
from tui.leaderboard.screen import LeaderboardScreen
from tui.location import StudyLocation, find_location
from tui.widgets.chart import Chart

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 36)])


@pytest.fixture
def place(mixed: Path) -> StudyLocation:
    return find_location(mixed, mixed.parent / "results")


def open_tab(place: StudyLocation, tab: str) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = tab
    return app


@SIZES
def test_live_draws_bits_per_character(place: StudyLocation, size: tuple[int, int]) -> None:
    app = open_tab(place, "live")
    characters, pairs = read_journal(place.folder.journal).phases["phase1"].planned[:2]
    app.view.marks.add(("phase1", characters))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "trigram 3.174" in text_of(app))
        text = text_of(app)
        assert "validation, bits per character · phase1" in text
        assert "★ 1x32-t16-b8-lr0.001-i100 bpe 512 3.063" in text
        assert "best bits/char 3.063" in text
        await pilot.press("m")
        text = text_of(app)
        assert "validation ━ and training ╌ loss, nats per token · phase1" in text
        assert "trigram" not in text
        assert "bpe 512 4.247" in text
        await pilot.press("m", "m", "m")
        assert "validation, bits per character · phase1" in text_of(app)
        phase = app.feed.state.phases["phase1"]  # and a phase of one tokenizer alone has the study's unit
        alone = dataclasses.replace(phase, name="alone", trials={pairs: phase.trials[pairs]}, planned=(pairs,))
        app.feed.state = dataclasses.replace(app.feed.state, phases={"phase1": phase, "alone": alone})
        app.view.marks.clear()
        app.screen._show_chart()
        assert "validation, bits per character · alone" in text_of(app)

    run(app, drive, size)


@SIZES
def test_leaderboard_ranks_by_bits_per_character(place: StudyLocation, size: tuple[int, int]) -> None:
    app = open_tab(place, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: isinstance(app.screen, LeaderboardScreen) and app.screen.board.total == 8)
        await pilot.press("full_stop")
        await settled(app, pilot, lambda: "phase2 promotes the 2 best by best_bits_per_char" in text_of(app))
        assert isinstance(app.screen, LeaderboardScreen)
        board = app.screen.board
        assert [row.settings.tokenizer for row in board.rows] == ["bpe"] * 4 + ["char"] * 4
        assert [app.screen._flags(index) for index in range(3)] == ["", "cut", ""]
        headings = [column.heading for column in app.screen._columns]
        assert headings[:4] == ["#", "lr", "tokenizer", "vocab"]
        assert {"bits/char", "state"} < set(headings)
        assert "best val" not in headings
        assert app.screen._cells(7)[3] == ("-", "")  # characters have no size of vocabulary
        board.rank(None, None, None)
        narrow = [column.heading for column in board.columns(55, [])]
        assert "state" in narrow
        assert "nats/token" not in narrow
        await pilot.press("enter")
        await settled(app, pilot, lambda: "val loss" in text_of(app))
        details = " ".join(text_of(app).split())
        assert "val loss 4.2469" in details
        assert "bits/char 3.0635 best 3.0635" in details
        assert size[0] == 80 or "sample at step 100, 3.063 bits/char" in details
        assert [line.name for line in app.screen.query_one("#detail-chart", Chart)._lines] == ["trigram", "bits/char"]
        await pilot.press("escape", "p")
        await settled(app, pilot, lambda: "the 5 best of phase1" in text_of(app))
        text = " ".join(text_of(app).split())
        assert "the 5 best of phase1 by best_bits_per_char" in text
        assert "4 excluded: tokenizer = char, vocab_size = 512" in text  # why some are excluded
        assert "does not compare" not in text
        await pilot.press("j", "j", "h")
        await settled(app, pilot, lambda: "final_loss does not compare between tokenizers" in text_of(app))

    run(app, drive, size)


def test_grid_explains_excluded_permutations(place: StudyLocation) -> None:
    assert place.study_path is not None
    text = place.study_path.read_text("utf-8")
    preview = Previewer(place.study_path).preview(text, StudyState())
    told = preview_content(preview, 0, None, 6).plain
    assert "4 excluded: tokenizer = char, vocab_size = 512" in told
    assert "4 excluded: tokenizer = bpe, vocab_size = 0" in told
    assert "4 for other reasons" in preview_content(preview, 0, None, 3).plain
    assert "at most 2 trials: the 2 best of phase1 by best_bits_per_char" in preview_content(preview, 1, None, 6).plain
    illegal = text.replace("n_head = 2", "n_head = 3")
    once = preview_content(Previewer(place.study_path).preview(illegal, StudyState()), 0, None, 6).plain
    assert once.count("n_head") == 1


def test_detail_compares_a_trial_with_the_trigram(place: StudyLocation) -> None:
    app = open_tab(place, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: app.feed.baseline is not None and "bits/char" in text_of(app))
        assert isinstance(app.screen, LeaderboardScreen)
        app.screen.query_one("#board").focus()
        await pilot.press("g")
        await settled(app, pilot, lambda: "bpe" in text_of(app) and "3.063" in text_of(app))
        assert "does not beat" not in text_of(app)  # with 4.2 nats a token, against 2.2 a character
        await pilot.press("G")
        await settled(app, pilot, lambda: "does not beat the trigram, 3.174 bits/char" in text_of(app))

    run(app, drive)


def test_character_study_has_no_column_of_bits_per_character(finished: StudyLocation) -> None:
    app = open_tab(finished, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: isinstance(app.screen, LeaderboardScreen) and app.screen.board.total == 15)
        board: Board = app.screen.board
        assert "best_bits_per_char" not in board.column_names
        assert "best_bits_per_char" not in [column.name for column in board.columns(300, [])]
        assert "bits" not in text_of(app)

    run(app, drive)


def test_curves_average_bits_per_character(place: StudyLocation) -> None:
    app = open_tab(place, "curves")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "bits per character by learning_rate · all phases · 8 trials" in text_of(app))
        await pilot.press("j", "e")
        await settled(app, pilot, lambda: "equal settings, 8 of 8 · bits per character by tokenizer" in text_of(app))
        await pilot.press("k", "e")
        await pilot.press("f")
        await settled(app, pilot, lambda: "seconds by learning_rate" in text_of(app))

    run(app, drive)


def test_importance_targets_bits_per_character(place: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def quick(_: Answerer, question: Question, trials: Iterable[TrialState], scores: Any = ()) -> Answer:
        asked.append(question.target)
        return Answer()

    monkeypatch.setattr(Answerer, "ask", quick)
    app = open_tab(place, "importance")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "best bits per character · forest" in text_of(app))
        await settled(app, pilot, lambda: bool(asked))
        assert set(asked) == {"best_bits_per_char"}
        assert "single hyperparameters · best bits per character" in text_of(app)
        await pilot.press("t")
        assert "seconds · forest" in text_of(app)

    run(app, drive)


def test_samples_are_ordered_by_bits_per_character(place: StudyLocation) -> None:
    app = open_tab(place, "samples")
    app.view.marks.add(("phase1", read_journal(place.folder.journal).phases["phase1"].planned[0]))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "4 from 4 trials" in text_of(app))
        rungs = [line.split()[1] for line in text_of(app).splitlines() if "phase1   " in line]
        assert rungs == ["3.513", "3.263", "3.163", "3.063"]  # losses of 2.4, 4.5, 4.4 and 4.2
        assert "step 100 · bits per character 3.063" in text_of(app)

    run(app, drive)
