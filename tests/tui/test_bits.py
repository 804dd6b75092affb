"""A study of several tokenizers: every tab compares in bits per character, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from litegpt.results.journal import read_journal
from litegpt.results.state import TrialState
from tests.tui.conftest import QUICK, phase_trials, run, settled, text_of
from tui.answering import Answerer
from tui.app import ConsoleApp
from tui.board import Board
from tui.live_figures import tokens_name
from tui.place import Place, find_place
from tui.screens.leaderboard import LeaderboardScreen
from tui.screens.promotion import PromotionScreen
from tui.widgets.importance_answers import Answer, Question

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 36)])


@pytest.fixture
def place(mixed: Path) -> Place:
    return find_place(mixed, mixed.parent / "results")


def open_tab(place: Place, tab: str) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = tab
    return app


@SIZES
def test_the_live_chart_is_drawn_in_them(place: Place, size: tuple[int, int]) -> None:
    app = open_tab(place, "live")

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

    run(app, drive, size)


@SIZES
def test_the_board_ranks_by_them(place: Place, size: tuple[int, int]) -> None:
    app = open_tab(place, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: isinstance(app.screen, LeaderboardScreen) and app.screen.board.total == 8)
        await pilot.press("full_stop")
        await settled(app, pilot, lambda: "phase2 takes the 2 best by best_bits_per_char" in text_of(app))
        assert isinstance(app.screen, LeaderboardScreen)
        board = app.screen.board
        assert [row.settings.tokenizer for row in board.rows] == ["bpe"] * 4 + ["char"] * 4
        assert [app.screen._flags(index) for index in range(3)] == ["", "cut", ""]
        headings = [column.heading for column in app.screen._columns]
        assert headings[:4] == ["#", "lr", "tokens", "vocab"]
        assert {"bits/char", "state"} < set(headings)
        assert "best val" not in headings
        assert app.screen._cells(7)[3] == ("-", "")  # characters have no size of vocabulary
        narrow = [column.heading for column in board.columns(45, [])]
        assert "state" in narrow
        assert "nats/token" not in narrow
        await pilot.press("enter")
        await settled(app, pilot, lambda: "val loss" in text_of(app))
        details = " ".join(text_of(app).split())
        assert "val loss 4.247" in details
        assert "bits/char 3.063 best 3.063" in details
        await pilot.press("escape", "p")
        assert isinstance(app.screen, PromotionScreen)
        assert "the 5 best of phase1 by best_bits_per_char" in " ".join(text_of(app).split())

    run(app, drive, size)


def test_a_trial_that_beats_the_trigram_is_not_called_worse(place: Place) -> None:
    app = open_tab(place, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: app.feed.bar is not None and "bits/char" in text_of(app))
        assert isinstance(app.screen, LeaderboardScreen)
        app.screen.query_one("#board").focus()
        await pilot.press("g")
        await settled(app, pilot, lambda: "bpe" in text_of(app) and "3.063" in text_of(app))
        assert "does not beat" not in text_of(app)  # with 4.2 nats a token, against 2.2 a character
        await pilot.press("G")
        await settled(app, pilot, lambda: "does not beat the trigram, 3.174 bits/char" in text_of(app))

    run(app, drive)


def test_a_study_of_characters_has_no_such_column(finished: Place) -> None:
    app = open_tab(finished, "leaderboard")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: isinstance(app.screen, LeaderboardScreen) and app.screen.board.total == 15)
        board: Board = app.screen.board  # type: ignore[attr-defined]
        assert "best_bits_per_char" not in board.figures
        assert "best_bits_per_char" not in [column.name for column in board.columns(300, [])]
        assert "bits" not in text_of(app)

    run(app, drive)


def test_curves_are_means_of_them(place: Place) -> None:
    app = open_tab(place, "curves")

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "bits per character by learning_rate · all phases · 8 trials" in text_of(app))
        await pilot.press("f")
        await settled(app, pilot, lambda: "seconds by learning_rate" in text_of(app))

    run(app, drive)


def test_importance_is_asked_about_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
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
        await pilot.press("t")
        assert "time · forest" in text_of(app)

    run(app, drive)


def test_the_ladder_climbs_by_them(place: Place) -> None:
    app = open_tab(place, "samples")
    app.view.marks.add(("phase1", read_journal(place.folder.journal).phases["phase1"].planned[0]))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: "4 samples of 4 trials" in text_of(app))
        rungs = [line.split()[1] for line in text_of(app).splitlines() if "phase1   " in line]
        assert rungs == ["3.513", "3.263", "3.163", "3.063"]  # losses of 2.4, 4.5, 4.4 and 4.2
        assert "step 100 · 3.063 bits/char" in text_of(app)

    run(app, drive)


def test_a_trial_is_named_by_its_tokens() -> None:
    (trial,) = phase_trials(1)
    assert tokens_name(trial) == "char"
    assert tokens_name(trial.__class__(**{**trial.settings(), "tokenizer": "word", "vocab_size": 1024})) == "word 1024"
