"""One phase while it runs: which worker trains which pack, and how each trial ends."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from litegpt.errors import InputError
from litegpt.estimate.packs import pack_trials
from litegpt.results import events
from litegpt.results.metric import NO_METRICS, TrialMetrics
from litegpt.results.state import EndState, Failure, PhaseState, TrialState
from litegpt.run.context import RunContext
from litegpt.run.disk import Retention
from litegpt.run.phases import requeued
from litegpt.run.requests import Request
from litegpt.run.workers import Worker, Workers
from litegpt.study.trial import Trial
from litegpt.worker import messages

ATTEMPTS = 3  # a trial fails when this many of its workers have died


@dataclass
class RunningTrial:
    """The latest figures that a worker has sent about a trial."""

    phase: str
    settings: Trial
    step: int = 0
    val_loss: float | None = None
    bits_per_char: float | None = None
    tokens_per_second: float | None = None


@dataclass
class _Assignment:
    """The pack that a worker is training."""

    name: str
    members: tuple[str, ...]  # trial ids
    trials: dict[str, Trial]  # those that have not ended, by id
    resumes: int  # how many pauses had ended when the pack was sent
    stop_requested: bool = False
    unfinished: list[Trial] = field(default_factory=list)  # queued again as one pack when this one is over


class PhaseRun:
    """Gives the queued trials of a phase to workers in packs, and records in the journal how each trial ends."""

    def __init__(self, phase: str, context: RunContext, workers: Workers) -> None:
        self.phase = phase
        self.running: dict[str, RunningTrial] = {}  # by trial id
        self._context = context
        self._journal = context.journal
        self._workers = workers
        self._retention = Retention(context, phase)
        self._assignments: dict[str, _Assignment] = {}  # by worker
        self._lost_workers: Counter[str] = Counter()  # by trial id
        self._stopped_for_good: set[str] = set()  # trial ids
        self._packs: deque[tuple[Trial, ...]] = deque()
        self._enqueue(trial.settings for trial in self.state.current() if trial.state == "queued")
        self._retention.delete_unneeded()

    @property
    def state(self) -> PhaseState:
        """The state of this phase according to the journal."""
        return self._context.state.phases[self.phase]

    @property
    def busy(self) -> Collection[str]:
        """The names of the workers that have a pack."""
        return self._assignments.keys()

    @property
    def is_idle(self) -> bool:
        """Whether no worker has a pack."""
        return not self._assignments

    @property
    def is_over(self) -> bool:
        """Whether no pack is running or queued."""
        return self.is_idle and not self._packs

    def _enqueue(self, trials: Iterable[Trial]) -> None:
        self._packs.extend(pack_trials(trials, self._context.packing.width, len(self._context.packing.slots)))

    def assign(self) -> None:
        """Give packs to idle workers, and start workers while there are more packs than workers."""
        if self._context.state.paused:
            return
        slots = self._context.packing.slots
        missing = min(len(slots), len(self._packs) + len(self._assignments)) - len(self._workers.by_name)
        for _ in range(missing):
            occupied = Counter(worker.slot for worker in self._workers.by_name.values())
            self._workers.start(min(slots, key=lambda slot: occupied[slot]))
        for worker in self._workers.by_name.values():
            if self._packs and worker.is_ready and worker.name not in self._assignments:
                self._send_pack(worker, self._packs.popleft())

    def _send_pack(self, worker: Worker, trials: tuple[Trial, ...]) -> None:
        study, packing = self._context.study, self._context.packing
        name = self._journal.next_pack()
        requests, started = [], []
        for trial in trials:
            attempt = self.state.trials[trial.id].attempt + 1
            self.running[trial.id] = RunningTrial(self.phase, trial)
            requests.append(self._request(trial, attempt))
            started.append(
                events.TrialStarted(
                    phase=self.phase,
                    trial=trial.id,
                    attempt=attempt,
                    worker=worker.name,
                    device=worker.slot.device,
                    precision=trial.precision if trial.precision != "auto" else worker.precision,
                    pack=name,
                    pack_width=len(trials),
                )
            )
        self._journal.append(*started)
        self._assignments[worker.name] = _Assignment(
            name, tuple(trial.id for trial in trials), {trial.id: trial for trial in trials}, self._journal.resumes
        )
        worker.send(
            messages.TrainPack(
                pack=name,
                corpus=study.corpus,
                corpus_base=str(study.corpus_base),
                corpus_sha256=self._context.corpus.sha256,
                split=asdict(study.split),
                trials=requests,
                tuning=asdict(packing.tuning(trials)),
                tune=packing.is_worth_tuning(trials),
            )
        )

    def _request(self, trial: Trial, attempt: int) -> messages.TrialRequest:
        start_from = None
        if trial.start_from is not None:
            source_phase, source_trial = trial.start_from.split("/")
            start_from = str(self._context.folder.trial(source_phase, source_trial).best)
        return messages.TrialRequest(
            phase=self.phase,
            settings=trial.settings(),
            folder=str(self._context.folder.trial(self.phase, trial.id).path),
            attempt=attempt,
            start_from=start_from,
            keep_checkpoint=self._context.study.keep == "all",
        )

    def take(self, worker: Worker, message: messages.Message) -> None:
        """Handle a message about the pack of a worker."""
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
                self._end_attempt(worker, message)
            case messages.PackOver():
                self._end_pack(worker, message)

    def _end_pack(self, worker: Worker, over: messages.PackOver) -> None:
        assignment = self._assignments.pop(worker.name)
        self._put_back(assignment.unfinished)
        seconds = round(over.wall_seconds, 6)
        self._journal.append(
            events.PackEnded(pack=over.pack, phase=self.phase, trials=assignment.members, wall_seconds=seconds)
        )
        self._retention.delete_unneeded()

    def _end_attempt(self, worker: Worker, over: messages.TrialOver) -> None:
        assignment = self._assignments[worker.name]
        trial = assignment.trials.pop(over.trial)
        self.running.pop(trial.id)
        # A worker that stops unasked has received TERM from outside and is about to exit: give it no further pack.
        if over.state == "stopped" and not assignment.stop_requested:
            worker.is_ready = False
        if over.failure in (messages.BAD_CORPUS, messages.DISK, messages.CACHE):
            self._append_requeued(trial, over.reason or over.failure)
            assignment.unfinished.append(trial)
            if over.failure == messages.BAD_CORPUS:
                raise InputError(over.reason or over.failure)
            # A pack sent before the last resume may report the outage that has ended. Then its trials only wait for a
            # new attempt, which fails again if the disk is still broken.
            if assignment.resumes == self._journal.resumes:
                self._pause_for_disk(over)
        elif over.state != "stopped" or trial.id in self._stopped_for_good:
            self._append_end(trial.id, over.state, over.reason, over.failure, over.metrics)
        else:
            is_interrupted = assignment.stop_requested
            self._append_requeued(trial, "the run was interrupted" if is_interrupted else "its worker was ended")
            assignment.unfinished.append(trial)

    def _pause_for_disk(self, over: messages.TrialOver) -> None:
        if over.failure == messages.CACHE:
            self.pause(f"{over.reason} and run it again; `litegpt resume` tries once more")
        else:
            problem = f"the results cannot be written ({over.reason})"
            self.pause(f"{problem}; free space or fix the disk, then `litegpt resume`")

    def _append_end(
        self,
        trial: str,
        state: str,
        reason: str | None,
        failure: str | None = None,
        metrics: TrialMetrics = NO_METRICS,
    ) -> None:
        self._journal.append(
            events.TrialEnded(
                phase=self.phase,
                trial=trial,
                attempt=self.state.trials[trial].attempt,
                state=cast("EndState", state),
                reason=reason,
                failure=cast("Failure | None", failure),
                metrics=metrics,
            )
        )

    def _append_requeued(self, trial: Trial, reason: str) -> None:
        attempt = self.state.trials[trial.id].attempt
        self._journal.append(events.TrialRequeued(phase=self.phase, trial=trial.id, attempt=attempt, reason=reason))

    def _put_back(self, trials: Iterable[Trial]) -> None:
        """Queue trials again as one pack, before all others."""
        pack = tuple(trial for trial in trials if trial.id not in self._stopped_for_good)
        if pack:
            self._packs.appendleft(pack)

    def lose(self, worker: Worker, reason: str) -> None:
        """Queue the trials of a dead worker again; fail those that have lost too many workers."""
        assignment = self._assignments.pop(worker.name, None)
        if assignment is None:
            return
        for trial in assignment.trials.values():
            self.running.pop(trial.id)
            self._lost_workers[trial.id] += 1
            if trial.id in self._stopped_for_good:
                self._append_end(trial.id, "stopped", "it was stopped on request")
            elif self._lost_workers[trial.id] < ATTEMPTS:
                self._append_requeued(trial, reason)
                assignment.unfinished.append(trial)
            else:
                self._append_end(
                    trial.id, "failed", f"{ATTEMPTS} workers died while training it; the last: {reason}", "lost worker"
                )
        self._put_back(assignment.unfinished)

    def stop_packs(self, trials: Iterable[str] | None = None) -> None:
        """Tell packs to write checkpoints and end: those that contain any of `trials`, or all of them by default."""
        chosen = None if trials is None else set(trials)
        for name, assignment in self._assignments.items():
            if chosen is None or chosen & assignment.trials.keys():
                assignment.stop_requested = True
                self._workers.by_name[name].send(messages.StopPack(pack=assignment.name))

    def drop_packs(self) -> None:
        """Forget the running packs, whose workers have been ended."""
        self._assignments.clear()
        self.running.clear()

    def pause(self, reason: str) -> None:
        """Let the packs write checkpoints, and start no other until the user resumes."""
        if self._context.state.paused or self._journal.pause(reason):
            self.stop_packs()

    def act(self, request: Request) -> None:
        """Carry out a request: stop or retry trials, pause or resume the run."""
        match request.kind:
            case "pause":
                self.pause("on request; `litegpt resume` continues")
            case "resume" if self._context.state.paused:
                self._journal.resume()
            case "stop":
                self._stop_trials([trial.id for trial in self._named(request) if not trial.is_ended])
            case "retry":
                retried = requeued(self._context.state, request, self.phase)
                self._journal.append(*retried)
                for event in retried:
                    self._lost_workers.pop(event.trial, None)
                    self._stopped_for_good.discard(event.trial)
                    self._put_back([self.state.trials[event.trial].settings])

    def _named(self, request: Request) -> list[TrialState]:
        return [trial for trial in self.state.current() if request.names(self.phase, trial.id)]

    def _stop_trials(self, trials: Sequence[str]) -> None:
        self._stopped_for_good.update(trials)
        kept = [tuple(trial for trial in pack if trial.id not in self._stopped_for_good) for pack in self._packs]
        self._packs = deque(pack for pack in kept if pack)
        for trial in trials:
            if trial not in self.running:
                self._append_end(trial, "stopped", "it was stopped on request")
        self.stop_packs(trials)
