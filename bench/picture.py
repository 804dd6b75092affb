"""Save a picture of the console with a study: `python bench/picture.py STUDY.toml RESULTS OUT.svg [SIZE [KEY ...]]`."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tui.app import ConsoleApp
from tui.location import find_location

SECONDS = 3.0  # to wait until all files are read


async def take(study: Path, results: Path, size: tuple[int, int], keys: list[str]) -> str:
    app = ConsoleApp(find_location(study, results), readonly=True)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(SECONDS)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.2)
        await pilot.pause(SECONDS)
        while "Computing" in app.export_screenshot():
            await pilot.pause(SECONDS)
        svg = app.export_screenshot(title="litegpt-tui")
    return re.sub(r"@font-face\s*{[^}]*}\s*", "", svg)  # so that viewing the picture loads no fonts from the network


def main() -> None:
    study, results, out, size, *keys = [*sys.argv[1:4], *(sys.argv[4:] or ["120x36"])]
    columns, _, rows = size.partition("x")
    Path(out).write_text(asyncio.run(take(Path(study), Path(results), (int(columns), int(rows)), keys)), "utf-8")


if __name__ == "__main__":
    main()
