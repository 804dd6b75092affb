"""The reasons why trials failed, each reason once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState


@dataclass(frozen=True)
class FailedTrials:
    """The trials of a phase that failed for the same reason, with one of them and its traceback as an example."""

    phase: str
    reason: str
    trials: int
    trial: str
    error: Path | None

    @property
    def line(self) -> str:
        """The number of trials, the reason, and the file with the traceback, in one line."""
        which = f"{self.trials} trials, such as {self.trial}," if self.trials > 1 else self.trial
        where = f"; see {self.error}" if self.error else ""
        return f"{self.phase}: {which} failed: {self.reason}{where}"

    def record(self) -> dict[str, object]:
        """Return the failure as plain data for `litegpt status --json`."""
        return {**asdict(self), "error": self.error and str(self.error), "told": self.line}


def failed_trials(state: StudyState, folder: StudyFolder) -> list[FailedTrials]:
    """Return the failures of a study in the order of its phases."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for phase in state.phases.values():
        for trial in phase.current():
            if trial.state == "failed":
                by_reason.setdefault((phase.name, trial.reason or "unknown reason"), []).append(trial.id)
    failed = []
    for (name, reason), trials in by_reason.items():
        error = folder.trial(name, trials[0]).error
        failed.append(FailedTrials(name, reason, len(trials), trials[0], error if error.is_file() else None))
    return failed
