"""The studies of the tests of `study`, for estimates."""

from __future__ import annotations

from tests.study.conftest import study_of, trial

__all__ = ["study_of", "trial"]
