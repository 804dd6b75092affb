"""The Samples tab: samples by loss, two texts side by side, copied passages, generated text."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from litegpt.analysis.curves import key_of
from litegpt.errors import InputError
from litegpt.results.samples import Copied, Sample, append_sample
from litegpt.text.copied import VerbatimIndex
from tests.tui.conftest import QUICK, phase_trials, run, settled, text_of
from tui.app import ConsoleApp
from tui.location import StudyLocation
from tui.messages import TrialKey
from tui.samples import screen as samples
from tui.samples.generation import generate, sample_command
from tui.samples.screen import SamplesScreen, highlighted
from tui.widgets.table import Table

WRITES = "import sys, time\nfor piece in ('one ', 'two \\x1b[31m', 'thr\\xe9e'): print(piece, end='', flush=True)"


def samples_tab(app: ConsoleApp) -> SamplesScreen:
    assert isinstance(app.screen, SamplesScreen)
    return app.screen


def open_samples(place: StudyLocation) -> ConsoleApp:
    app = ConsoleApp(place, settings=QUICK)
    app.view.tab = "samples"
    return app


def test_samples_are_sorted_from_the_highest_loss_to_the_lowest(finished: StudyLocation) -> None:
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 3)
        losses = [entry.sample.loss for entry in samples_tab(app)._samples]
        assert losses == [2.0, 1.99, 1.98]
        await pilot.press("g", "b", "j")
        text = text_of(app)
        assert "quick brown fox 0" in text
        assert "quick brown fox 1" in text
        assert "2.000" in text
        await pilot.press("escape")
        assert not samples_tab(app).has_class("-pinned")

    run(app, drive)


def test_m_ranks_by_another_loss(finished: StudyLocation) -> None:
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 3)
        assert "samples by validation loss" in text_of(app)
        await pilot.press("m")
        assert "samples by training loss" in text_of(app)

    run(app, drive)


def test_a_new_sample_appears(finished: StudyLocation) -> None:
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 3)
        path = finished.folder.trial("phase2", phase_trials(3, max_iters=200)[0].id).samples
        append_sample(path, Sample(step=200, loss=1.5, text="prose", prompt="", temperature=1.0, seed=0))
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 4)
        assert samples_tab(app)._samples[-1].sample.text == "prose"

    run(app, drive)


def test_the_best_sample_is_selected_until_the_user_selects_another(finished: StudyLocation) -> None:
    app = open_samples(finished)
    path = finished.folder.trial("phase2", phase_trials(3, max_iters=200)[0].id).samples

    async def drive(pilot: Pilot[None]) -> None:
        table = app.screen.query_one(Table)
        await settled(app, pilot, lambda: table.count == 3)
        append_sample(path, Sample(step=100, loss=1.5, text="prose", prompt="", temperature=1.0, seed=0))
        await settled(app, pilot, lambda: table.count == 4)
        assert table.cursor == 3
        await pilot.press("k")
        append_sample(path, Sample(step=200, loss=1.6, text="verse", prompt="", temperature=1.0, seed=0))
        await settled(app, pilot, lambda: table.count == 5)
        assert table.cursor == 2

    run(app, drive)


def test_copied_passages_are_highlighted_with_their_words() -> None:
    text = "at the sign of the quick brown fox we met\nthe others and went on"
    index = VerbatimIndex("I know the sign of the quick brown fox we met once")
    lit = highlighted(text, index.measure(text).passages)
    assert lit.plain == "at the sign of the quick brown fox we met⟨9⟩\nthe others and went on"
    assert text[lit.spans[0].start : lit.spans[0].end] == "the sign of the quick brown fox we met"


def test_samples_show_the_measured_share_and_highlight_copies(finished: StudyLocation) -> None:
    app = open_samples(finished)
    path = finished.folder.trial("phase2", phase_trials(3, max_iters=200)[0].id).samples
    text = "so the quick brown fox jumps over the lazy dog. the hen"
    stored = Copied(share=0.75, longest=9, validation_share=0.25, validation_longest=8)  # not what is found now
    append_sample(path, Sample(step=200, loss=1.5, text=text, prompt="", temperature=1.0, seed=0, copied=stored))

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 4)
        assert " 75% " in text_of(app)
        await pilot.press("G")
        told = "75% of the words copied, at most 9 in a row · same in the validation text: 25%"
        await settled(app, pilot, lambda: told in text_of(app) and "dog. the⟨10⟩ hen" in text_of(app))
        await pilot.press("g")
        await settled(app, pilot, lambda: "nothing copied" in text_of(app))

    run(app, drive)


def test_generated_text_streams_in(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[TrialKey, str]] = []

    def command(folder: object, key: TrialKey, prompt: str, length: int, temperature: float) -> list[str]:
        asked.append((key, prompt))
        return [sys.executable, "-c", WRITES]

    monkeypatch.setattr(samples, "sample_command", command)
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 3)
        await pilot.press("slash", *"Hi", "enter")
        await settled(app, pilot, lambda: "one two ␛[31mthrée" in text_of(app))
        assert asked == [(key_of(samples_tab(app)._samples[2].trial), "Hi")]
        assert samples_tab(app).query_one(Input).value == "Hi"
        await pilot.press("escape")
        assert samples_tab(app).query_one(Table).has_focus

    run(app, drive)


def test_failed_generation_shows_the_error() -> None:
    async def collect() -> None:
        async for _ in generate([sys.executable, "-c", "import sys; sys.exit('no best.safetensors here')"]):
            pass

    with pytest.raises(InputError, match=r"no best\.safetensors here"):
        asyncio.run(collect())


def test_the_command_names_the_trials_folder(finished: StudyLocation) -> None:
    command = sample_command(finished.folder, ("phase1", "abc"), "--help", 40, 0.8)
    assert str(finished.folder.path / "phase1" / "abc") in command
    assert "--prompt=--help" in command


def test_copied_text_has_no_control_characters(finished: StudyLocation, tmp_path: Path) -> None:
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(samples_tab(app)._samples) == 3)
        await pilot.press("g", "y")
        assert app.clipboard.endswith("[red]zzz ␛[31m")
        assert (tmp_path / "state" / "litegpt" / "copied" / "sample.txt").read_text("utf-8") == app.clipboard

    run(app, drive)


def test_the_selected_sample_is_visible_on_a_low_screen(finished: StudyLocation) -> None:
    path = finished.folder.trial("phase2", phase_trials(3, max_iters=200)[0].id).samples
    for step in range(1, 21):
        append_sample(path, Sample(step=step, loss=1.5 + step, text="prose", prompt="", temperature=1.0, seed=0))
    app = open_samples(finished)

    async def drive(pilot: Pilot[None]) -> None:
        table = app.screen.query_one(Table)
        await settled(app, pilot, lambda: table.count == 23)
        await settled(app, pilot, lambda: table.cursor in table.rows_on_screen)

    run(app, drive, (80, 24))
