"""One attempt at the trials of a pack, in a worker: from request to metrics, samples and checkpoints on the disk."""

from __future__ import annotations

import contextlib
import gc
import itertools
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from litegpt.plan.corpus import CorpusText, read_corpus
from litegpt.plan.cost import training_flops
from litegpt.plan.errors import InputError
from litegpt.plan.packs import evenly
from litegpt.plan.trial import Trial
from litegpt.plan.tuning import Tuning
from litegpt.results.folder import TrialFolder
from litegpt.results.metrics import Evaluation, MetricsWriter
from litegpt.results.samples import Copied, Sample, append_sample, read_samples
from litegpt.run.messages import (
    BAD_CORPUS,
    DISK,
    Alive,
    Message,
    PackOver,
    ShapeTuned,
    TrainPack,
    TrialEvaluated,
    TrialOver,
    TrialRequest,
)
from litegpt.train.checkpoint import Checkpoint, Progress, read_checkpoint, restore, restore_weights, write_whole
from litegpt.train.corpus import CharacterTokenizer, Corpus
from litegpt.train.generate import generate
from litegpt.train.loop import Beat, Ended, Evaluated, Training, TrialFiles
from litegpt.train.pack import Pack, is_out_of_memory
from litegpt.train.precision import resolve_precision
from litegpt.train.tune import tune, updates_per_second
from litegpt.train.verbatim import CorpusIndex

SAMPLE_CHARACTERS = 300
SAMPLE_TEMPERATURE = 0.8  # nanoGPT's
SAMPLE_SEED = 0


class BadCorpusError(InputError):
    """No trial can be trained on the corpus any more."""


