"""One phase at work: its packs, which worker has which, and what becomes of the trials."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field

from litegpt.errors import InputError
from litegpt.estimate.packs import pack_trials
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.state import PhaseState, TrialState
from litegpt.run.devices import WorkerPlace
from litegpt.run.disk import Retention
from litegpt.run.ledger import Ledger
from litegpt.run.packing import Packing
from litegpt.run.phases import requeued
from litegpt.run.requests import Request
from litegpt.run.workers import Worker, Workers
from litegpt.study.study import Study
from litegpt.study.trial import Trial
from litegpt.worker import messages

ATTEMPTS = 3  # workers that may die under a trial before it has failed


@dataclass
class RunningTrial:
    """What the workers last said of a trial at work."""

    phase: str
    settings: Trial
    step: int = 0
    val_loss: float | None = None
    bits_per_char: float | None = None
    tokens_per_second: float | None = None


@dataclass
class _Assignment:
    """A pack at work on a worker."""

    name: str
    members: tuple[str, ...]  # ids
    trials: dict[str, Trial]  # those that have not ended, by id
    stop_asked: bool = False
    again: list[Trial] = field(default_factory=list)  # those to go on with, together, when the pack is over


class PhaseRun:
    """Gives a phase's queued trials to workers as packs, and writes into the ledger how each of them ends."""

    def __init__(
        self,
        phase: str,
        study: Study,
        folder: StudyFolder,
        ledger: Ledger,
        workers: Workers,
        places: Sequence[WorkerPlace],
        packing: Packing,
        corpus_sha256: str,
    ) -> None:
        self.phase, self.running = phase, dict[str, RunningTrial]()  # by trial id
        self._retention = Retention(study, folder, phase)
        self._study, self._folder, self._ledger = study, folder, ledger
        self._workers, self._places, self._packing = workers, places, packing
        self._corpus_sha256 = corpus_sha256
        self._assignments: dict[str, _Assignment] = {}  # by worker
        self._lost_workers: Counter[str] = Counter()  # by trial id
        self._to_stop: set[str] = set()  # trials that somebody wants stopped for good
        self._packs: deque[tuple[Trial, ...]] = deque()
        self._enqueue(trial.settings for trial in self.state.current() if trial.is_waiting)
        self._retention.tidy(ledger.state)

    @property
    def state(self) -> PhaseState:
        """What the journal says of this phase."""
        return self._ledger.state.phases[self.phase]

    @property
    def busy(self) -> Collection[str]:
        """The workers that have a pack."""
        return self._assignments.keys()

    @property
    def is_idle(self) -> bool:
        """Whether no pack is at work."""
        return not self._assignments

    @property
    def is_over(self) -> bool:
        """Whether nothing is at work and nothing waits."""
        return self.is_idle and not self._packs

    def _enqueue(self, trials: Iterable[Trial]) -> None:
        self._packs.extend(pack_trials(trials, self._packing.width, len(self._places)))

    def assign(self) -> None:
        """Give packs to idle workers, and start the workers that are wanting."""
        if self._ledger.state.paused:
            return
        wanted = min(len(self._places), len(self._packs) + len(self._assignments))
        for _ in range(wanted - len(self._workers.by_name)):
            taken = Counter(worker.place for worker in self._workers.by_name.values())
            self._workers.start(min(self._places, key=lambda place: taken[place]))
        for worker in self._workers.by_name.values():
            if self._packs and worker.ready and worker.name not in self._assignments:
                self._send_pack(worker, self._packs.popleft())

    def _send_pack(self, worker: Worker, trials: tuple[Trial, ...]) -> None:
        known = self.state.trials
        name = self._ledger.next_pack()
        requests, started = [], []
        for trial in trials:
            attempt = known[trial.id].attempt + 1
            self.running[trial.id] = RunningTrial(self.phase, trial)
            requests.append(self._request(trial, attempt))
            started.append(
                events.TrialStarted(
                    phase=self.phase,
                    trial=trial.id,
                    attempt=attempt,
                    worker=worker.name,
                    device=worker.place.device,
                    precision=trial.precision if trial.precision != "auto" else worker.precision,
                    pack=name,
                    pack_width=len(trials),
                )
            )
        self._ledger.append(*started)
        self._assignments[worker.name] = _Assignment(
            name, tuple(trial.id for trial in trials), {trial.id: trial for trial in trials}
        )
        worker.send(
            messages.TrainPack(
                pack=name,
                corpus=self._study.corpus,
                corpus_base=str(self._study.corpus_base),
                corpus_sha256=self._corpus_sha256,
                split=asdict(self._study.split),
                trials=requests,
                tuning=asdict(self._packing.tuning(trials)),
                tune=self._packing.is_worth_tuning(trials),
            )
        )

    def _request(self, trial: Trial, attempt: int) -> messages.TrialRequest:
        start_from = None
        if trial.start_from is not None:
            source_phase, source_trial = trial.start_from.split("/")
            start_from = str(self._folder.trial(source_phase, source_trial).best)
        return messages.TrialRequest(
            phase=self.phase,
            settings=trial.settings(),
            folder=str(self._folder.trial(self.phase, trial.id).path),
            attempt=attempt,
            start_from=start_from,
        )

    def take(self, worker: Worker, message: messages.Message) -> None:
        """Take note of what a worker says of its pack."""
        match message:
            case messages.Alive():
                for trial in message.trials:
                    if trial in self.running:
                        self.running[trial].step = message.step
            case messages.TrialEvaluated() if message.trial in self.running:
                running = self.running[message.trial]
                running.step, running.val_loss = message.step, message.val_loss
                running.bits_per_char = message.bits_per_char
                running.tokens_per_second = message.tokens_per_second or running.tokens_per_second
            case messages.TrialOver():
                self._end(worker, message)
            case messages.PackOver():
                over = self._assignments.pop(worker.name)
                self._put_back(over.again)
                seconds = round(message.wall_seconds, 6)
                self._ledger.append(
                    events.PackEnded(pack=message.pack, phase=self.phase, trials=over.members, wall_seconds=seconds)
                )
                self._retention.tidy(self._ledger.state)

    def _end(self, worker: Worker, over: messages.TrialOver) -> None:
        assignment = self._assignments[worker.name]
        trial = assignment.trials.pop(over.trial)
        self.running.pop(trial.id)
        if over.state == "stopped" and not assignment.stop_asked:
            worker.ready = False  # it was told to leave by somebody else, and is about to
        if over.failure in (messages.BAD_CORPUS, messages.DISK, messages.CACHE):
            self._append_requeued(trial, over.reason or over.failure)
            assignment.again.append(trial)
            if over.failure == messages.BAD_CORPUS:
                raise InputError(over.reason or over.failure)
            if over.failure == messages.CACHE:
                self.pause(f"{over.reason} and run it again; `litegpt resume` tries once more")
            else:
                self.pause(f"the results cannot be written ({over.reason}); mend that, then `litegpt resume`")
        elif over.state != "stopped" or trial.id in self._to_stop:
            self._append_end(trial.id, over.state, over.reason, over.failure, **over.figures)
        else:
            asked = assignment.stop_asked
            self._append_requeued(trial, "the run was interrupted" if asked else "its worker was told to leave")
            assignment.again.append(trial)

    def _append_end(
        self, trial: str, state: str, reason: str | None, failure: str | None = None, **figures: object
    ) -> None:
        attempt = self.state.trials[trial].attempt
        record = {"phase": self.phase, "trial": trial, "attempt": attempt, "state": state, **figures}
        record |= {"reason": reason, "failure": failure}
        self._ledger.append(events.TrialEnded(**record))  # type: ignore[arg-type]  # a worker's figures, checked there

    def _append_requeued(self, trial: Trial, reason: str) -> None:
        attempt = self.state.trials[trial.id].attempt
        self._ledger.append(events.TrialRequeued(phase=self.phase, trial=trial.id, attempt=attempt, reason=reason))

    def _put_back(self, trials: Iterable[Trial]) -> None:
        """Put trials back in the queue, before all others; a pack stays a pack."""
        waiting = tuple(trial for trial in trials if trial.id not in self._to_stop)
        if waiting:
            self._packs.appendleft(waiting)

    def lose(self, worker: Worker, reason: str) -> None:
        """Put the trials of a dead worker back in the queue, or fail those that have cost too many workers."""
        assignment = self._assignments.pop(worker.name, None)
        if assignment is None:
            return
        for trial in assignment.trials.values():
            self.running.pop(trial.id)
            self._lost_workers[trial.id] += 1
            if trial.id in self._to_stop:
                self._append_end(trial.id, "stopped", "it was stopped on request")
            elif self._lost_workers[trial.id] < ATTEMPTS:
                self._append_requeued(trial, reason)
                assignment.again.append(trial)
            else:
                self._append_end(
                    trial.id, "failed", f"{ATTEMPTS} workers died under it; the last: {reason}", "lost worker"
                )
        self._put_back(assignment.again)

    def stop_packs(self, trials: Iterable[str] | None = None) -> None:
        """Ask for checkpoints and an end of the packs that hold any of `trials`; of all packs where that is None."""
        wanted = None if trials is None else set(trials)
        for name, assignment in self._assignments.items():
            if wanted is None or wanted & assignment.trials.keys():
                assignment.stop_asked = True
                self._workers.by_name[name].send(messages.StopPack(pack=assignment.name))

    def drop_packs(self) -> None:
        """Forget the packs at work: their workers have been ended."""
        self._assignments.clear()
        self.running.clear()

    def pause(self, reason: str) -> None:
        """Write checkpoints and wait until somebody resumes."""
        if not self._ledger.state.paused:
            self._ledger.append(events.StudyPaused(reason=reason))
        self.stop_packs()

    def act(self, request: Request) -> None:
        """Do what was asked: stop or retry trials, pause or resume the whole phase."""
        match request.kind:
            case "pause":
                self.pause("somebody asked for it; `litegpt resume` goes on")
            case "resume" if self._ledger.state.paused:
                self._ledger.append(events.StudyResumed())
            case "stop":
                self._stop_trials([trial.id for trial in self._meant(request) if not trial.is_ended])
            case "retry":
                again = requeued(self._ledger.state, request, self.phase)
                self._ledger.append(*again)
                for event in again:
                    self._lost_workers.pop(event.trial, None)
                    self._to_stop.discard(event.trial)
                    self._put_back([self.state.trials[event.trial].settings])

    def _meant(self, request: Request) -> list[TrialState]:
        return [trial for trial in self.state.current() if request.names(self.phase, trial.id)]

    def _stop_trials(self, trials: Sequence[str]) -> None:
        self._to_stop.update(trials)
        kept = [tuple(trial for trial in pack if trial.id not in self._to_stop) for pack in self._packs]
        self._packs = deque(pack for pack in kept if pack)
        for trial in trials:
            if trial not in self.running:
                self._append_end(trial, "stopped", "it was stopped on request")
        self.stop_packs(trials)
