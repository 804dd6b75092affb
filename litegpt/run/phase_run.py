"""One phase at work: its packs, which worker has which, and what becomes of the trials."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from litegpt.plan.packs import pack_trials
from litegpt.plan.study import Study
from litegpt.plan.trial import Trial
from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.state import PhaseState, TrialState
from litegpt.run import messages
from litegpt.run.devices import WorkerPlace
from litegpt.run.ledger import Ledger
from litegpt.run.requests import Request
from litegpt.run.workers import Worker, Workers

ATTEMPTS = 3  # workers that may die under a trial before it has failed


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

    name: str
    members: tuple[str, ...]  # ids
    trials: dict[str, Trial]  # those that have not ended, by id
    stop_asked: bool = False


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
        pack_width: Callable[[Trial, WorkerPlace], int],
        corpus_sha256: str,
    ) -> None:
        self.phase, self.running = phase, dict[str, RunningTrial]()  # by trial id
        self.paused = False
        self._study, self._folder, self._ledger = study, folder, ledger
        self._workers, self._places, self._pack_width = workers, places, pack_width
        self._corpus_sha256 = corpus_sha256
        self._assignments: dict[str, _Assignment] = {}  # by worker
        self._lost_workers: Counter[str] = Counter()  # by trial id
        self._to_stop: set[str] = set()  # trials that somebody wants stopped for good
        self._packs: deque[tuple[Trial, ...]] = deque()
        self._enqueue(trial.settings for trial in self.state.current() if trial.state == "queued")

    @property
    def state(self) -> PhaseState:
        """What the journal says of this phase."""
        return self._ledger.state.phases[self.phase]

    @property
    def is_idle(self) -> bool:
        """Whether no pack is at work."""
        return not self._assignments

    @property
    def is_over(self) -> bool:
        """Whether nothing is at work and nothing waits."""
        return self.is_idle and not self._packs

    def _enqueue(self, trials: Iterable[Trial]) -> None:
        self._packs.extend(pack_trials(trials, lambda trial: self._pack_width(trial, self._places[0])))

    def assign(self) -> None:
        """Give packs to idle workers, and start the workers that are wanting."""
        if self.paused:
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
                validation_fraction=self._study.validation_fraction,
                trials=requests,
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
                running.tokens_per_second = message.tokens_per_second or running.tokens_per_second
            case messages.TrialOver():
                self._end(worker, message)
            case messages.PackOver():
                members = self._assignments.pop(worker.name).members
                seconds = round(message.wall_seconds, 6)
                self._ledger.append(
                    events.PackEnded(pack=message.pack, phase=self.phase, trials=members, wall_seconds=seconds)
                )

    def _end(self, worker: Worker, over: messages.TrialOver) -> None:
        assignment = self._assignments[worker.name]
        trial = assignment.trials.pop(over.trial)
        self.running.pop(trial.id)
        if over.state == "stopped" and not assignment.stop_asked:
            worker.ready = False  # it was told to leave by somebody else, and is about to
        if over.state != "stopped" or trial.id in self._to_stop:
            self._append_end(trial.id, over.state, over.reason, **over.figures)
        else:
            self._requeue([trial], "the run was interrupted")

    def _append_end(self, trial: str, state: str, reason: str | None, **figures: object) -> None:
        attempt = self.state.trials[trial].attempt
        record = {"phase": self.phase, "trial": trial, "attempt": attempt, "state": state, "reason": reason, **figures}
        self._ledger.append(events.TrialEnded(**record))  # type: ignore[arg-type]  # a worker's figures, checked there

    def _requeue(self, trials: Sequence[Trial], reason: str) -> None:
        """Put trials back in the queue, before all others; a pack stays a pack."""
        for trial in trials:
            attempt = self.state.trials[trial.id].attempt
            self._ledger.append(events.TrialRequeued(phase=self.phase, trial=trial.id, attempt=attempt, reason=reason))
        if trials:
            self._packs.appendleft(tuple(trials))

    def lose(self, worker: Worker, reason: str) -> None:
        """Put the trials of a dead worker back in the queue, or fail those that have cost too many workers."""
        assignment = self._assignments.pop(worker.name, None)
        again = []
        for trial in assignment.trials.values() if assignment else ():
            self.running.pop(trial.id)
            self._lost_workers[trial.id] += 1
            if self._lost_workers[trial.id] < ATTEMPTS:
                again.append(trial)
            else:
                self._append_end(trial.id, "failed", f"{ATTEMPTS} workers died under it; the last: {reason}")
        self._requeue(again, reason)

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

    def act(self, request: Request) -> None:
        """Do what was asked: stop or retry trials, pause or resume the whole phase."""
        match request.kind:
            case "pause":
                self.paused = True
                self.stop_packs()
            case "resume":
                self.paused = False
            case "stop":
                self._stop_trials([trial.id for trial in self._meant(request) if trial.state in ("queued", "running")])
            case "retry":
                again = [trial for trial in self._meant(request) if trial.state in ("diverged", "failed", "stopped")]
                for trial in again:
                    self._lost_workers.pop(trial.id, None)
                    self._to_stop.discard(trial.id)
                    self._requeue([trial.settings], "it was asked for again")

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
