"""The runner: trains the phases of a study one after another until every trial has ended or a user interrupts.

All decisions are made in one thread. It reads one queue, which carries the messages of the workers and the signals, and
it never imports torch.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from litegpt.files import write_whole
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.announcement import study_started
from litegpt.run.context import RunContext
from litegpt.run.disk import Retention, shortage, weights_needed
from litegpt.run.packing import Packing
from litegpt.run.phase_run import PhaseRun, RunningTrial
from litegpt.run.phases import (
    is_complete,
    next_phase,
    phase_ended,
    planning_events,
    requeued,
    resolve_study,
    reuse_results,
)
from litegpt.run.requests import Request, take_requests
from litegpt.run.runner_journal import DiskPause, RunnerError, RunnerJournal
from litegpt.run.watch import Watch
from litegpt.run.workers import Lost, Mail, Worker, Workers
from litegpt.study.expand import Expansion
from litegpt.study.phase import Phase
from litegpt.study.snapshot import snapshot
from litegpt.study.study import Study
from litegpt.text.corpus import Corpus
from litegpt.worker import messages

FAILED_STARTS_MAX = 3  # this many in a row mean that the device or the installation is broken
TICK_SECONDS = 0.25  # between two looks for requests, and two updates of the view, while no message arrives

EVENTS_AT_ONCE = 1000  # events written, or trials looked at, between two looks for signals and requests

T = TypeVar("T")


class _PlanningStoppedError(Exception):
    """The run is to stop while it plans a phase."""


class Runner:
    """Runs the phases of a study. Views read `state`, `running`, `paused` and `interrupted` to show progress."""

    def __init__(
        self,
        study: Study,
        corpus: Corpus,
        folder: StudyFolder,
        packing: Packing,
        *,
        phases: Sequence[str] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.phases = [phase for phase in study.phases if phases is None or phase.name in phases]
        self.interrupted = False
        self._observe: Callable[[Runner], None] = lambda runner: None
        self._disk_pause = DiskPause(folder, lambda: self._observe(self))
        self._journal = RunnerJournal(folder, self._disk_pause)
        self._context = RunContext(study, corpus, folder, packing, self._journal)
        # A SimpleQueue, because a signal handler may put into it while the main thread is inside its `get`.
        self._mail: queue.SimpleQueue[Mail | signal.Signals] = queue.SimpleQueue()
        self._watch = watch or Watch()
        self._workers = Workers(folder.log, self._mail.put)
        self._phase_run: PhaseRun | None = None
        self._failed_starts = 0
        self._is_announced = False
        self._signals = 0
        self._postponed: list[Request] = []

    @property
    def state(self) -> StudyState:
        """The state of the study according to the journal."""
        return self._journal.state

    @property
    def study(self) -> Study:
        """The study as it was when the run started."""
        return self._context.study

    @property
    def running(self) -> list[RunningTrial]:
        """The trials that workers are training now."""
        return list(self._phase_run.running.values()) if self._phase_run else []

    @property
    def paused(self) -> str | None:
        """Why the run waits for `litegpt resume`; None if it does not wait."""
        return self._disk_pause.reason or self.state.paused

    @property
    def waiting_for_disk(self) -> str | None:
        """Why the run waits for a disk that cannot be written; None if it does not."""
        return self._disk_pause.reason

    def interrupt(self, number: signal.Signals) -> None:
        """Stop the run: with checkpoints the first time, at once the second time. Signal handlers may call it."""
        self._signals += 1
        self._disk_pause.stop()
        self._mail.put(number)

    def has_work(self) -> bool:
        """Return whether any chosen phase has work left."""
        return self._next_phase() is not None

    def _next_phase(self) -> Phase | None:
        return next_phase(self.study, self.state, [phase.name for phase in self.phases])

    def run(self, observe: Callable[[Runner], None] | None = None) -> None:
        """Run until every trial has ended or the run is interrupted; call `observe` often. Raises RunnerError."""
        self._observe = observe or self._observe
        started = time.monotonic()
        # A signal may have arrived before the first phase is planned.
        self.interrupted = self._signals > 0
        with self._journal:
            try:
                # A killed runner leaves its trials marked as running.
                self._requeue_running()
                if self.state.paused:
                    self._journal.resume()
                while not self.interrupted and (phase := self._next_phase()):
                    self._run_phase(phase)
            finally:
                self._workers.close()
                self._requeue_running()
                if self._is_announced:
                    self._journal.append(self._end_event(time.monotonic() - started))
                self._observe(self)

    def _run_phase(self, phase: Phase) -> None:
        started = time.monotonic()
        try:
            expansion = self._plan_phase(phase)
            self._phase_run = self._prepare_phase(phase)
        except _PlanningStoppedError:
            # No pack of this phase has started, and the next run completes what the journal lacks.
            self.interrupted = True
            return
        self._train(self._phase_run)
        self._close_phase(phase, expansion, time.monotonic() - started)

    def _plan_phase(self, phase: Phase) -> Expansion:
        """Record the phase's trials in the journal and in the snapshot of the study. Raises RunnerError."""
        expansion = resolve_study(self.study, self.state).get(phase.name)
        if expansion is None:
            source = phase.source and phase.source.name
            raise RunnerError(f"phase '{phase.name}' waits for phase '{source}'; run that first")
        if not expansion.trials:
            raise RunnerError(f"phase '{phase.name}' has no trials: its source phase has no trial that can be ranked")
        self._context.folder.check_no_links(phase.name, self._until_stopped(trial.id for trial in expansion.trials))
        planned = planning_events(self.state, phase, expansion)
        for start in range(0, len(planned), EVENTS_AT_ONCE):
            self._check_stop()
            self._journal.append(*planned[start : start + EVENTS_AT_ONCE])
        self._journal.retry(self._write_snapshot)
        return expansion

    def _prepare_phase(self, phase: Phase) -> PhaseRun:
        """Take over results of equal trials, check the free disk space, and return the phase ready to be trained."""
        context = self._context
        keep_weights = weights_needed(context.study, phase.name)
        reused = self._journal.retry(
            lambda: list(self._until_stopped(reuse_results(context, phase.name, keep_weights)))
        )
        self._journal.append(*reused)
        if reason := shortage(context, phase.name):
            self._journal.pause(reason)
        return PhaseRun(phase.name, context, self._workers)

    def _check_stop(self) -> None:
        """Raise _PlanningStoppedError if a signal or a request asks to stop the run while it plans a phase."""
        requests = take_requests(self._context.folder)
        self._postponed += requests
        if self._signals or any(request.kind == "stop" and request.concerns_run for request in requests):
            raise _PlanningStoppedError

    def _until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and look for signals and requests from time to time."""
        for number, item in enumerate(items):
            if number % EVENTS_AT_ONCE == 0:
                self._check_stop()
            yield item

    def _train(self, phase_run: PhaseRun) -> None:
        """Keep the workers busy until the phase is over, or until an interrupted run's packs have stopped."""
        while not phase_run.is_over and not (self.interrupted and phase_run.is_idle):
            # An interrupted run only waits for its checkpoints: it starts nothing and takes no requests.
            if not self.interrupted:
                self._take_requests(phase_run)
                phase_run.assign()
            self._watch.check(self._workers.by_name.values(), phase_run.busy)
            # Handle at most one message per round, so that signals, requests and hung workers never wait behind a
            # long queue of messages.
            try:
                mail = self._mail.get(timeout=TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                self._take_mail(phase_run, mail)
            self._observe(self)

    def _close_phase(self, phase: Phase, expansion: Expansion, seconds: float) -> None:
        """Record the end of a complete phase, and delete the weights that only this phase still needed."""
        state = self.state.phases[phase.name]
        if not is_complete(state):
            if not self.interrupted:
                raise RunnerError(f"phase '{phase.name}' stopped before all of its trials had ended")
        elif state.ended is None:
            self._journal.append(phase_ended(state, len(expansion.excluded), round(seconds, 3)))
        if phase.source is not None:
            Retention(self._context, phase.source.name).delete_unneeded()

    def _take_requests(self, phase_run: PhaseRun) -> None:
        postponed, self._postponed = [*self._postponed, *self._disk_pause.take_postponed()], []
        for request in (*postponed, *take_requests(self._context.folder)):
            if request.concerns_run and request.kind == "stop":
                self._stop(phase_run)
            else:
                phase_run.act(request)
            if request.kind == "retry":
                self._journal.append(*requeued(self.state, request))

    def _take_mail(self, phase_run: PhaseRun, mail: Mail | signal.Signals) -> None:
        if isinstance(mail, signal.Signals):
            # A closing terminal may send HUP twice. That must not cut the checkpoints short.
            if not (self.interrupted and mail is signal.SIGHUP):
                self._stop(phase_run)
            return
        worker = self._workers.by_name.get(mail.worker)
        if worker is None:
            return
        if not isinstance(mail.message, Lost):
            self._watch.record(worker.name, mail.message)
        match mail.message:
            case messages.Ready() as ready:
                self._take_ready(worker, ready)
            case messages.Unusable() as unusable:
                raise RunnerError(f"{worker.slot.device} cannot be used ({unusable.reason}); try --device cpu")
            case Lost() as lost:
                self._take_lost(phase_run, worker, lost)
            case messages.Heartbeat():
                pass
            case messages.ShapeTuned() as tuned:
                self._context.packing.learn(tuned)
            case message:
                phase_run.take(worker, message)

    def _stop(self, phase_run: PhaseRun) -> None:
        """Let the packs write checkpoints; the second time, end the workers at once."""
        if self.interrupted:
            self._workers.close(grace_seconds=0)
            phase_run.drop_packs()
        else:
            self.interrupted = True
            phase_run.stop_packs()

    def _take_ready(self, worker: Worker, ready: messages.Ready) -> None:
        worker.is_ready = True
        worker.precision = ready.precision
        self._failed_starts = 0
        if not self._is_announced:
            self._is_announced = True
            self._journal.append(study_started(self._context, ready))
        self._journal.append(events.WorkerStarted(worker=worker.name, pid=ready.pid, device=ready.device))

    def _take_lost(self, phase_run: PhaseRun, worker: Worker, lost: Lost) -> None:
        self._workers.forget(worker.name)
        cause = self._watch.forget(worker.name) or f"it ended (exit status {lost.returncode})"
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS_MAX:
                log = self._context.folder.log
                raise RunnerError(f"no worker starts on {worker.slot.device} ({cause}); see {log}")
            return
        reason = f"its worker {worker.name} was lost: {cause}"
        pid, device = worker.process.pid, worker.slot.device
        self._journal.append(events.WorkerLost(worker=worker.name, pid=pid, device=device, reason=reason))
        phase_run.lose(worker, reason)

    def _end_event(self, seconds: float) -> events.Event:
        if self.interrupted:
            return events.StudyInterrupted(reason="interrupted")
        phases = [self.state.phases.get(phase.name) for phase in self.phases]
        if not all(phase is not None and is_complete(phase) for phase in phases):
            return events.StudyInterrupted(reason="the runner could not continue")
        return events.StudyEnded(seconds=round(seconds, 3))

    def _requeue_running(self) -> None:
        for trial in [trial for trial in self.state.trials() if trial.state == "running"]:
            self._journal.append(
                events.TrialRequeued(
                    phase=trial.phase, trial=trial.id, attempt=trial.attempt, reason="the run was interrupted"
                )
            )

    def _write_snapshot(self) -> None:
        study = self.study
        write_whole(self._context.folder.snapshot, snapshot(study, resolve_study(study, self.state)).encode())
