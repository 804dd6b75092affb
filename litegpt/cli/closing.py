"""What a finished run leaves on the screen."""

from __future__ import annotations

from litegpt.plan.study import Study
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState


def print_closing(study: Study, state: StudyState, folder: StudyFolder) -> None:
    """Print the closing."""
