"""The runner: phases in order, packs to idle workers, and a journal that knows how every trial ended.

One thread takes mail from one queue: what workers say, and requests to interrupt. It never loads torch.
"""

from __future__ import annotations

import os
import platform
import queue
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from litegpt import __version__
from litegpt.plan.corpus import CorpusText
from litegpt.plan.edit import snapshot
from litegpt.plan.packs import pack_trials
from litegpt.plan.phase import Phase
from litegpt.plan.study import Study
from litegpt.plan.trial import Trial
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, JournalReader
from litegpt.results.state import StudyState
from litegpt.run import messages
from litegpt.run.devices import WorkerPlace
from litegpt.run.phases import is_complete, planning_events, resolve_study, reuse_results
from litegpt.run.workers import Lost, Mail, Worker, Workers

ATTEMPTS = 3  # workers that may die under a trial before it has failed
STILLBORN_WORKERS = 3  # in a row, that ended before they were ready: then something is wrong with the machine
TICK_SECONDS = 0.25  # how often the view is refreshed while nothing happens


class RunnerError(Exception):
    """The run cannot go on; what is done is in the journal."""


@dataclass
class RunningTrial:
    """What the workers last said of a trial at work."""

    phase: str
    settings: Trial
    step: int = 0
    val_loss: float | None = None
    tokens_per_second: float | None = None


@dataclass
class _Assignment:
    """A pack at work on a worker."""

    phase: str
    name: str
    trials: dict[str, Trial] = field(default_factory=dict)  # those that have not ended, by id


