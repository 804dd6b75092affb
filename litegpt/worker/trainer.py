"""Training of packs on one device: split where memory runs out, tuned where that saves time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from litegpt.estimate.cost import training_flops
from litegpt.estimate.packs import Tuning, evenly
from litegpt.results.samples import Copied
from litegpt.study.evaluation import SAMPLE_CHARACTERS
from litegpt.study.trial import Trial
from litegpt.train.generate import generate
from litegpt.train.loop import Beat, Ended, Evaluated, Training
from litegpt.train.pack import CaptureFailedError, Pack, device_has_failed, is_out_of_memory, resolve_precision
from litegpt.train.tune import agrees_with_default, tune, updates_per_second
from litegpt.worker.attempt import SAMPLE_SEED, SAMPLE_TEMPERATURE, Attempt
from litegpt.worker.messages import Message, PackOver, ShapeTuned, TrainPack
from litegpt.worker.pack_job import PackJob, StoppedError
from litegpt.worker.prepared_text import PreparedText, free_memory


class DeviceFailedError(Exception):
    """The device fails every further call of this process, so the process must end. Another can resume its trials."""


class PackTrainer:
    """Trains one pack after another on one device, where it keeps the tokenized text."""

    def __init__(self, device: str, send: Callable[[Message], None]) -> None:
        self.device = torch.device(device)
        self.text = PreparedText(self.device)
        self.send = send

    def train(self, request: TrainPack, should_stop: Callable[[], bool]) -> None:
        """Train a pack and report how each trial ended. An error fails the trials of this pack and nothing else."""
        started = time.perf_counter()
        job = PackJob(request, self.send, should_stop)
        try:
            job.open()
            self.text.read(request)
            for group in job.groups():
                self.text.tokenize(group[0], partial(job.beat, group))
                self.text.check_length(group[0])
                for attempt in group:
                    attempt.tokens_per_char = self.text.tokens_per_char
                self._train_packs(job, group)
        except StoppedError:
            for attempt in job.unfinished:
                attempt.stop()
        except Exception as error:
            if isinstance(error, CaptureFailedError) or device_has_failed(self.device):
                raise DeviceFailedError(str(error)) from error
            for attempt in job.unfinished:
                attempt.fail(error)
        finally:
            job.close()
        self.send(PackOver(pack=request.pack, wall_seconds=time.perf_counter() - started))

    def _train_packs(self, job: PackJob, group: Sequence[Attempt]) -> None:
        """Train attempts that resume at the same step, as wide and as fast as their tuning says."""
        tuning = Tuning(**job.request.tuning)
        try:
            if job.request.tune:
                tuning = self._tune(job, list(group)) or tuning
            for part in evenly(group, min(tuning.width or len(group), len(group))):
                free_memory(self.device)
                self._train_group(job, list(part), tuning)
        except CaptureFailedError:
            # The process is about to end. The next one trains this shape without a CUDA graph.
            self._report_tuning(group[0].trial, replace(tuning, width=len(group), graph=False), None)
            raise

    def _tune(self, job: PackJob, group: list[Attempt]) -> Tuning | None:
        trials = [attempt.trial for attempt in group]
        corpus = self.text.corpus
        precision = resolve_precision(trials[0].precision, self.device)
        arguments = (trials, corpus, precision)

        def measure(tuning: Tuning) -> float | None:
            job.beat(group)
            return updates_per_second(*arguments, tuning)

        tuned = tune(trials, measure, partial(agrees_with_default, *arguments))
        if tuned is None:
            return None
        flops = training_flops(trials[0], corpus.vocab_size) / trials[0].max_iters * tuned.updates_per_second
        self._report_tuning(trials[0], tuned.tuning, flops)
        return tuned.tuning

    def _report_tuning(self, trial: Trial, tuning: Tuning, flops_per_second: float | None) -> None:
        self.send(
            ShapeTuned(
                settings=trial.settings(),
                precision=resolve_precision(trial.precision, self.device),
                width=tuning.width or 1,
                attention=tuning.attention,
                compiled=tuning.compiled,
                graph=tuning.graph,
                flops_per_second=flops_per_second,
            )
        )

    def _train_group(self, job: PackJob, group: list[Attempt], tuning: Tuning) -> None:
        """Train attempts that resume at the same step as one model.

        If memory runs out, the two halves of the group train one after the other. The batch of a single trial is
        divided into micro-batches instead, twice as many until they fit. Both give the same results, except that
        micro-batches draw other dropout masks.
        """
        trial = group[0].trial
        try:
            self._train_together(job, group, tuning)
        except RuntimeError as error:
            # torch.OutOfMemoryError is a RuntimeError, and drivers raise others.
            if not is_out_of_memory(error):
                raise
            micro_batches = max(tuning.micro_batches, trial.gradient_accumulation)
            if len(group) == 1 and micro_batches >= trial.batch_size:
                # The other trials of the pack may still fit.
                group[0].fail(error)
                return
        else:
            return
        # Only outside of the handler: its exception still referred to the tensors that did not fit.
        free_memory(self.device)
        for attempt in group:
            attempt.checkpoint = attempt.read_checkpoint()
        if len(group) > 1:
            half = -(-len(group) // 2)
            self._report_tuning(trial, replace(tuning, width=half), None)
            for part in evenly(group, half):
                self._train_group(job, list(part), tuning)
        else:
            finer = min(2 * micro_batches, trial.batch_size)
            self._train_group(job, group, replace(tuning, micro_batches=finer))

    def _train_together(self, job: PackJob, group: list[Attempt], tuning: Tuning) -> None:
        trials = [attempt.trial for attempt in group]
        precision = resolve_precision(trials[0].precision, self.device)
        fresh = any(attempt.checkpoint is None for attempt in group)
        pack = Pack(trials, self.text.corpus, precision, initialise=fresh, tuning=tuning)
        progress = [attempt.restore(pack, index) for index, attempt in enumerate(group)]
        endings: list[Ended] = []

        def report(event: Evaluated | Ended | Beat) -> None:
            if isinstance(event, Beat):
                job.report_step(group, event.step)
            elif isinstance(event, Evaluated):
                group[event.index].record(event)
            elif event.state == "stopped":
                group[event.index].end(event)
            else:
                # A trial ends for the runner only after its samples are written.
                endings.append(event)

        training = Training(pack, [attempt.files for attempt in group], self.text.tokenizer, report, progress)
        training.run(job.should_stop)
        if endings:
            self._write_samples(job, training, group, endings)
        for ended in endings:
            group[ended.index].end(ended)

    def _write_samples(self, job: PackJob, training: Training, group: list[Attempt], endings: Sequence[Ended]) -> None:
        """Add a text that each finished trial generates, and one from its best weights if they are older."""
        # Generating takes minutes with a large vocabulary. The trials are trained, so a stop changes nothing.
        beat = partial(job.report_life, group, training.pack.step)
        ended = {ending.index: ending for ending in endings if ending.state == "done"}
        rows = [(row, group[index], ended[index]) for row, index in enumerate(training.indices) if index in ended]
        texts = self._generate(training.pack, beat) if rows else []
        for row, attempt, ending in rows:
            if ending.evaluation is not None:
                attempt.add_sample(ending.evaluation.step, ending.evaluation.val_loss, *texts[row])
        rows = [(row, attempt, ending) for row, attempt, ending in rows if ending.best_was_earlier]
        for row, _, _ in rows:
            training.restore_best(row)
        texts = self._generate(training.pack, beat) if rows else []
        for row, attempt, ending in rows:
            attempt.add_sample(ending.progress.best_val_step or 0, ending.progress.best_val_loss, *texts[row])

    def _generate(self, pack: Pack, beat: Callable[[], None]) -> list[tuple[str, str, Copied | None]]:
        """Return prompt, text and copied share for each trial of a pack."""
        tokenizer = self.text.tokenizer
        prompt = tokenizer.opening
        generated = generate(
            pack.model,
            tokenizer.encode(prompt).tolist(),
            SAMPLE_CHARACTERS,
            temperature=SAMPLE_TEMPERATURE,
            seed=SAMPLE_SEED,
        )
        tokens = []
        for token in generated:
            tokens.append(token)
            beat()
        decoded = ("".join(tokenizer.decode(trial)) for trial in zip(*tokens, strict=True))
        texts = [text[:SAMPLE_CHARACTERS] for text in decoded]
        return [(prompt, text, self.text.measure_copied(text)) for text in texts]
