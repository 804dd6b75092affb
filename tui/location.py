"""Which study the console shows, and where it lies."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder

DEFAULT_STUDY = Path("experiments.toml")


@dataclass(frozen=True)
class Place:
    """A study's file, None where there is none yet, and its results, which may not be there yet."""

    study_path: Path | None
    folder: StudyFolder

    @property
    def name(self) -> str:
        return self.folder.study


def find_place(study: Path | None, results: Path) -> Place:
    """Return the place of a study file or of a results folder, by default that of `experiments.toml` here.

    Raises InputError for what is named and is not there; nothing to show at all is no error, but a first run.
    """
    if study is None:
        if not DEFAULT_STUDY.is_file():
            return Place(None, StudyFolder(results, DEFAULT_STUDY.stem))
        study = DEFAULT_STUDY
    if study.is_dir():
        folder = StudyFolder.find(study)
        return Place(folder.snapshot if folder.snapshot.is_file() else None, folder)
    if not study.exists():
        raise InputError("no such study file; `litegpt-tui` alone opens the default one", study)
    return Place(study, StudyFolder(results, _study_name(study)))


def _study_name(path: Path) -> str:
    """Return the name in a study file; a file with a mistake further down still names its study."""
    try:
        head = tomllib.loads(path.read_text(encoding="utf-8")).get("study", {})
        name = head.get("name", path.stem)
    except (OSError, ValueError, AttributeError):
        from litegpt.study.study import read_study  # late: a file without mistakes needs none of it

        return read_study(path).name  # raises, with the line
    return name if isinstance(name, str) else path.stem
