"""Packs in a worker: trained on its device, split where memory runs out, tuned where that pays."""

from __future__ import annotations

import contextlib
import gc
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from litegpt.errors import InputError
from litegpt.estimate.cost import training_flops
from litegpt.estimate.packs import Tuning, evenly
from litegpt.results.folder import token_cache
from litegpt.results.samples import Copied
from litegpt.study.evaluation import SAMPLE_CHARACTERS
from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.copied import CorpusIndex
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText
from litegpt.train.checkpoint import read_checkpoint, restore_weights
from litegpt.train.generate import generate
from litegpt.train.loop import HEARTBEAT_SECONDS, Beat, Ended, Evaluated, Training
from litegpt.train.pack import Pack, is_out_of_memory, resolve_precision
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokens import tokenised
from litegpt.train.tune import tune, updates_per_second
from litegpt.train.vocabulary import tokenizer_for
from litegpt.worker.attempt import SAMPLE_SEED, SAMPLE_TEMPERATURE, Attempt, BadCorpusError, ShortTextError
from litegpt.worker.messages import (
    Alive,
    Message,
    PackOver,
    ShapeTuned,
    TrainPack,
)


class StoppedError(Exception):
    """The pack is to be stopped, and none of it is in training."""


class PackTrainer:
    """Trains packs on one device, keeping the corpus there between them."""

    def __init__(self, device: str, send: Callable[[Message], None]) -> None:
        self.device = torch.device(device)
        self.send = send
        self._text_key: tuple[str, str, SplitRule] | None = None
        self._tokens_key: tuple[str, int, tuple[str, ...]] | None = None
        self._corpus: TokenizedCorpus | None = None
        self._index: CorpusIndex | None = None
        self._beat_due = 0.0

    def train(self, request: TrainPack, should_stop: Callable[[], bool]) -> None:
        """Train a pack and tell how each trial ended; whatever goes wrong fails its trials and nothing else."""
        started = time.perf_counter()
        attempts = [Attempt(trial, self.send) for trial in request.trials]
        try:
            for attempt in attempts:
                attempt.open()
            self._read_text(request)
            attempts.sort(key=_standing)
            for _, together in itertools.groupby(attempts, key=_standing):
                group = list(together)
                self._tokenise(request, group, should_stop)
                self._train_packs(request, group, should_stop)
        except StoppedError:
            for attempt in attempts:
                if not attempt.over:
                    attempt.stop()
        except Exception as error:
            for attempt in attempts:
                if not attempt.over:
                    attempt.fail(error)
        finally:
            for attempt in attempts:
                attempt.close()
        self.send(PackOver(pack=request.pack, wall_seconds=time.perf_counter() - started))

    def _read_text(self, request: TrainPack) -> None:
        """Take up the study's text, unless it is at hand."""
        rule = SplitRule(**request.split)
        if (key := (request.corpus, request.corpus_base, rule)) == self._text_key:
            return
        try:
            text = read_corpus(request.corpus, Path(request.corpus_base))
            if text.sha256 != request.corpus_sha256:
                raise BadCorpusError("the corpus has changed since the run began", request.corpus)
        except InputError as error:
            raise BadCorpusError(str(error)) from None
        self.text, self._text_key = SplitText(text, rule), key
        self._tokens_key, self._index = None, None

    @property
    def corpus(self) -> TokenizedCorpus:
        """The tokens at hand, on the device."""
        assert self._corpus is not None
        return self._corpus

    def _tokenise(self, request: TrainPack, group: Sequence[Attempt], should_stop: Callable[[], bool]) -> None:
        """Put the text on the device as the tokens of these attempts, which have one tokenizer.

        An attempt goes on with the vocabulary that its weights began with, whatever the study's is by now.
        """
        first, trial = group[0], group[0].trial
        if (key := (trial.tokenizer, trial.vocab_size, first.vocabulary)) != self._tokens_key:
            self._tokens_key = self._corpus = None
            self._free_memory()  # two texts do not lie on the device together
            beat = partial(self._beat, request.pack, [attempt.trial.id for attempt in group], should_stop)
            try:
                tokenizer = first.tokenizer or tokenizer_for(trial, self.text, first.folder.tokenizers, beat)
                tokens = tokenised(self.text, tokenizer, token_cache(), beat)
            except InputError as error:  # the text is read once more for that
                raise BadCorpusError(str(error)) from None
            self.tokenizer = tokenizer
            self._corpus = TokenizedCorpus(*tokens, tokenizer.vocab_size, self.device)
            self._tokens_key = key
        shorter = min(len(self.corpus.train), len(self.corpus.validation))
        if shorter <= trial.block_size:
            raise ShortTextError(
                f"the smaller split has {shorter:,} token{'s' * (shorter != 1)} of tokenizer = "
                f"'{trial.tokenizer}', and a block needs {trial.block_size + 1:,}; use a longer text or a smaller "
                "block_size"
            )
        for attempt in group:
            attempt.tokens_per_char = len(self.corpus.validation) / self.text.validation_characters

    def _beat(self, pack: str, trials: list[str], should_stop: Callable[[], bool]) -> None:
        """Tell that a long text is being tokenised, now and then. Raises StoppedError where that is to stop."""
        if should_stop():
            raise StoppedError
        if time.monotonic() >= self._beat_due:
            self._beat_due = time.monotonic() + HEARTBEAT_SECONDS
            self.send(Alive(pack=pack, trials=trials, step=0))

    def _train_packs(self, request: TrainPack, group: Sequence[Attempt], should_stop: Callable[[], bool]) -> None:
        """Train the attempts that stand at the same step, as wide and as fast as is known, or can be found out."""
        tuning = Tuning(**request.tuning)
        if request.tune:
            tuning = self._tune([attempt.trial for attempt in group]) or tuning
        for part in evenly(group, min(tuning.width or len(group), len(group))):
            self._free_memory()
            self._train_group(request.pack, part, should_stop, tuning)

    def _tune(self, trials: Sequence[Trial]) -> Tuning | None:
        precision = resolve_precision(trials[0].precision, self.device)
        measure = partial(updates_per_second, trials, self.corpus, precision)
        tuned = tune(trials, measure)
        if tuned is None:
            return None
        flops = training_flops(trials[0], self.corpus.vocab_size) / trials[0].max_iters * tuned.updates_per_second
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
        self, pack: str, group: Sequence[Attempt], should_stop: Callable[[], bool], tuning: Tuning
    ) -> None:
        """Train the attempts that stand at the same step as one model.

        Where memory runs out, half of the trials come first and half after; a single trial's batch is worked off in
        parts, halved until it fits. Neither changes the results, but that parts draw other dropout masks.
        """
        try:
            self._train_together(pack, group, should_stop, tuning)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not is_out_of_memory(error):
                raise
            parts = max(tuning.micro_batches, group[0].trial.gradient_accumulation)
            if len(group) == 1 and parts >= group[0].trial.batch_size:
                group[0].fail(error)  # the others of its pack may fit
                return
        else:
            return
        self._free_memory()  # past the handler, whose error still held the tensors that were too many
        for attempt in group:
            attempt.checkpoint = attempt.read_checkpoint()
        if len(group) > 1:
            half = -(-len(group) // 2)
            self._tell_tuning(group[0].trial, replace(tuning, width=half), None)
            for part in evenly(group, half):
                self._train_group(pack, part, should_stop, tuning)
        else:
            finer = min(2 * parts, group[0].trial.batch_size)
            self._train_group(pack, group, should_stop, replace(tuning, micro_batches=finer))

    def _free_memory(self) -> None:
        """Give back what packs held: a compiled step and its pack hold each other, and a graph its memory."""
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _train_together(
        self, pack_name: str, group: Sequence[Attempt], should_stop: Callable[[], bool], tuning: Tuning
    ) -> None:
        trials = [attempt.trial for attempt in group]
        precision = resolve_precision(trials[0].precision, self.device)
        fresh = any(attempt.checkpoint is None for attempt in group)
        pack = Pack(
            trials,
            self.corpus,
            precision,
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

        training = Training(pack, [attempt.files for attempt in group], self.tokenizer, report, progress)
        training.run(should_stop)
        if endings:
            self._write_samples(training, group, endings)
        for ended in endings:
            group[ended.index].end(ended)

    def _write_samples(self, training: Training, group: Sequence[Attempt], endings: Sequence[Ended]) -> None:
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

    def _generate(self, pack: Pack) -> list[tuple[str, str, Copied | None]]:
        """Return (prompt, text, how much of it is copied) for each trial of a pack."""
        prompt = self.tokenizer.opening
        tokens = generate(
            pack.model,
            self.tokenizer.encode(prompt).tolist(),
            SAMPLE_CHARACTERS,
            temperature=SAMPLE_TEMPERATURE,
            seed=SAMPLE_SEED,
        )
        decoded = ("".join(self.tokenizer.decode(trial)) for trial in zip(*tokens, strict=True))
        texts = [text[:SAMPLE_CHARACTERS] for text in decoded]
        return [(prompt, text, self._measure(text)) for text in texts]

    def _measure(self, text: str) -> Copied | None:
        """Return how much of a text is copied from the corpus, which is prepared for that the first time, if short.

        None also where the corpus can no longer be read: a trial that is trained does not need it.
        """
        if self._index is None:
            with contextlib.suppress(InputError):
                self._index = CorpusIndex.of(self.text)
        return None if self._index is None else Copied(**self._index.measure(text).record())


def _standing(attempt: Attempt) -> tuple[int, tuple[str, ...]]:
    """Return what the attempts that train together have in common: the step and the vocabulary to go on from."""
    return attempt.step, attempt.vocabulary
