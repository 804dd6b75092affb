"""The runner: phases in order, until every trial has ended or somebody interrupts.

One thread takes mail from one queue: what workers say, and signals. It never loads torch.
"""

from __future__ import annotations

import os
import platform
import queue
import signal
import socket
import time
from collections.abc import Callable, Sequence

from litegpt import __version__
from litegpt.plan.corpus import CorpusText
from litegpt.plan.edit import snapshot
from litegpt.plan.phase import Phase
from litegpt.plan.study import Study
from litegpt.plan.trial import Trial
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run import messages
from litegpt.run.commit import describe_commit
from litegpt.run.devices import WorkerPlace
from litegpt.run.ledger import Ledger, RunnerError
from litegpt.run.phase_run import PhaseRun, RunningTrial
from litegpt.run.phases import is_complete, planning_events, resolve_study, reuse_results
from litegpt.run.requests import take_requests
from litegpt.run.workers import Lost, Mail, Worker, Workers

WIDEST_PACK = 64
FILLING_ACTIVATIONS = 1 << 23  # elements in one layer of a pack that keep a large GPU busy
STILLBORN_WORKERS = 3  # in a row, that ended before they were ready: then something is wrong with the machine
TICK_SECONDS = 0.25  # how often requests are looked for and the view is refreshed while nothing happens


def pack_width(trial: Trial, place: WorkerPlace) -> int:
    """Return how many trials of this shape to train together: on a GPU enough to fill it, on a CPU one.

    A CPU computes one small model as fast as it can compute at all (docs/LOG.md). A GPU waits for launches until its
    matrices are large, so narrow models with small batches go in wide packs. A pack that does not fit is split.
    """
    if place.device == "cpu":
        return 1
    activations = trial.batch_size * trial.block_size * trial.n_embd  # elements, of one layer of one trial
    return max(1, min(WIDEST_PACK, FILLING_ACTIVATIONS // activations))


class Runner:
    """Runs a study's phases to their end. Read `state`, `running`, `paused` and `interrupted` to show how far it is."""

    def __init__(
        self,
        study: Study,
        corpus: CorpusText,
        folder: StudyFolder,
        places: Sequence[WorkerPlace],
        *,
        phases: Sequence[str] | None = None,
        pack_width: Callable[[Trial, WorkerPlace], int] = pack_width,
        observe: Callable[[Runner], None] = lambda runner: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.corpus, self.folder, self.places = study, corpus, folder, places
        self.phases = [phase for phase in study.phases if phases is None or phase.name in phases]
        self.interrupted = False
        self._started = clock()
        self._pack_width, self._observe, self._clock = pack_width, observe, clock
        self._mail: queue.SimpleQueue[Mail | signal.Signals] = queue.SimpleQueue()  # a signal may interrupt its get
        self._ledger = Ledger(folder)
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
    def paused(self) -> bool:
        """Whether the run waits to be resumed."""
        return self._phase_run is not None and self._phase_run.paused

    def interrupt(self, number: signal.Signals) -> None:
        """Ask the run to stop: once, with checkpoints; a second time, at once. Signal handlers may call it."""
        self._mail.put(number)

    def has_work(self) -> bool:
        """Tell whether any trial of the chosen phases is left to run."""
        expansions = resolve_study(self.study, self.state)
        for phase in self.phases:
            expansion, known = expansions.get(phase.name), self.state.phases.get(phase.name)
            if expansion is None or known is None or not is_complete(known):
                return True
            if known.planned != tuple(trial.id for trial in expansion.trials):
                return True
        return False

    def run(self) -> None:
        """Run until every trial has ended, or until interrupted. Raises RunnerError."""
        take_requests(self.folder)  # what was asked of an earlier run is no longer meant
        with self._ledger:
            try:
                self._requeue_running()  # what a killed runner left behind
                for phase in self.phases:
                    self._run_phase(phase)
                    if self.interrupted:
                        break
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
        if planned := planning_events(self.state, phase, expansion):
            self._ledger.append(*planned)
            self._write_snapshot()
        self._ledger.append(*reuse_results(self.state, self.folder, phase.name))
        self._phase_run = PhaseRun(
            phase.name,
            self.study,
            self.folder,
            self._ledger,
            self._workers,
            self.places,
            self._pack_width,
            self.corpus.sha256,
        )
        self._work(self._phase_run)
        state = self._phase_run.state
        if is_complete(state) and state.ended is None:
            counts = state.counts()
            self._ledger.append(
                events.PhaseEnded(
                    phase=phase.name,
                    done=counts["done"],
                    diverged=counts["diverged"],
                    failed=counts["failed"],
                    stopped=counts["stopped"],
                    excluded=len(expansion.excluded),
                    seconds=round(self._clock() - started, 3),
                )
            )

    def _work(self, phase_run: PhaseRun) -> None:
        """Keep the workers busy until the phase is over, or the run is interrupted and its packs have stopped."""
        while not phase_run.is_over and not (self.interrupted and phase_run.is_idle):
            if not self.interrupted:
                self._take_requests(phase_run)
                phase_run.assign()
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

    def _take_mail(self, phase_run: PhaseRun, mail: Mail | signal.Signals) -> None:
        if isinstance(mail, signal.Signals):
            self._interrupt_now(phase_run)
            return
        worker = self._workers.by_name.get(mail.worker)
        if worker is None:
            return
        match mail.message:
            case messages.Ready() as ready:
                self._welcome(worker, ready)
            case messages.Unusable() as unusable:
                raise RunnerError(f"{worker.place.device} cannot be used ({unusable.reason}); try --device cpu")
            case Lost() as lost:
                self._lose(phase_run, worker, lost)
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
            self._ledger.append(self._announcement(ready))
        self._ledger.append(events.WorkerStarted(worker=worker.name, pid=ready.pid, device=ready.device))

    def _lose(self, phase_run: PhaseRun, worker: Worker, lost: Lost) -> None:
        self._workers.forget(worker.name)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN_WORKERS:
                raise RunnerError(f"no worker starts on {worker.place.device}; {self.folder.log} says why")
            return
        reason = f"its worker {worker.name} ended (exit status {lost.returncode})"
        pid, device = worker.process.pid, worker.place.device
        self._ledger.append(events.WorkerLost(worker=worker.name, pid=pid, device=device, reason=reason))
        phase_run.lose(worker, reason)

    def _announcement(self, ready: messages.Ready) -> events.StudyStarted:
        return events.StudyStarted(
            study=self.study.name,
            corpus=events.CorpusIdentity(
                path=self.study.corpus,
                sha256=self.corpus.sha256,
                characters=len(self.corpus.text),
                vocab_size=len(self.corpus.symbols),
            ),
            versions=_versions(ready.torch),
            host=socket.gethostname(),
            pid=os.getpid(),
            devices=[place.device for place in self.places],
            precision=ready.precision,
        )

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
        unfinished = self.folder.snapshot.with_suffix(".tmp")
        unfinished.write_text(snapshot(self.study, resolve_study(self.study, self.state)), encoding="utf-8")
        os.replace(unfinished, self.folder.snapshot)


def _versions(torch: str) -> dict[str, str]:
    commit = describe_commit()
    known = {"commit": commit} if commit else {}
    return {"litegpt": __version__, **known, "python": platform.python_version(), "torch": torch}
