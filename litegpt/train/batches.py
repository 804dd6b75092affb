"""The batches of a pack's coming steps, prepared some steps at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from litegpt.study.trial import Trial
from litegpt.train.random import batch_starts
from litegpt.train.tokenized_corpus import TokenizedCorpus

STEPS_AHEAD = 128
STREAMED_TOKENS = 1 << 22  # of sequences that are looked up together, about


class Batches:
    """What the steps' batches are made of, on the device.

    While the device works on a table of steps, a thread looks up the sequences of the next one, where they are
    streamed: it touches the host's memory alone, since a CUDA graph may be being captured.
    """

    def __init__(self, trials: Sequence[Trial], corpus: TokenizedCorpus) -> None:
        self._trials, self._corpus = trials, corpus
        first = trials[0]
        tokens = len(trials) * first.batch_size * (first.block_size + 1)  # of a step
        self._ahead = max(1, min(STEPS_AHEAD, STREAMED_TOKENS // tokens)) if corpus.streamed else STEPS_AHEAD
        self._steps = range(0)  # those that the table is of
        self._table: Tensor
        self._coming: tuple[range, Future[Tensor]] | None = None
        self._thread = ThreadPoolExecutor(1) if corpus.streamed else None

    def at(self, step: int) -> Tensor:
        """Return what the batch of a step is made of: see `TokenizedCorpus.look_up`."""
        if step not in self._steps:
            self._turn_to(step)
        return self._table[step - self._steps.start]

    def _turn_to(self, step: int) -> None:
        self._steps = self._from(step)
        coming, self._coming = self._coming, None
        known = coming is not None and coming[0] == self._steps
        table = coming[1].result() if coming is not None and known else self._look_up(self._steps)
        self._table = table.to(self._corpus.device)
        following = self._from(self._steps.stop)
        if self._thread is not None and following:
            self._coming = following, self._thread.submit(self._look_up, following)

    def _from(self, step: int) -> range:
        return range(step, min(step + self._ahead, self._trials[0].max_iters))

    def _look_up(self, steps: range) -> Tensor:
        first = self._trials[0]
        seeds = [trial.seed for trial in self._trials]
        starts = batch_starts(seeds, steps, first.batch_size, self._corpus.positions(first.block_size))
        return self._corpus.look_up(starts, first.block_size)
