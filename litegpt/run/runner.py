"""The runner: phases in order, until every trial has ended or somebody interrupts.

One thread takes mail from one queue: what workers say, and signals. It never loads torch.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Sequence

from litegpt.files import write_whole
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.announce import announcement
from litegpt.run.devices import WorkerPlace
from litegpt.run.disk import Retention, shortage, weights_wanted
from litegpt.run.hold_up import HoldUp
from litegpt.run.ledger import Ledger, RunnerError
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
from litegpt.run.requests import take_requests
from litegpt.run.watch import Patience, Watch
from litegpt.run.workers import Lost, Mail, Worker, Workers
from litegpt.study.edit.append import snapshot
from litegpt.study.phase import Phase
from litegpt.study.study import Study
from litegpt.study.trial import Trial
from litegpt.text.corpus import Corpus
from litegpt.worker import messages

STILLBORN_WORKERS = 3  # in a row, that ended before they were ready: then something is wrong with the machine
TICK_SECONDS = 0.25  # how often requests are looked for and the view is refreshed while nothing happens


class Runner:
    """Runs a study's phases to their end. Read `state`, `running`, `paused` and `interrupted` to show how far it is."""

    def __init__(
        self,
        study: Study,
        corpus: Corpus,
        folder: StudyFolder,
        places: Sequence[WorkerPlace],
        *,
        phases: Sequence[str] | None = None,
        packing: Packing | None = None,
        observe: Callable[[Runner], None] = lambda runner: None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.corpus, self.folder, self.places = study, corpus, folder, places
        self.phases = [phase for phase in study.phases if phases is None or phase.name in phases]
        self.interrupted = False
        self._started = clock()
        self._packing = packing or Packing(places, len(corpus.symbols), folder.path.parent)
        self._observe, self._clock = observe, clock
        self._mail: queue.SimpleQueue[Mail | signal.Signals] = queue.SimpleQueue()  # a signal may interrupt its get
        self._hold_up = HoldUp(folder, lambda: observe(self), lambda event: self._ledger.note(event))
        self._ledger = Ledger(folder, self._hold_up.wait)
        self._watch = Watch(patience or Patience(), clock)
        self._workers = Workers(folder.log, self._mail.put)
        self._phase_run: PhaseRun | None = None
        self._stillborn = 0
        self._announced = False

    @property
    def state(self) -> StudyState:
        """What the journal says."""
        return self._ledger.state

    @property
    def running(self) -> list[RunningTrial]:
        """The trials at work."""
        return list(self._phase_run.running.values()) if self._phase_run else []

    @property
    def paused(self) -> str | None:
        """Why the run waits to be resumed, None where it does not."""
        return self._hold_up.reason or self.state.paused

    def interrupt(self, number: signal.Signals) -> None:
        """Ask the run to stop: once, with checkpoints; a second time, at once. Signal handlers may call it."""
        self._hold_up.stop()
        self._mail.put(number)

    def has_work(self) -> bool:
        """Tell whether anything of the chosen phases is left to do."""
        return self._next_phase() is not None

    def _next_phase(self) -> Phase | None:
        return next_phase(self.study, self.state, [phase.name for phase in self.phases])

    def run(self) -> None:
        """Run until every trial has ended, or until interrupted. Raises RunnerError."""
        take_requests(self.folder)  # what was asked of an earlier run is no longer meant
        with self._ledger:
            try:
                self._requeue_running()  # what a killed runner left behind
                if self.state.paused:
                    self._ledger.append(events.StudyResumed())
                while not self.interrupted and (phase := self._next_phase()):
                    self._run_phase(phase)
            finally:
                self._workers.close()
                self._requeue_running()
                if self._announced:
                    self._ledger.append(self._farewell())
                self._observe(self)

    def _run_phase(self, phase: Phase) -> None:
        started = self._clock()
        expansion = resolve_study(self.study, self.state).get(phase.name)
        if expansion is None:
            source = phase.source and phase.source.name
            raise RunnerError(f"phase '{phase.name}' waits for phase '{source}'; run that first")
        if not expansion.trials:
            raise RunnerError(f"phase '{phase.name}' has no trials: nothing that it promotes from could be ranked")
        self.folder.check_no_links(phase.name, (trial.id for trial in expansion.trials))
        if planned := planning_events(self.state, phase, expansion):
            self._ledger.append(*planned)
        self._hold_up.insist(self._write_snapshot)
        needs_weights = weights_wanted(self.study, phase.name)
        reused = self._hold_up.insist(lambda: list(reuse_results(self.state, self.folder, phase.name, needs_weights)))
        self._ledger.append(*reused)
        if reason := self._shortage(phase):
            self._ledger.append(events.StudyPaused(reason=reason))
        self._phase_run = PhaseRun(
            phase.name,
            self.study,
            self.folder,
            self._ledger,
            self._workers,
            self.places,
            self._packing,
            self.corpus.sha256,
        )
        self._work(self._phase_run)
        state = self._phase_run.state
        if not is_complete(state):
            if not self.interrupted:
                raise RunnerError(f"phase '{phase.name}' did not come to its end")
        elif state.ended is None:
            self._ledger.append(phase_ended(state, len(expansion.excluded), round(self._clock() - started, 3)))
        if phase.source is not None:
            Retention(self.study, self.folder, phase.source.name).tidy(self.state)  # it needs those weights no more

    def _shortage(self, phase: Phase) -> str | None:
        """Return in words what room the phase will not find on the disk, None where it will."""

        def working(trial: Trial) -> int:
            return self._packing.width(trial) * len(self.places)

        return shortage(self.study, self.state, self.folder, phase.name, working, len(self.corpus.symbols))

    def _work(self, phase_run: PhaseRun) -> None:
        """Keep the workers busy until the phase is over, or the run is interrupted and its packs have stopped."""
        while not phase_run.is_over and not (self.interrupted and phase_run.is_idle):
            if not self.interrupted:
                self._take_requests(phase_run)
                phase_run.assign()
            self._watch.look(self._workers.by_name.values(), phase_run.busy)
            try:
                mail = self._mail.get(timeout=TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                self._take_mail(phase_run, mail)
            self._observe(self)

    def _take_requests(self, phase_run: PhaseRun) -> None:
        for request in take_requests(self.folder):
            if request.kind == "stop" and not request.trials:
                self._interrupt_now(phase_run)
            else:
                phase_run.act(request)
            if request.kind == "retry":
                self._ledger.append(*requeued(self.state, request))

    def _take_mail(self, phase_run: PhaseRun, mail: Mail | signal.Signals) -> None:
        if isinstance(mail, signal.Signals):
            if not (self.interrupted and mail is signal.SIGHUP):  # a closed terminal may say so twice
                self._interrupt_now(phase_run)
            return
        worker = self._workers.by_name.get(mail.worker)
        if worker is None:
            return
        if not isinstance(mail.message, Lost):
            self._watch.hear(worker.name, mail.message)
        match mail.message:
            case messages.Ready() as ready:
                self._welcome(worker, ready)
            case messages.Unusable() as unusable:
                raise RunnerError(f"{worker.place.device} cannot be used ({unusable.reason}); try --device cpu")
            case Lost() as lost:
                self._lose(phase_run, worker, lost)
            case messages.Heartbeat():
                pass
            case messages.ShapeTuned() as tuned:
                self._packing.learn(tuned)
            case message:
                phase_run.take(worker, message)

    def _interrupt_now(self, phase_run: PhaseRun) -> None:
        if self.interrupted:  # the second time: no checkpoints, no waiting
            self._workers.close(grace_seconds=0)
            phase_run.drop_packs()
        else:
            self.interrupted = True
            phase_run.stop_packs()

    def _welcome(self, worker: Worker, ready: messages.Ready) -> None:
        worker.ready, worker.precision = True, ready.precision
        self._stillborn = 0
        if not self._announced:
            self._announced = True
            self._ledger.append(announcement(self.study, self.corpus, self.places, ready))
        self._ledger.append(events.WorkerStarted(worker=worker.name, pid=ready.pid, device=ready.device))

    def _lose(self, phase_run: PhaseRun, worker: Worker, lost: Lost) -> None:
        self._workers.forget(worker.name)
        why = self._watch.forget(worker.name) or f"it ended (exit status {lost.returncode})"
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN_WORKERS:
                raise RunnerError(f"no worker starts on {worker.place.device} ({why}); see {self.folder.log}")
            return
        reason = f"its worker {worker.name} was lost: {why}"
        pid, device = worker.process.pid, worker.place.device
        self._ledger.append(events.WorkerLost(worker=worker.name, pid=pid, device=device, reason=reason))
        phase_run.lose(worker, reason)

    def _farewell(self) -> events.Event:
        complete = all(
            phase.name in self.state.phases and is_complete(self.state.phases[phase.name]) for phase in self.phases
        )
        if self.interrupted or not complete:
            return events.StudyInterrupted(reason="interrupted" if self.interrupted else "the runner could not go on")
        return events.StudyEnded(seconds=round(self._clock() - self._started, 3))

    def _requeue_running(self) -> None:
        for trial in [trial for trial in self.state.trials() if trial.state == "running"]:
            self._ledger.append(
                events.TrialRequeued(
                    phase=trial.phase, trial=trial.id, attempt=trial.attempt, reason="the run was interrupted"
                )
            )

    def _write_snapshot(self) -> None:
        write_whole(self.folder.snapshot, snapshot(self.study, resolve_study(self.study, self.state)).encode())
