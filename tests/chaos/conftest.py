"""Crash tests that take minutes: `make chaos` runs them, `make test` does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.conftest import new_study as new_study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
