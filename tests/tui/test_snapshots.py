"""The tabs as text. A difference is either a defect or an intended change.

`LITEGPT_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py` writes them; `git diff` shows the changes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import QUICK, run, settled, text_of
from tui.app import ConsoleApp
from tui.devices import DeviceSampler, DeviceUsage
from tui.location import StudyLocation

SNAPSHOTS = Path(__file__).parent / "snapshots"
TABS = ("live", "leaderboard", "grid", "curves", "importance", "samples")


@pytest.fixture(autouse=True)
def _no_machine(monkeypatch: pytest.MonkeyPatch, quick_importance: None) -> None:
    """Nothing on the screen depends on the machine."""
    machine = [DeviceUsage("gpu 0", 0.5, 8 << 30, 16 << 30, 61.0, 250.0)]
    monkeypatch.setattr(DeviceSampler, "__init__", lambda _: None)
    monkeypatch.setattr(DeviceSampler, "sample", lambda _: machine)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_every_tab_looks_as_it_did(finished: StudyLocation, size: tuple[int, int]) -> None:
    app = ConsoleApp(finished, settings=QUICK)

    def look() -> str:
        return "".join(line.rstrip() + "\n" for line in text_of(app).splitlines())

    async def drive(pilot: Pilot[None]) -> None:
        await settled(app, pilot, lambda: len(app.feed._curves) == 15)
        for number, tab in enumerate(TABS, 1):
            await pilot.press(str(number))
            path = SNAPSHOTS / f"{tab}-{size[0]}x{size[1]}.txt"
            if os.environ.get("LITEGPT_SNAPSHOTS") == "write":
                await pilot.pause(1.5)
                path.parent.mkdir(exist_ok=True)
                path.write_text(look(), encoding="utf-8")
            expected = path.read_text(encoding="utf-8")
            with contextlib.suppress(AssertionError):
                await settled(app, pilot, lambda expected=expected: look() == expected)
            assert look() == expected, f"{path.name} differs: the docstring of this module says how to write it"

    run(app, drive, size)
