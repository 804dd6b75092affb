"""What the results folder says, followed in a thread of its own: the only reader of results in the console.

The thread replaces what the screens read (`state`, curves, ...) whole and posts a FeedChanged; it touches no widget.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from litegpt.errors import InputError
from litegpt.results.metrics import Evaluation
from litegpt.results.samples import Sample
from litegpt.results.state import StudyState, TrialState
from tui.curve import Curve
from tui.location import StudyLocation
from tui.messages import FeedChanged, TrialKey
from tui.sources import RunnerStatus

if TYPE_CHECKING:
    from litegpt.study.study import Study

LOAD_SECONDS = 0.02  # reading old curves yields to the screen this often
FIRST_READ_SECONDS = 0.5  # a journal that takes longer is not waited for
FIRST_PICTURE_SECONDS = 1.0
SHOW_SECONDS = 0.25  # and shows what it has read this often


class FeedSource(Protocol):
    """Where a feed gets its facts: the files as they are, or a replay of them."""

    @property
    def state(self) -> StudyState:
        """What the journal tells; the same object until the journal is replaced."""

    def poll(self) -> bool:
        """Take in what is new in the journal; return whether anything is."""

    def rows(self, key: TrialKey) -> list[Evaluation] | None:
        """Return a trial's evaluations, None where they have not changed since the last call."""

    def samples(self, key: TrialKey) -> list[Sample] | None:
        """Return a trial's samples, None where they have not changed since the last call."""

    def log_tail(self) -> tuple[str, ...] | None:
        """Return the last lines of the runner's log, None where it has not changed."""

    def runner(self) -> RunnerStatus:
        """Tell whether a runner is at work."""

    def now(self) -> datetime:
        """Return the moment that is shown: the present, or where a replay is."""


