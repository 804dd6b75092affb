"""Follows a study's results in a thread. It is the only reader of results in the console.

The thread replaces each attribute that the tabs read (`state`, `study`, ...) as a whole, then posts a FeedChanged. It
never touches a widget.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
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

# While the thread reads old curves, it pauses this often, so that the screen's thread can draw.
LOAD_SECONDS = 0.02
# The first picture waits at most this long for the journal.
FIRST_READ_SECONDS = 0.5
# The first picture's curves are awaited this long before anything else is read.
FIRST_PICTURE_SECONDS = 1.0
# While the thread reads old curves, it reports them this often.
SHOW_SECONDS = 0.25


class FeedSource(Protocol):
    """Where a feed reads a study: its files (`Files`), or a replay of them (`Replay`)."""

    @property
    def state(self) -> StudyState:
        """The state from the journal; the same object until the journal file is replaced."""

    def poll(self) -> bool:
        """Read new events of the journal; return whether there were any."""

    def rows(self, key: TrialKey) -> list[Evaluation] | None:
        """Return a trial's evaluations, None if they have not changed since the last call."""

    def samples(self, key: TrialKey) -> list[Sample] | None:
        """Return a trial's samples, None if they have not changed since the last call."""

    def log_tail(self) -> tuple[str, ...] | None:
        """Return the last lines of the runner's log, None if it has not changed."""

    def runner(self) -> RunnerStatus:
        """Return whether a runner holds the study's lock."""

    def now(self) -> datetime:
        """Return the present time, or the position of a replay."""


class Feed:
    """Follows one study. The screen's thread may read the public attributes, which are never changed in place.

    Curves and samples are None until they have been read. `want` makes the thread read some trials first.
    """

    def __init__(
        self, location: StudyLocation, source: FeedSource, post: Callable[[FeedChanged], object], seconds: float = 0.5
    ) -> None:
        self.location = location
        self.state = StudyState()
        self.study: Study | None = None
        # One line about the first mistake in the study file.
        self.problem: str | None = None
        self.runner: RunnerStatus = RunnerStatus("none")
        self.log: tuple[str, ...] = ()
        # The n-gram model that trials should beat, and its validation loss; None until it has been measured.
        self.baseline: tuple[str, float] | None = None
        # Counts the posted changes.
        self.revision = 0
        self._source = source
        self._post = post
        self._seconds = seconds
        self._curves: dict[TrialKey, Curve] = {}
        self._samples: dict[TrialKey, tuple[Sample, ...]] = {}
        self._wanted: deque[TrialKey] = deque()
        self._samples_wanted: set[TrialKey] = set()
        # Curves to read in the background, in this order.
        self._pending: dict[TrialKey, None] = {}
        self._running: set[TrialKey] = set()
        self._study_stamp: tuple[int, int] | None = None
        self._is_first = True
        self._has_read = threading.Event()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def wait_for_first_read(self) -> None:
        """Wait for the first read of the journal, at most FIRST_READ_SECONDS."""
        await asyncio.to_thread(self._has_read.wait, FIRST_READ_SECONDS)

    def stop(self) -> None:
        """Tell the thread to end, without waiting for it."""
        self._stopped.set()
        self._wake.set()

    def curve(self, key: TrialKey) -> Curve | None:
        """Return a trial's evaluations, None until they have been read."""
        return self._curves.get(key)

    def samples(self, key: TrialKey) -> tuple[Sample, ...] | None:
        """Return a trial's samples by step, None until they have been read. The feed follows them from now on."""
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
        """Return the present time, or the position of a replay."""
        return self._source.now()

    def open_study(self, location: StudyLocation, source: FeedSource) -> None:
        """Follow a study in place of none. Nothing has been read until now."""
        self.location = location
        self._source = source
        self._wake.set()

    def trial(self, key: TrialKey) -> TrialState | None:
        """Return the state of a trial, None for an unknown trial."""
        phase = self.state.phases.get(key[0])
        return None if phase is None else phase.trials.get(key[1])

    def _follow(self) -> None:
        while not self._stopped.is_set():
            changed = self._poll()
            if self._is_first or changed:
                self._report(changed)
            if self._is_first:
                self._is_first = False
                self._has_read.set()
                # The first picture asks for its curves, which wakes this thread. Everything else waits for a moment,
                # because reading would slow the drawing of that picture.
                self._wake.wait(FIRST_PICTURE_SECONDS)
                self._load(self._wanted)
                self._stopped.wait(self._seconds)
                if self._read_study():
                    self._report(FeedChanged(study=True))
            self._load(self._wanted, self._pending)
            self._wake.wait(self._seconds)
            self._wake.clear()

    def _report(self, changed: FeedChanged) -> None:
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
            changed.state |= self.baseline is None and self._read_baseline()
        return changed

    def _take_state(self) -> None:
        """Publish a copy of the state, which the tabs may read while this thread continues."""
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
        """Read curves until the queues are empty, the wanted ones first, and report them in groups."""
        read: set[TrialKey] = set()
        reported = yielded = time.monotonic()
        while any(queues) and not self._stopped.is_set():
            is_wanted = bool(self._wanted)
            key = self._wanted.popleft() if is_wanted else next(iter(self._pending))
            self._pending.pop(key, None)
            if self._read_curve(key):
                read.add(key)
            now = time.monotonic()
            if read and (now - reported > SHOW_SECONDS or (is_wanted and not self._wanted)):
                self._report(FeedChanged(curves=frozenset(read)))
                read, reported = set(), now
            if now - yielded > LOAD_SECONDS:
                self._stopped.wait(LOAD_SECONDS / 4)
                yielded = time.monotonic()
        if read:
            self._report(FeedChanged(curves=frozenset(read)))

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

    def _read_baseline(self) -> bool:
        # Imported only here: the first picture does not need it.
        from litegpt.analysis.baselines import BAR, read_baselines

        losses = read_baselines(self.location.folder, self.state) or {}
        self.baseline = (BAR, losses[BAR]) if BAR in losses else None
        return self.baseline is not None

    def _read_study(self) -> bool:
        """Read the study file if it has changed. A file with a mistake sets `problem` and keeps the last good study."""
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
        # Imported only here: the first picture does not need it.
        from litegpt.study.study import read_study

        try:
            self.study, self.problem = read_study(path), None
        except InputError as error:
            self.problem = str(error)
        return True