class Runner:
    """Runs a study's phases to their end. Read `state`, `running` and `interrupted` to show how far it is."""

    def __init__(
        self,
        study: Study,
        corpus: CorpusText,
        folder: StudyFolder,
        places: Sequence[WorkerPlace],
        *,
        phases: Sequence[str] | None = None,
        pack_width: Callable[[Trial, WorkerPlace], int] = lambda trial, place: 1,
        observe: Callable[[Runner], None] = lambda runner: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.corpus, self.folder, self.places = study, corpus, folder, places
        self.phases = [phase for phase in study.phases if phases is None or phase.name in phases]
        self._reader = JournalReader(folder.journal)
        self._reader.poll()
        self.running: dict[tuple[str, str], RunningTrial] = {}
        self.interrupted = False
        self.started = clock()
        self._pack_width, self._observe, self._clock = pack_width, observe, clock
        self._mail: queue.SimpleQueue[Mail | signal.Signals] = queue.SimpleQueue()  # its put may interrupt its get
        self._workers = Workers(folder.log, self._mail.put)
        self._assignments: dict[str, _Assignment] = {}  # by worker
        self._lost_workers: Counter[tuple[str, str]] = Counter()  # by trial
        self._stillborn = 0
        self._packs = 0
        self._announced = False

    @property
    def state(self) -> StudyState:
        """What the journal says: the runner knows no other truth."""
        return self._reader.state

    def interrupt(self, number: signal.Signals) -> None:
        """Ask the run to stop: once, with checkpoints; a second time, at once. May be called by a signal handler."""
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
        """Run until every trial has ended, or until interrupted. Raises InputError and RunnerError."""
        with Journal(self.folder.journal, self.study.name) as self._journal:
            try:
                for phase in self.phases:
                    self._run_phase(phase)
                    if self.interrupted:
                        break
            finally:
                self._workers.close()
                self._requeue_running("the run was interrupted")
                if self._announced:
                    self._append(self._farewell())
                self._observe(self)

    def _farewell(self) -> events.Event:
        if self.interrupted or not all(is_complete(phase) for phase in self.state.phases.values()):
            return events.StudyInterrupted(reason="interrupted" if self.interrupted else "the runner stopped")
        return events.StudyEnded(seconds=round(self._clock() - self.started, 3))

    def _append(self, *told: events.Event) -> None:
        self._journal.append(*told)
        self._reader.poll()

    def _run_phase(self, phase: Phase) -> None:
        started = self._clock()
        expansion = resolve_study(self.study, self.state).get(phase.name)
        if expansion is None:
            raise RunnerError(
                f"phase '{phase.name}' waits for phase '{phase.source and phase.source.name}'; run that first"
            )
        if not expansion.trials:
            raise RunnerError(f"phase '{phase.name}' has no trials: nothing that it promotes from could be ranked")
        if planned := planning_events(self.state, phase, expansion):
            self._append(*planned)
            self._write_snapshot()
        self._append(*reuse_results(self.state, self.folder, phase.name))
        waiting = [trial.settings for trial in self.state.phases[phase.name].current() if trial.state == "queued"]
        packs = deque(pack_trials(waiting, lambda trial: self._pack_width(trial, self.places[0])))
        while (packs or self._assignments) and not (self.interrupted and not self._assignments):
            if not self.interrupted:
                self._assign(phase, packs)
            self._take_mail(packs)
        state = self.state.phases[phase.name]
        if is_complete(state) and state.ended is None:
            counts = {name: state.counts()[name] for name in ("done", "diverged", "failed", "stopped")}
            seconds = round(self._clock() - started, 3)
            self._append(
                events.PhaseEnded(phase=phase.name, **counts, excluded=len(expansion.excluded), seconds=seconds)
            )

    def _write_snapshot(self) -> None:
        text = snapshot(self.study, resolve_study(self.study, self.state))
        unfinished = self.folder.snapshot.with_suffix(".tmp")
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, self.folder.snapshot)

    def _assign(self, phase: Phase, packs: deque[tuple[Trial, ...]]) -> None:
        """Give packs to idle workers, and start the workers that are wanting."""
        for _ in range(min(len(self.places), len(packs) + len(self._assignments)) - len(self._workers.by_name)):
            taken = Counter(worker.place for worker in self._workers.by_name.values())
            self._workers.start(min(self.places, key=lambda place: taken[place]))
        for worker in self._workers.by_name.values():
            if packs and worker.ready and worker.name not in self._assignments:
                self._send_pack(phase, worker, packs.popleft())

    def _send_pack(self, phase: Phase, worker: Worker, trials: tuple[Trial, ...]) -> None:
        self._packs += 1
        name = f"p{self._packs}"
        assignment = _Assignment(phase.name, name)
        known = self.state.phases[phase.name].trials
        requests, started = [], []
        for trial in trials:
            attempt = known[trial.id].attempt + 1
            assignment.trials[trial.id] = trial
            self.running[phase.name, trial.id] = RunningTrial(phase.name, trial)
            start_from = trial.start_from and str(self.folder.trial(*trial.start_from.split("/")).best)
            requests.append(
                messages.TrialRequest(
                    phase=phase.name,
                    settings=trial.settings(),
                    folder=str(self.folder.trial(phase.name, trial.id).path),
                    attempt=attempt,
                    start_from=start_from,
                )
            )
            started.append(
                events.TrialStarted(
                    phase=phase.name,
                    trial=trial.id,
                    attempt=attempt,
                    worker=worker.name,
                    device=worker.place.device,
                    precision=trial.precision if trial.precision != "auto" else worker.precision,
                    pack=name,
                    pack_width=len(trials),
                )
            )
        self._append(*started)
        self._assignments[worker.name] = assignment
        worker.send(
            messages.TrainPack(
                pack=name,
                corpus=self.study.corpus,
                corpus_base=str(self.study.corpus_base),
                validation_fraction=self.study.validation_fraction,
                trials=requests,
            )
        )

    def _take_mail(self, packs: deque[tuple[Trial, ...]]) -> None:
        try:
            mail = self._mail.get(timeout=TICK_SECONDS)
        except queue.Empty:
            self._observe(self)
            return
        if isinstance(mail, signal.Signals):
            self._interrupt_now()
        elif (worker := self._workers.by_name.get(mail.worker)) is not None:
            self._take_message(worker, mail.message, packs)
        self._observe(self)

    def _interrupt_now(self) -> None:
        if self.interrupted:  # the second time: no checkpoints, no waiting
            self._workers.close(grace_seconds=0)
            self._assignments.clear()
            return
        self.interrupted = True
        for name, assignment in self._assignments.items():
            self._workers.by_name[name].send(messages.StopPack(pack=assignment.name))

    def _take_message(self, worker: Worker, message: object, packs: deque[tuple[Trial, ...]]) -> None:
        match message:
            case messages.Ready():
                self._welcome(worker, message)
            case messages.Unusable():
                raise RunnerError(f"{worker.place.device} cannot be used ({message.reason}); try --device cpu")
            case messages.Alive():
                for trial in message.trials:
                    self._running(worker, trial).step = message.step
            case messages.TrialEvaluated():
                running = self._running(worker, message.trial)
                running.step, running.val_loss = message.step, message.val_loss
                running.tokens_per_second = message.tokens_per_second or running.tokens_per_second
            case messages.TrialOver():
                self._end_trial(worker, message)
            case messages.PackOver():
                assignment = self._assignments.pop(worker.name)
                known = self.state.phases[assignment.phase].trials.values()
                ids = [trial.id for trial in known if trial.pack == assignment.name]
                self._append(
                    events.PackEnded(
                        pack=message.pack,
                        phase=assignment.phase,
                        trials=ids,
                        wall_seconds=round(message.wall_seconds, 6),
                    )
                )
            case Lost():
                self._replace(worker, message, packs)

    def _running(self, worker: Worker, trial: str) -> RunningTrial:
        assignment = self._assignments[worker.name]
        key = (assignment.phase, trial)
        return self.running.get(key) or RunningTrial(assignment.phase, assignment.trials[trial])

    def _welcome(self, worker: Worker, ready: messages.Ready) -> None:
        worker.ready, worker.precision = True, ready.precision
        self._stillborn = 0
        if not self._announced:
            self._announced = True
            self._append(self._announcement(ready))
        self._append(events.WorkerStarted(worker=worker.name, pid=ready.pid, device=ready.device))

    def _announcement(self, ready: messages.Ready) -> events.StudyStarted:
        return events.StudyStarted(
            study=self.study.name,
            corpus=events.CorpusIdentity(
                path=self.study.corpus,
                sha256=self.corpus.sha256,
                characters=len(self.corpus.text),
                vocab_size=len(self.corpus.symbols),
            ),
            versions={"litegpt": __version__, "python": platform.python_version(), "torch": ready.torch},
            host=socket.gethostname(),
            pid=os.getpid(),
            devices=[place.device for place in self.places],
            precision=ready.precision,
        )

    def _end_trial(self, worker: Worker, over: messages.TrialOver) -> None:
        self._assignments[worker.name].trials.pop(over.trial, None)
        self.running.pop((over.phase, over.trial), None)
        attempt = self.state.phases[over.phase].trials[over.trial].attempt
        if over.state == "stopped":
            self._append(
                events.TrialRequeued(
                    phase=over.phase, trial=over.trial, attempt=attempt, reason="the run was interrupted"
                )
            )
            return
        self._append(
            events.TrialEnded(
                phase=over.phase,
                trial=over.trial,
                attempt=attempt,
                state=over.state,  # type: ignore[arg-type]
                reason=over.reason,
                **over.figures,
            )
        )

    def _replace(self, worker: Worker, lost: Lost, packs: deque[tuple[Trial, ...]]) -> None:
        """Put the trials of a dead worker back in the queue, or fail those that have cost too many workers."""
        self._workers.forget(worker.name)
        reason = f"its worker {worker.name} ended (exit status {lost.returncode})"
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN_WORKERS:
                raise RunnerError(f"no worker starts on {worker.place.device}; {self.folder.log} says why")
            return
        self._append(
            events.WorkerLost(worker=worker.name, pid=worker.process.pid, device=worker.place.device, reason=reason)
        )
        assignment = self._assignments.pop(worker.name, None)
        for trial in assignment.trials.values() if assignment else ():
            assert assignment is not None
            key = (assignment.phase, trial.id)
            self.running.pop(key, None)
            self._lost_workers[key] += 1
            attempt = self.state.phases[assignment.phase].trials[trial.id].attempt
            if self._lost_workers[key] < ATTEMPTS:
                self._append(
                    events.TrialRequeued(phase=assignment.phase, trial=trial.id, attempt=attempt, reason=reason)
                )
                packs.appendleft((trial,))
            else:
                self._append(
                    events.TrialEnded(
                        phase=assignment.phase,
                        trial=trial.id,
                        attempt=attempt,
                        state="failed",
                        reason=f"{ATTEMPTS} workers died under it; the last: {reason}",
                    )
                )

    def _requeue_running(self, reason: str) -> None:
        for phase in self.state.phases.values():
            for trial in list(phase.trials.values()):
                if trial.state == "running":
                    self._append(
                        events.TrialRequeued(phase=phase.name, trial=trial.id, attempt=trial.attempt, reason=reason)
                    )
