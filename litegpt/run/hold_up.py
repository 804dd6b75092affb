"""What a runner does when the disk does not take what it writes: nothing, until somebody says to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from litegpt.results.events import Event, StudyPaused, StudyResumed
from litegpt.results.folder import StudyFolder
from litegpt.run.ledger import RunnerError
from litegpt.run.requests import take_requests

TICK_SECONDS = 0.25

T = TypeVar("T")


class HoldUp:
    """Waits for the disk. `reason` says why while it does; `show` is called then, `note` writes what can be written."""

    def __init__(self, folder: StudyFolder, show: Callable[[], None], note: Callable[[Event], None]) -> None:
        self.reason: str | None = None
        self._folder, self._show, self._note = folder, show, note
        self._is_told_to_stop = False

    def stop(self) -> None:
        """Wait no more, now or later. Signal handlers may call it."""
        self._is_told_to_stop = True

    def insist(self, act: Callable[[], T]) -> T:
        """Return what `act` returns, however often the disk has to be waited for."""
        while True:
            try:
                return act()
            except OSError as error:
                self.wait(error)

    def wait(self, error: OSError) -> None:
        """Wait until somebody resumes. Raises RunnerError where the run is to stop instead."""
        what = f"{self._folder.path} cannot be written ({error.strerror or error})"
        self.reason = f"{what}; mend that, then `litegpt resume`"
        self._note(StudyPaused(reason=self.reason))
        while not self._is_told_to_stop:
            self._show()
            time.sleep(TICK_SECONDS)
            asked = {request.kind for request in take_requests(self._folder) if not request.trials}
            if "resume" in asked:
                self.reason = None
                self._note(StudyResumed())
                return
            if "stop" in asked:
                break
        raise RunnerError(f"{what}: what the journal lacks is put right by the next run") from None