class PackTrainer:
    """Trains packs on one device, keeping the corpus there between them."""

    def __init__(self, device: str, send: Callable[[Message], None]) -> None:
        self.device = torch.device(device)
        self.send = send
        self._corpus_key: tuple[str, str, float] | None = None

    def train(self, request: TrainPack, should_stop: Callable[[], bool]) -> None:
        """Train a pack and tell how each trial ended; whatever goes wrong fails its trials and nothing else."""
        started = time.perf_counter()
        attempts = [_Attempt(trial, self.send) for trial in request.trials]
        try:
            for attempt in attempts:
                attempt.open()
            self._load_corpus(request)
            attempts.sort(key=lambda attempt: attempt.step)
            for _, group in itertools.groupby(attempts, key=lambda attempt: attempt.step):
                self._train_packs(request, list(group), should_stop)
        except Exception as error:
            for attempt in attempts:
                if not attempt.over:
                    attempt.fail(error)
        finally:
            for attempt in attempts:
                attempt.close()
        self.send(PackOver(pack=request.pack, wall_seconds=time.perf_counter() - started))

    def _load_corpus(self, request: TrainPack) -> None:
        key = (request.corpus, request.corpus_base, request.validation_fraction)
        if key != self._corpus_key:
            try:
                self.text: CorpusText = read_corpus(request.corpus, Path(request.corpus_base))
            except InputError as error:
                raise BadCorpusError(str(error)) from None
            if self.text.sha256 != request.corpus_sha256:
                raise BadCorpusError("the corpus has changed since the run began", request.corpus)
            self.tokenizer = CharacterTokenizer(self.text.symbols)
            cut = self.text.cut(request.validation_fraction)
            self.corpus = Corpus(self.tokenizer.encode(self.text.text), cut, self.device)
            self._index: CorpusIndex | None = None
            self._corpus_key = key

    def _train_packs(self, request: TrainPack, group: Sequence[_Attempt], should_stop: Callable[[], bool]) -> None:
        """Train the attempts that stand at the same step, as wide and as fast as is known, or can be found out."""
        tuning = Tuning(**request.tuning)
        if request.tune:
            tuning = self._tune([attempt.trial for attempt in group]) or tuning
        for part in evenly(group, min(tuning.width or len(group), len(group))):
            self._free_memory()
            self._train_group(request.pack, part, should_stop, tuning)

    def _tune(self, trials: Sequence[Trial]) -> Tuning | None:
        precision, vocab_size = resolve_precision(trials[0].precision, self.device), self.tokenizer.vocab_size
        measure = partial(updates_per_second, trials, self.corpus, vocab_size, precision)
        tuned = tune(trials, measure)
        if tuned is None:
            return None
        flops = training_flops(trials[0], vocab_size) / trials[0].max_iters * tuned.updates_per_second
        self._tell_tuning(trials[0], tuned.tuning, flops)
        return tuned.tuning

    def _tell_tuning(self, trial: Trial, tuning: Tuning, flops_per_second: float | None) -> None:
        self.send(
            ShapeTuned(
                settings=trial.settings(),
                precision=resolve_precision(trial.precision, self.device),
                width=tuning.width or 1,
                attention=tuning.attention,
                compiled=tuning.compiled,
                flops_per_second=flops_per_second,
            )
        )

    def _train_group(
        self,
        pack: str,
        group: Sequence[_Attempt],
        should_stop: Callable[[], bool],
        tuning: Tuning,
        micro_batches: int = 1,
    ) -> None:
        """Train the attempts that stand at the same step as one model.

        Where memory runs out, half of the trials come first and half after; a single trial's batch is worked off in
        parts, halved until it fits. Neither changes the results, but that parts draw other dropout masks.
        """
        try:
            self._train_together(pack, group, should_stop, tuning, micro_batches)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not is_out_of_memory(error):
                raise
            parts = max(micro_batches, group[0].trial.gradient_accumulation)
            if len(group) == 1 and parts >= group[0].trial.batch_size:
                raise
        else:
            return
        self._free_memory()  # past the handler, whose error still held the tensors that were too many
        for attempt in group:
            attempt.checkpoint = attempt.read_checkpoint()
        if len(group) > 1:
            half = -(-len(group) // 2)
            self._tell_tuning(group[0].trial, replace(tuning, width=half), None)
            for part in evenly(group, half):
                self._train_group(pack, part, should_stop, tuning, micro_batches)
        else:
            self._train_group(pack, group, should_stop, tuning, min(2 * parts, group[0].trial.batch_size))

    def _free_memory(self) -> None:
        """Give back what packs held: a compiled step and its pack hold each other, and a graph its memory."""
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _train_together(
        self,
        pack_name: str,
        group: Sequence[_Attempt],
        should_stop: Callable[[], bool],
        tuning: Tuning,
        micro_batches: int,
    ) -> None:
        trials = [attempt.trial for attempt in group]
        precision = resolve_precision(trials[0].precision, self.device)
        fresh = any(attempt.checkpoint is None for attempt in group)
        pack = Pack(
            trials,
            self.corpus,
            self.tokenizer.vocab_size,
            precision,
            micro_batches=micro_batches,
            initialise=fresh,
            tuning=tuning,
        )
        progress = [attempt.restore(pack, index) for index, attempt in enumerate(group)]
        names = [attempt.trial.id for attempt in group]
        endings: list[Ended] = []

        def report(event: Evaluated | Ended | Beat) -> None:
            if isinstance(event, Beat):
                self.send(Alive(pack=pack_name, trials=names, step=event.step))
            elif isinstance(event, Evaluated):
                group[event.index].record(event)
            elif event.state == "stopped":
                group[event.index].end(event)
            else:
                endings.append(event)

        training = Training(pack, [attempt.files for attempt in group], self.text.symbols, report, progress)
        training.run(should_stop)
        if endings:
            self._write_samples(training, group, endings)
        for ended in endings:
            group[ended.index].end(ended)

    def _write_samples(self, training: Training, group: Sequence[_Attempt], endings: Sequence[Ended]) -> None:
        """Add what each trial of the pack writes at its end, and at its best where that was earlier."""
        ended = {ending.index: ending for ending in endings if ending.state == "done"}
        rows = [(row, group[index], ended[index]) for row, index in enumerate(training.indices) if index in ended]
        texts = self._generate(training.pack) if rows else []
        for row, attempt, ending in rows:
            if ending.evaluation is not None:
                attempt.add_sample(ending.evaluation.step, ending.evaluation.val_loss, *texts[row])
        rows = [(row, attempt, ending) for row, attempt, ending in rows if ending.best_was_earlier]
        for row, attempt, _ in rows:
            restore_weights(training.pack, row, read_checkpoint(attempt.folder.best))
        texts = self._generate(training.pack) if rows else []
        for row, attempt, ending in rows:
            attempt.add_sample(ending.progress.best_val_step or 0, ending.progress.best_val_loss, *texts[row])

    def _generate(self, pack: Pack) -> list[tuple[str, str, Copied]]:
        """Return (prompt, text, how much of it is copied) for each trial of a pack."""
        prompt = "\n" if "\n" in self.text.symbols else self.text.symbols[0]
        tokens = generate(
            pack.model,
            self.tokenizer.encode(prompt).tolist(),
            SAMPLE_CHARACTERS,
            temperature=SAMPLE_TEMPERATURE,
            seed=SAMPLE_SEED,
        )
        texts = [self.tokenizer.decode(list(trial)) for trial in zip(*tokens, strict=True)]
        return [(prompt, text, self._measure(text)) for text in texts]

    def _measure(self, text: str) -> Copied:
        """Return how much of a text is copied from the corpus, which is prepared for that the first time."""
        if self._index is None:
            self._index = CorpusIndex(self.text.text, len(self.corpus.train))
        return Copied(**self._index.measure(text).figures())


class _Attempt:
    """One trial of a pack: where it stands, and where its records go."""

    def __init__(self, request: TrialRequest, send: Callable[[Message], None]) -> None:
        self.request, self.send = request, send
        self.trial = Trial(**request.settings)
        self.folder = TrialFolder(Path(request.folder))
        self.files = TrialFiles(self.folder.checkpoint, self.folder.best)
        self.over = False
        self.checkpoint: Checkpoint | None = None
        self._metrics: MetricsWriter | None = None

    def open(self) -> None:
        """Open the trial's files and see where it stands."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self._metrics = MetricsWriter(self.folder.metrics)
        self.checkpoint = self.read_checkpoint()

    def close(self) -> None:
        """Close the trial's files."""
        if self._metrics is not None:
            self._metrics.close()

    def read_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint to go on from; one that is damaged is as good as none."""
        try:
            checkpoint = read_checkpoint(self.folder.checkpoint)
        except InputError:
            return None
        return checkpoint if checkpoint.trial == self.trial else None

    @property
    def step(self) -> int:
        """The step to go on from."""
        return 0 if self.checkpoint is None else self.checkpoint.progress.step

    def restore(self, pack: Pack, index: int) -> Progress:
        """Bring row `index` of a pack to where this trial stands."""
        if self.checkpoint is not None:
            return restore(pack, index, self.checkpoint)
        if self.request.start_from is not None:
            restore_weights(pack, index, read_checkpoint(Path(self.request.start_from)))
        return Progress()

    def record(self, event: Evaluated) -> None:
        """Add a line to the metrics, unless an earlier attempt has measured this step already."""
        evaluation = Evaluation(
            step=event.step,
            train_loss=event.train_loss,
            val_loss=event.val_loss,
            final_loss=event.final_loss,
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
                tokens_per_second=event.tokens_per_second,
            )
        )

    def add_sample(self, step: int, loss: float | None, prompt: str, text: str, copied: Copied) -> None:
        """Add a generated text, unless an earlier attempt has written it already."""
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
        """Tell the runner how the attempt ended, once that is on the disk."""
        assert self._metrics is not None
        self._metrics.sync()
        last, progress = ended.evaluation, ended.progress
        figures: dict[str, object] = {
            "step": progress.step,
            "seconds": round(progress.seconds, 6),
            "train_loss": last and last.train_loss,
            "val_loss": last and last.val_loss,
            "best_val_loss": progress.best_val_loss,
            "best_val_step": progress.best_val_step,
            "final_loss": last and last.final_loss,
            "tokens_per_second": last and last.tokens_per_second,
        }
        if ended.state == "diverged":
            self._tell("diverged", "the loss is no longer finite", "diverged", figures)
        else:
            self._tell(ended.state, None, None, figures)

    def fail(self, error: Exception) -> None:
        """Tell the runner that the attempt failed; the traceback stays in the trial's folder."""
        with contextlib.suppress(OSError):  # the disk may be what failed
            write_whole(self.folder.error, "".join(traceback.format_exception(error)).encode(errors="replace"))
        failure = classify(error)
        first_line = (str(error).splitlines() or [""])[0]
        what = failure if failure == "out of memory" else type(error).__name__
        self._tell("failed", first_line if isinstance(error, InputError) else f"{what}: {first_line}", failure, {})

    def _tell(self, state: str, reason: str | None, failure: str | None, figures: dict[str, object]) -> None:
        self.over = True
        over = TrialOver(
            phase=self.request.phase, trial=self.trial.id, state=state, reason=reason, failure=failure, figures=figures
        )
        self.send(over)


def classify(error: Exception) -> str:
    """Return the kind of a failure, which decides what the runner does about it."""
    match error:
        case BadCorpusError():
            return BAD_CORPUS
        case InputError():  # the weights to start from are missing, damaged or do not fit
            return "bad weights"
        case OSError():
            return DISK
    return "out of memory" if is_out_of_memory(error) else "bug"
