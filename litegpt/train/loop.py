"""The training loop: advances a pack, evaluates it, writes checkpoints, and reports to a callback."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from litegpt.study.evaluation import evaluation_steps
from litegpt.train.checkpoint import (
    Progress,
    read_checkpoint,
    restore_weights,
    save_checkpoint,
    save_state,
    save_weights,
)
from litegpt.train.optimizer import learning_rate
from litegpt.train.pack import Pack
from litegpt.train.tokenizer import Tokenizer

HEARTBEAT_SECONDS = 0.5
CHECKPOINT_SECONDS = 60.0  # at least this long before the first checkpoint, and between two
CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints during training
LONG_EVALUATION_SECONDS = 2.0  # a checkpoint before a shorter evaluation would not pay


@dataclass(frozen=True)
class TrialFiles:
    """The paths of one trial's checkpoints."""

    checkpoint: Path
    best: Path
    keeps_checkpoint: bool = False  # whether a trial that has ended keeps its optimizer's state, too


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of the trial at `index` of the pack; losses that are not finite are None."""

    index: int
    step: int
    train_loss: float | None
    val_loss: float | None
    final_loss: float | None  # of the last minibatch; None before the first update
    seconds: float  # the trial's cost so far: the pack's time is divided by its width
    tokens_per_second: float | None
    learning_rate: float
    loss_scale: float | None
    skipped_steps: int | None
    pack_width: int  # the number of trials that shared the time


@dataclass(frozen=True)
class Ended:
    """The end of the trial at `index`: 'done', 'diverged', or 'stopped' on request with a checkpoint to resume from."""

    index: int
    state: str
    evaluation: Evaluated | None
    progress: Progress

    @property
    def best_was_earlier(self) -> bool:
        """Return whether the best validation loss came before the last evaluation."""
        best = self.progress.best_val_step
        return best is not None and (self.evaluation is None or best != self.evaluation.step)


@dataclass(frozen=True)
class Beat:
    """A sign of life: the pack has made `step` updates."""

    step: int


class _StopRequestedError(Exception):
    """The training is to stop before its end."""


class Training:
    """The training of one pack, from its current step to the end or to a stop request.

    `report` is called with Evaluated, Ended and Beat events. Checkpoints are written about once per minute, or more
    rarely if they take long, and before an evaluation that takes longer than the unsaved training. An evaluation may be
    repeated after a resume. The checkpoints contain the `tokenizer`.
    """

    def __init__(
        self,
        pack: Pack,
        files: Sequence[TrialFiles],
        tokenizer: Tokenizer,
        report: Callable[[Evaluated | Ended | Beat], None],
        progress: Sequence[Progress] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.pack = pack
        self.files = list(files)
        self.tokenizer = tokenizer
        self.report = report
        self.clock = clock
        self.indices = list(range(len(pack.trials)))  # each row's index in the original pack, which events carry
        self.progress = list(progress or (Progress() for _ in pack.trials))
        self.pack.step = self.progress[0].step
        self.best: Tensor | None = None  # [P, N], the weights at each trial's best validation loss so far
        self._best_in_memory = [False] * len(pack.trials)  # whether the row of `best` is set
        self._best_unsaved = [False] * len(pack.trials)
        self._evaluations: list[Evaluated | None] = [None] * len(pack.trials)
        self._evaluated_step = pack.step
        self._evaluation_seconds = 0.0  # of the last evaluation
        self._share = 0.0  # of each trial in the time since the last evaluation
        self._mark = clock()  # the time up to here has been charged to the trials
        self._unsaved_since = self._mark  # the time of the last checkpoints, plus that of evaluations since then
        self._checkpoint_due = self._mark + CHECKPOINT_SECONDS
        self._beat_due = self._mark
        self._should_stop: Callable[[], bool] = lambda: False

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the last step. If `should_stop` returns true, write checkpoints and end the trials as 'stopped'."""
        self._should_stop = should_stop
        try:
            self._train()
        except _StopRequestedError:
            self._account_time()
            self._save()
            self._end("stopped")
        else:
            self._save_ended(range(len(self.pack.trials)))
            self._end("done")
        finally:
            self.pack.release_graph()

    def _train(self) -> None:
        """Train until the last evaluation. Raises _StopRequestedError."""
        evaluate_at = set(evaluation_steps(self.pack.trials[0]))
        last = self.pack.trials[0].max_iters
        while True:
            if self.pack.step in evaluate_at:
                self._save_before_evaluation()
                self._evaluate()
                if self.pack.step == last or not self.pack.alive.any():
                    return
                self._compact()
            if self._should_stop():
                raise _StopRequestedError
            self.pack.advance()
            self._beat()
            if self.clock() >= self._checkpoint_due:
                self._account_time()
                self._save()

    def _account_time(self) -> None:
        """Charge each trial its share of the time since the last call."""
        now = self.clock()
        share = (now - self._mark) / len(self.pack.trials)
        self._mark = now
        self._share += share
        for progress in self.progress:
            progress.seconds += share
            progress.step = self.pack.step

    def _evaluate(self) -> None:
        pack, step = self.pack, self.pack.step
        started = self.clock()
        losses = pack.evaluate(self._beat_or_stop)
        pack.alive &= losses[0].isfinite() & losses[1].isfinite()  # a trial may have diverged in the last update
        train_losses, val_losses = (split.tolist() for split in losses)
        final_losses = pack.minibatch_losses.tolist()
        alive = pack.alive.tolist()
        self._evaluation_seconds = self.clock() - started
        self._unsaved_since += self._evaluation_seconds
        self._account_time()
        first = pack.trials[0]
        tokens = (step - self._evaluated_step) * first.batch_size * first.block_size
        tokens_per_second = tokens / self._share if tokens else None
        self._evaluated_step, self._share = step, 0.0
        for index, trial in enumerate(pack.trials):
            scale = pack.loss_scale
            evaluation = Evaluated(
                index=self.indices[index],
                step=step,
                train_loss=_finite(train_losses[index]) if alive[index] else None,
                val_loss=_finite(val_losses[index]) if alive[index] else None,
                final_loss=_finite(final_losses[index]),
                seconds=self.progress[index].seconds,
                tokens_per_second=tokens_per_second,
                learning_rate=learning_rate(trial, max(0, step - 1)),
                loss_scale=None if scale is None else float(scale.scale[index]),
                skipped_steps=None if scale is None else int(scale.skipped[index]),
                pack_width=len(pack.trials),
            )
            self._evaluations[index] = evaluation
            self._keep_best(index, evaluation)
            self.report(evaluation)

    def _keep_best(self, index: int, evaluation: Evaluated) -> None:
        progress, loss = self.progress[index], evaluation.val_loss
        if loss is None or (progress.best_val_loss is not None and loss >= progress.best_val_loss):
            return
        progress.best_val_loss, progress.best_val_step = loss, evaluation.step
        if self.best is None:
            self.best = self.pack.model.weights.clone()
        self.best[index] = self.pack.model.weights[index]
        self._best_in_memory[index] = True
        self._best_unsaved[index] = True

    @torch.no_grad()
    def restore_best(self, row: int) -> None:
        """Replace a trial's weights by its best ones, which may come from an earlier attempt."""
        if self.best is not None and self._best_in_memory[row]:
            self.pack.model.weights[row] = self.best[row]
        else:
            restore_weights(self.pack, row, read_checkpoint(self.files[row].best))

    def _compact(self) -> None:
        """End the diverged trials once they are half of the pack, and continue with a narrower pack of the others."""
        alive = self.pack.alive.tolist()
        rows = [row for row, is_alive in enumerate(alive) if is_alive]
        if len(rows) > len(alive) / 2:
            return
        diverged = [row for row, is_alive in enumerate(alive) if not is_alive]
        self._save_ended(diverged)
        for row in diverged:
            self._report_end(row, "diverged")
        self.pack = self.pack.keep(rows)
        self.best = None if self.best is None else self.best[rows]
        self.files = [self.files[row] for row in rows]
        self.indices = [self.indices[row] for row in rows]
        self.progress = [self.progress[row] for row in rows]
        self._best_in_memory = [self._best_in_memory[row] for row in rows]
        self._best_unsaved = [self._best_unsaved[row] for row in rows]
        self._evaluations = [self._evaluations[row] for row in rows]

    def _save_before_evaluation(self) -> None:
        """Write checkpoints if the evaluation will probably take longer than the training that a kill would lose."""
        unsaved_seconds = self.clock() - self._unsaved_since
        if self.pack.step and self._evaluation_seconds > max(LONG_EVALUATION_SECONDS, unsaved_seconds):
            self._account_time()
            self._save()

    def _save(self) -> None:
        """Write the checkpoints of all trials, and decide when the next ones are due."""
        started = self.clock()
        for row, files in enumerate(self.files):
            self._save_best(row)
            save_checkpoint(self.pack, row, self.progress[row], self.tokenizer, files.checkpoint)
        self._unsaved_since = self.clock()
        seconds = max(CHECKPOINT_SECONDS, (self._unsaved_since - started) / CHECKPOINT_SHARE)
        self._checkpoint_due = self._unsaved_since + seconds

    def _save_ended(self, rows: Iterable[int]) -> None:
        """Write the best weights and the state of trials that have ended, and a checkpoint if they keep it."""
        for row in rows:
            self._save_best(row)
            files = self.files[row]
            if files.keeps_checkpoint:
                save_checkpoint(self.pack, row, self.progress[row], self.tokenizer, files.checkpoint)
            else:
                state = files.checkpoint.with_name("state.json")
                save_state(self.pack, row, self.progress[row], self.tokenizer, state)

    def _save_best(self, row: int) -> None:
        if self._best_unsaved[row] and self.best is not None:
            progress = self.progress[row]
            at_best = replace(progress, step=progress.best_val_step or 0)
            save_weights(self.pack, row, self.best, at_best, self.tokenizer, self.files[row].best)
            self._best_unsaved[row] = False

    def _end(self, state: str) -> None:
        self._account_time()
        for row, alive in enumerate(self.pack.alive.tolist()):
            self._report_end(row, state if alive else "diverged")

    def _report_end(self, row: int, state: str) -> None:
        self.report(Ended(self.indices[row], state, self._evaluations[row], self.progress[row]))

    def _beat_or_stop(self) -> None:
        """Report a sign of life; raise _StopRequestedError on request."""
        self._beat()
        if self._should_stop():
            raise _StopRequestedError

    def _beat(self) -> None:
        now = self.clock()
        if now >= self._beat_due:
            self._beat_due = now + HEARTBEAT_SECONDS
            self.report(Beat(self.pack.step))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
