"""Requests of users to a running runner: small files in `requests/`, which it reads and deletes within a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from litegpt.files import read_json, write_whole
from litegpt.results.folder import StudyFolder

FORMAT = 1
KINDS = ("stop", "pause", "resume", "retry")


@dataclass(frozen=True)
class Request:
    """A command of a user.

    stop ends the named trials, or the whole run. pause and resume concern the run. retry queues those of the named
    trials again that failed, diverged or were stopped. A `phase` limits the request to the trials of that phase.
    """

    kind: str
    phase: str | None = None
    trials: tuple[str, ...] = ()

    @property
    def concerns_run(self) -> bool:
        """Whether the request concerns the whole run and not only some trials or one phase."""
        return self.phase is None and not self.trials

    def names(self, phase: str, trial: str) -> bool:
        """Return whether the request includes a trial."""
        return self.phase in (None, phase) and (not self.trials or trial in self._trial_set)

    @cached_property
    def _trial_set(self) -> frozenset[str]:
        """The trials for look-ups; a request may name thousands."""
        return frozenset(self.trials)


def send_request(folder: StudyFolder, kind: str, phase: str | None = None, trials: Sequence[str] = ()) -> Path:
    """Write a request for the runner of a study and return its file, which the runner deletes when it has read it."""
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is not a request; use {', '.join(KINDS)}")
    requests = requests_folder(folder)
    requests.mkdir(parents=True, exist_ok=True)
    path = requests / f"{time.time_ns()}-{os.getpid()}.json"
    request = {"format": FORMAT, "kind": kind, "phase": phase, "trials": list(trials)}
    write_whole(path, json.dumps(request).encode())
    return path


def take_requests(folder: StudyFolder) -> list[Request]:
    """Return the waiting requests, oldest first, and delete them, together with files that are not requests."""
    taken: list[Request] = []
    if requests_folder(folder).is_symlink():
        return taken
    for path in sorted(requests_folder(folder).glob("*.json")):
        request = _read(path)
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # A request that cannot be deleted would be carried out again and again.
            continue
        if request is not None:
            taken.append(request)
    return taken


def discard_requests(folder: StudyFolder) -> None:
    """Delete the requests that were left for an earlier runner."""
    take_requests(folder)


def requests_folder(folder: StudyFolder) -> Path:
    """Return the folder of a study's requests."""
    return folder.path / "requests"


def _read(path: Path) -> Request | None:
    try:
        record = read_json(path)
        kind, phase, trials = record["kind"], record.get("phase"), record.get("trials") or ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if kind not in KINDS or not isinstance(phase, str | None) or not isinstance(trials, list | tuple):
        return None
    if not all(isinstance(trial, str) for trial in trials):
        return None
    return Request(kind, phase, tuple(trials))
