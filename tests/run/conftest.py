"""Studies for the tests of runner and workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.run.study_files import NewStudy, StudyFiles


@pytest.fixture(scope="module")
def new_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStudy]:
    """Return a function that writes a study with given phases; processes that still run are ended afterwards."""
    made: list[StudyFiles] = []

    def make(phases: str) -> StudyFiles:
        made.append(StudyFiles(tmp_path_factory.mktemp("study"), phases))
        return made[-1]

    yield make
    for study in made:
        study.close()
