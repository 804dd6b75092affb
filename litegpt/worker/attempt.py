"""One attempt at a trial: its metrics, samples and checkpoints, and its report to the runner."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import write_whole
from litegpt.results.folder import TrialFolder
from litegpt.results.metric import NO_METRICS, TrialMetrics, bits_per_char
from litegpt.results.metrics import Evaluation, MetricsWriter
from litegpt.results.samples import Copied, Sample, append_sample, read_samples
from litegpt.study.trial import Trial
from litegpt.train.checkpoint import Checkpoint, Progress, read_checkpoint, read_weights, restore, restore_weights
from litegpt.train.loop import Ended, Evaluated, TrialFiles
from litegpt.train.pack import Pack, is_out_of_memory
from litegpt.train.tokenizer import Tokenizer
from litegpt.train.tokens import CacheError
from litegpt.worker.messages import (
    BAD_CORPUS,
    CACHE,
    DISK,
    Message,
    TrialEvaluated,
    TrialOver,
    TrialRequest,
)

SAMPLE_TEMPERATURE = 0.8  # nanoGPT's
SAMPLE_SEED = 0


class BadCorpusError(InputError):
    """The corpus cannot be used, so no trial can be trained."""


class ShortTextError(InputError):
    """A split has fewer tokens than a block of the trial needs."""


class Attempt:
    """One trial of a pack: its files, and the step from which it resumes."""

    def __init__(self, request: TrialRequest, send: Callable[[Message], None]) -> None:
        self.request = request
        self.send = send
        self.trial = Trial(**request.settings)
        self.folder = TrialFolder(Path(request.folder))
        self.files = TrialFiles(self.folder.checkpoint, self.folder.best, request.keep_checkpoint)
        self.over = False
        self.tokens_per_char = 1.0  # of the validation text
        self.checkpoint: Checkpoint | None = None
        self.tokenizer: Tokenizer | None = None  # that of the weights to start from, if any
        self._metrics: MetricsWriter | None = None

    def open(self) -> None:
        """Open the trial's files and read its checkpoint."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        # A killed attempt may leave unfinished files.
        for unfinished in self.folder.path.glob("*.tmp"):
            unfinished.unlink(missing_ok=True)
        self._metrics = MetricsWriter(self.folder.metrics)
        self.checkpoint = self.read_checkpoint()
        weights = self.checkpoint or self.start
        self.tokenizer = None if weights is None else weights.tokenizer

    def close(self) -> None:
        """Close the trial's files."""
        if self._metrics is not None:
            self._metrics.close()

    def read_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint to resume from, None if it is missing, damaged or of another trial."""
        try:
            checkpoint = read_checkpoint(self.folder.checkpoint)
        except InputError:
            return None
        return checkpoint if checkpoint.trial == self.trial else None

    @cached_property
    def start(self) -> Checkpoint | None:
        """The weights of another trial that this one starts from, if the request names any."""
        return None if self.request.start_from is None else read_weights(Path(self.request.start_from))

    @property
    def step(self) -> int:
        """The step to resume from."""
        return 0 if self.checkpoint is None else self.checkpoint.progress.step

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The state of the tokenizer of the weights to start from, as a key; empty for a new trial."""
        return () if self.tokenizer is None else tuple(self.tokenizer.state().values())

    def restore(self, pack: Pack, index: int) -> Progress:
        """Load this trial's state into row `index` of a pack and return its progress."""
        if self.checkpoint is not None:
            return restore(pack, index, self.checkpoint)
        if self.start is not None:
            restore_weights(pack, index, self.start)
        return Progress()

    def record(self, event: Evaluated) -> None:
        """Add an evaluation to the metrics and report it."""
        evaluation = Evaluation(
            step=event.step,
            train_loss=event.train_loss,
            val_loss=event.val_loss,
            final_loss=event.final_loss,
            bits_per_char=bits_per_char(event.val_loss, self.tokens_per_char),
            seconds=round(event.seconds, 6),
            tokens_per_second=event.tokens_per_second,
            learning_rate=event.learning_rate,
            loss_scale=event.loss_scale,
            skipped_steps=event.skipped_steps,
            pack_width=event.pack_width,
            attempt=self.request.attempt,
            state="diverged" if event.val_loss is None else None,
        )
        assert self._metrics is not None
        self._metrics.append(evaluation)
        self.send(
            TrialEvaluated(
                phase=self.request.phase,
                trial=self.trial.id,
                step=event.step,
                train_loss=event.train_loss,
                val_loss=event.val_loss,
                bits_per_char=evaluation.bits_per_char,
                tokens_per_second=event.tokens_per_second,
            )
        )

    def add_sample(self, step: int, loss: float | None, prompt: str, text: str, copied: Copied | None) -> None:
        """Add a generated text, unless an earlier attempt has already written it."""
        if any(sample.step == step for sample in read_samples(self.folder.samples)):
            return
        sample = Sample(
            step=step,
            loss=loss,
            text=text,
            prompt=prompt,
            temperature=SAMPLE_TEMPERATURE,
            seed=SAMPLE_SEED,
            attempt=self.request.attempt,
            copied=copied,
        )
        append_sample(self.folder.samples, sample)

    def end(self, ended: Ended) -> None:
        """Report how the attempt ended, after its metrics are on the disk."""
        assert self._metrics is not None
        self._metrics.sync()
        last, progress = ended.evaluation, ended.progress
        metrics = TrialMetrics(
            step=progress.step,
            seconds=round(progress.seconds, 6),
            train_loss=last.train_loss if last else None,
            val_loss=last.val_loss if last else None,
            best_val_loss=progress.best_val_loss,
            best_val_step=progress.best_val_step,
            bits_per_char=bits_per_char(last.val_loss if last else None, self.tokens_per_char),
            best_bits_per_char=bits_per_char(progress.best_val_loss, self.tokens_per_char),
            final_loss=last.final_loss if last else None,
            tokens_per_second=last.tokens_per_second if last else None,
        )
        if ended.state == "diverged":
            self._report_end("diverged", "the loss is no longer finite", "diverged", metrics)
        else:
            self._report_end(ended.state, None, None, metrics)

    def stop(self) -> None:
        """Report that the attempt was stopped before its training began."""
        self._report_end("stopped", None, None)

    def fail(self, error: Exception) -> None:
        """Report that the attempt failed; the traceback goes into the trial's folder."""
        # The disk itself may have failed.
        with contextlib.suppress(OSError):
            write_whole(self.folder.error, "".join(traceback.format_exception(error)).encode(errors="replace"))
        failure = classify(error)
        first_line = (str(error).splitlines() or [""])[0]
        what = failure if failure == "out of memory" else type(error).__name__
        self._report_end(
            "failed", first_line if isinstance(error, InputError | CacheError) else f"{what}: {first_line}", failure
        )

    def _report_end(
        self, state: str, reason: str | None, failure: str | None, metrics: TrialMetrics = NO_METRICS
    ) -> None:
        self.over = True
        over = TrialOver(
            phase=self.request.phase, trial=self.trial.id, state=state, reason=reason, failure=failure, metrics=metrics
        )
        self.send(over)


def classify(error: Exception) -> str:
    """Return the kind of a failure, by which the runner decides what to do."""
    match error:
        case BadCorpusError():
            return BAD_CORPUS
        case ShortTextError():
            return "short text"
        # The weights to start from are missing, damaged or of another shape.
        case InputError():
            return "bad weights"
        case CacheError():
            return CACHE
        case OSError():
            return DISK
    return "out of memory" if is_out_of_memory(error) else "bug"
