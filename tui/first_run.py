"""A first run: no study, and the offer of the default one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import litegpt
from litegpt.display import inert
from litegpt.errors import InputError
from tui.actions import refuse
from tui.location import DEFAULT_STUDY

if TYPE_CHECKING:
    from tui.app import ConsoleApp

FIRST_RUN = "There is no study here yet: n writes experiments.toml, four small phases for two CPU cores; r runs it."


def write_default_study(app: ConsoleApp) -> None:
    """Write experiments.toml into the working folder and open it; a file that is there stays as it is."""
    if refuse(app):
        return
    if app.feed.place.study_path is not None:
        app.notify("this study has its file already; the grid tab edits it")
        return
    try:
        text = default_study(Path.cwd())
        with DEFAULT_STUDY.open("x", encoding="utf-8") as file:
            file.write(text)
    except (OSError, InputError) as error:
        app.notify(inert(str(error)), severity="error", markup=False)
        return
    app.feed.open_study(DEFAULT_STUDY)
    app.notify(f"wrote {DEFAULT_STUDY}; r runs it")


def default_study(folder: Path) -> str:
    """Return the text of the default study for a file in that folder. InputError: this installation has none."""
    source = Path(litegpt.__file__).parents[1] / DEFAULT_STUDY
    try:
        text = source.read_text(encoding="utf-8")
    except OSError:
        raise InputError("no default study in this installation; name a file: litegpt-tui STUDY.toml") from None
    from litegpt.study.study import parse_study

    corpus = parse_study(text, source).corpus
    return text.replace(f'"{corpus}"', f'"{os.path.relpath(source.parent / corpus, folder)}"')
