"""The training loop: advances a pack, evaluates it, writes checkpoints, and reports to a callback."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from litegpt.study.evaluation import evaluation_steps
from litegpt.train.checkpoint import Progress, save_checkpoint, save_weights
from litegpt.train.optimizer import learning_rate
from litegpt.train.pack import Pack
from litegpt.train.tokenizer import Tokenizer

HEARTBEAT_SECONDS = 0.5
CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints during training


@dataclass(frozen=True)
class TrialFiles:
    """The paths of one trial's checkpoints."""

    checkpoint: Path
    best: Path


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


class Training:
    """The training of one pack, from its current step to the end or to a stop request.

    `report` is called with Evaluated, Ended and Beat events. An evaluation is reported before the checkpoint that
    contains it is written, so it may be repeated after a resume. The checkpoints contain the `tokenizer`.
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
        self._best_unsaved = [False] * len(pack.trials)
        self._evaluations: list[Evaluated | None] = [None] * len(pack.trials)
        self._mark = clock()  # the time up to here has been charged to the trials
        self._mark_step = pack.step
        self._checkpoint_due = self._mark
        self._beat_due = self._mark

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the last step. If `should_stop` returns true, write checkpoints and end the trials as 'stopped'."""
        pack = self.pack
        evaluate_at = set(evaluation_steps(pack.trials[0]))
        last = pack.trials[0].max_iters
        while True:
            if pack.step in evaluate_at:
                self._evaluate()
                if pack.step == last or not pack.alive.any():
                    break
                self._save_if_due()
                pack = self._compact()
            if should_stop():
                self._account_time()
                self._save()
                self._end("stopped")
                return
            pack.advance()
            self._beat()
        self._save()
        self._end("done")

    def _account_time(self) -> float:
        """Charge each trial its share of the time since the last call; return that share in seconds."""
        now = self.clock()
        share = (now - self._mark) / len(self.pack.trials)
        self._mark = now
        for progress in self.progress:
            progress.seconds += share
            progress.step = self.pack.step
        return share

    def _evaluate(self) -> None:
        pack, step = self.pack, self.pack.step
        losses = pack.evaluate()
        pack.alive &= losses[0].isfinite() & losses[1].isfinite()  # a trial may have diverged in the last update
        train_losses, val_losses = (split.tolist() for split in losses)
        final_losses = pack.minibatch_losses.tolist()
        alive = pack.alive.tolist()
        share = self._account_time()
        first = pack.trials[0]
        tokens = (step - self._mark_step) * first.batch_size * first.block_size
        self._mark_step = step
        for index, trial in enumerate(pack.trials):
            scale = pack.loss_scale
            evaluation = Evaluated(
                index=self.indices[index],
                step=step,
                train_loss=_finite(train_losses[index]) if alive[index] else None,
                val_loss=_finite(val_losses[index]) if alive[index] else None,
                final_loss=_finite(final_losses[index]),
                seconds=self.progress[index].seconds,
                tokens_per_second=tokens / share if tokens else None,
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
        self._best_unsaved[index] = True

    def _compact(self) -> Pack:
        """End the diverged trials once they are half of the pack, and return a narrower pack of the others."""
        alive = self.pack.alive.tolist()
        rows = [row for row, is_alive in enumerate(alive) if is_alive]
        if len(rows) > len(alive) / 2:
            return self.pack
        self._save()
        for row in set(range(len(alive))) - set(rows):
            self._report_end(row, "diverged")
        self.pack = self.pack.keep(rows)
        self.best = None if self.best is None else self.best[rows]
        self.files = [self.files[row] for row in rows]
        self.indices = [self.indices[row] for row in rows]
        self.progress = [self.progress[row] for row in rows]
        self._best_unsaved = [self._best_unsaved[row] for row in rows]
        self._evaluations = [self._evaluations[row] for row in rows]
        return self.pack

    def _save_if_due(self) -> None:
        """Write checkpoints, if the last ones are long enough ago for CHECKPOINT_SHARE."""
        started = self.clock()
        if self.pack.step and started >= self._checkpoint_due:
            self._save()
            now = self.clock()
            self._checkpoint_due = now + (now - started) / CHECKPOINT_SHARE

    def _save(self) -> None:
        for index, files in enumerate(self.files):
            progress = self.progress[index]
            if self._best_unsaved[index] and self.best is not None:
                at_best = replace(progress, step=progress.best_val_step or 0)
                save_weights(self.pack, index, self.best, at_best, self.tokenizer, files.best)
                self._best_unsaved[index] = False
            save_checkpoint(self.pack, index, progress, self.tokenizer, files.checkpoint)

    def _end(self, state: str) -> None:
        self._account_time()
        for row, alive in enumerate(self.pack.alive.tolist()):
            self._report_end(row, state if alive else "diverged")

    def _report_end(self, row: int, state: str) -> None:
        self.report(Ended(self.indices[row], state, self._evaluations[row], self.progress[row]))

    def _beat(self) -> None:
        now = self.clock()
        if now >= self._beat_due:
            self._beat_due = now + HEARTBEAT_SECONDS
            self.report(Beat(self.pack.step))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
