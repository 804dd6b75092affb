"""The study that the console shows: its file and its results folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import read_regular
from litegpt.results.folder import StudyFolder
from litegpt.study.document import TEXT_BYTES_MAX

DEFAULT_STUDY = Path("experiments.toml")


@dataclass(frozen=True)
class StudyLocation:
    """A study's file (None if there is no file yet) and its results folder, which may not exist yet."""

    study_path: Path | None
    folder: StudyFolder

    @property
    def name(self) -> str:
        return self.folder.study


def find_location(study: Path | None, results: Path) -> StudyLocation:
    """Find a study by its file or its results folder; the default is `experiments.toml` in the current folder.

    Raises InputError if the named path does not exist. Without a name and without `experiments.toml`, the location has
    no study file, and the console offers to write one.
    """
    if study is None:
        if not DEFAULT_STUDY.is_file():
            return StudyLocation(None, StudyFolder(results, DEFAULT_STUDY.stem))
        study = DEFAULT_STUDY
    if study.is_dir():
        folder = StudyFolder.find(study)
        has_snapshot = folder.snapshot.is_file() and not folder.snapshot.is_symlink()
        return StudyLocation(folder.snapshot if has_snapshot else None, folder)
    if not study.exists():
        raise InputError("no such study file; `litegpt-tui` alone opens the default one", study)
    return StudyLocation(study, StudyFolder(results, _study_name(study)))


def _study_name(path: Path) -> str:
    """Read only the study's name, so that the console also opens a file with a mistake further down."""
    try:
        head = tomllib.loads(read_regular(path, TEXT_BYTES_MAX, follow_links=True).decode()).get("study", {})
        name = head.get("name", path.stem)
    except (OSError, ValueError, AttributeError):
        # Imported only here: a file without mistakes does not need the parser at start-up.
        from litegpt.study.study import read_study

        # Raises InputError with the file and the line.
        return read_study(path).name
    return name if isinstance(name, str) else path.stem