class Feed:
    """Follows one study. Read its attributes from the screen's thread; each is replaced whole, never changed in place.

    A curve or the samples of a trial are there once they have been read; `want` puts trials at the head of the queue.
    """

    def __init__(
        self, location: StudyLocation, source: FeedSource, post: Callable[[FeedChanged], object], seconds: float = 0.5
    ) -> None:
        self.location = location
        self.state = StudyState()
        self.study: Study | None = None
        self.problem: str | None = None  # one line on what is wrong with the study file
        self.runner: RunnerStatus = RunnerStatus("none")
        self.log: tuple[str, ...] = ()
        self.bar: tuple[str, float] | None = None  # what a trial should beat, and its validation loss, once on record
        self.revision = 0  # how often it has told of something new
        self._source = source
        self._post = post
        self._seconds = seconds
        self._curves: dict[TrialKey, Curve] = {}
        self._samples: dict[TrialKey, tuple[Sample, ...]] = {}
        self._wanted: deque[TrialKey] = deque()
        self._samples_wanted: set[TrialKey] = set()
        self._pending: dict[TrialKey, None] = {}  # curves to read in the background, in this order
        self._running: set[TrialKey] = set()
        self._study_stamp: tuple[int, int] | None = None
        self._is_first = True
        self._has_begun = threading.Event()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def wait_for_first_read(self) -> None:
        """Return once the journal has been read the first time, or has turned out to take long."""
        await asyncio.to_thread(self._has_begun.wait, FIRST_READ_SECONDS)

    def stop(self) -> None:
        """End the thread; returns at once."""
        self._stopped.set()
        self._wake.set()

    def curve(self, key: TrialKey) -> Curve | None:
        """Return a trial's evaluations, None while they have not been read."""
        return self._curves.get(key)

    def samples(self, key: TrialKey) -> tuple[Sample, ...] | None:
        """Return a trial's samples by step and follow them from now on; None while they have not been read."""
        if key not in self._samples_wanted:
            self._samples_wanted = self._samples_wanted | {key}
            self._wake.set()
        return self._samples.get(key)

    def want(self, keys: Iterable[TrialKey]) -> None:
        """Read the curves of these trials before the others."""
        missing = [key for key in keys if key not in self._curves]
        if missing:
            self._wanted.extend(missing)
            self._wake.set()

    def now(self) -> datetime:
        """Return the moment that is shown: the present, or where a replay is."""
        return self._source.now()

    def open_study(self, path: Path) -> None:
        """Follow a study file that has just been written."""
        self.location = dataclasses.replace(self.location, study_path=path)
        self._wake.set()

    def trial(self, key: TrialKey) -> TrialState | None:
        """Return what the journal tells of a trial."""
        phase = self.state.phases.get(key[0])
        return None if phase is None else phase.trials.get(key[1])

    def _follow(self) -> None:
        while not self._stopped.is_set():
            changed = self._poll()
            if self._is_first or changed:
                self._tell(changed)
            if self._is_first:
                self._is_first = False
                self._has_begun.set()
                self._wake.wait(FIRST_PICTURE_SECONDS)  # a screen that is drawn wants curves, and wakes this
                self._load(self._wanted)
                self._stopped.wait(self._seconds)  # the rest must not hold up the first picture
                if self._read_study():
                    self._tell(FeedChanged(study=True))
            self._load(self._wanted, self._pending)
            self._wake.wait(self._seconds)
            self._wake.clear()

    def _tell(self, changed: FeedChanged) -> None:
        if not self._stopped.is_set():
            self.revision += 1
            changed.revision = self.revision
            self._post(changed)

    def _poll(self) -> FeedChanged:
        changed = FeedChanged()
        if self._source.poll():
            self._take_state()
            changed.state = True
        changed.curves = frozenset(key for key in self._running if self._read_curve(key))
        changed.samples = frozenset(key for key in self._samples_wanted if self._read_samples(key))
        log = self._source.log_tail()
        if log is not None:
            self.log, changed.log = log, True
        runner = self._source.runner()
        if runner != self.runner:
            self.runner, changed.runner = runner, True
        if not self._is_first:
            changed.study = self._read_study()
            changed.state |= self.bar is None and self._read_bar()
        return changed

    def _take_state(self) -> None:
        """Publish a copy of the state that the screens may read while this thread goes on."""
        state = self._source.state
        phases = {name: dataclasses.replace(phase, trials=dict(phase.trials)) for name, phase in state.phases.items()}
        self.state = dataclasses.replace(state, phases=phases, workers=dict(state.workers))
        running: set[TrialKey] = set()
        for name, phase in phases.items():
            for trial in phase.trials.values():
                key = (name, trial.id)
                if trial.state == "running":
                    running.add(key)
                elif not trial.is_waiting and (key in self._running or key not in self._curves):
                    self._pending[key] = None
        self._running = running

    def _load(self, *queues: Collection[TrialKey]) -> None:
        """Read the curves that are asked for, then others, until these queues are empty; tell now and then."""
        read: set[TrialKey] = set()
        shown = yielded = time.monotonic()
        while any(queues) and not self._stopped.is_set():
            asked = bool(self._wanted)
            key = self._wanted.popleft() if asked else next(iter(self._pending))
            self._pending.pop(key, None)
            if self._read_curve(key):
                read.add(key)
            now = time.monotonic()
            if read and (now - shown > SHOW_SECONDS or (asked and not self._wanted)):
                self._tell(FeedChanged(curves=frozenset(read)))
                read, shown = set(), now
            if now - yielded > LOAD_SECONDS:
                self._stopped.wait(LOAD_SECONDS / 4)
                yielded = time.monotonic()
        if read:
            self._tell(FeedChanged(curves=frozenset(read)))

    def _read_curve(self, key: TrialKey) -> bool:
        rows = self._source.rows(key)
        if rows is None:
            return False
        self._curves[key] = Curve.of(rows)
        return True

    def _read_samples(self, key: TrialKey) -> bool:
        samples = self._source.samples(key)
        if samples is None:
            return False
        self._samples[key] = tuple(samples)
        return True

    def _read_bar(self) -> bool:
        from litegpt.analysis.baselines import BAR, read_baselines  # late: the first picture does without

        known = read_baselines(self.location.folder, self.state) or {}
        self.bar = (BAR, known[BAR]) if BAR in known else None
        return self.bar is not None

    def _read_study(self) -> bool:
        """Read the study file where it has changed; what is wrong with it is a line, and the last good one stays."""
        path = self.location.study_path
        if path is None:
            return False
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = (0, 0)
        if stamp == self._study_stamp:
            return False
        self._study_stamp = stamp
        from litegpt.study.study import read_study  # late: the first picture does without

        try:
            self.study, self.problem = read_study(path), None
        except InputError as error:
            self.problem = str(error)
        return True
