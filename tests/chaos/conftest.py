"""Everything here takes minutes: `make chaos` runs it, `make test` leaves it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.study_files import NewStudy, StudyFiles


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def new_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStudy]:
    """Make studies of some phases; whatever still runs in the end is ended."""
    made: list[StudyFiles] = []

    def make(phases: str) -> StudyFiles:
        made.append(StudyFiles(tmp_path_factory.mktemp("study"), phases))
        return made[-1]

    yield make
    for study in made:
        study.close()
