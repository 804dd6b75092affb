"""The batches of a pack's next steps, prepared for many steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from litegpt.study.trial import Trial
from litegpt.train.random import batch_starts
from litegpt.train.tokenized_corpus import TokenizedCorpus

STEPS_AHEAD = 128
STREAMED_TOKENS = 1 << 22  # about this many tokens are looked up at once from a streamed text


class Batches:
    """Tables of batches on the device, one table for the next steps at a time.

    If the text is streamed, a thread looks up the sequences of the next table while the device works on the current
    one. The thread touches only the host's memory, because a CUDA graph may be in the middle of its capture.
    """

    def __init__(self, trials: Sequence[Trial], corpus: TokenizedCorpus) -> None:
        self._trials = trials
        self._corpus = corpus
        first = trials[0]
        tokens_per_step = len(trials) * first.batch_size * (first.block_size + 1)
        self._ahead = max(1, min(STEPS_AHEAD, STREAMED_TOKENS // tokens_per_step)) if corpus.streamed else STEPS_AHEAD
        self._steps = range(0)  # the steps in `_table`
        self._table: Tensor
        self._pending: tuple[range, Future[Tensor]] | None = None  # the table that the thread prepares
        self._thread = ThreadPoolExecutor(1) if corpus.streamed else None

    def at(self, step: int) -> Tensor:
        """Return the batch of a step in the form that `TokenizedCorpus.batch` takes."""
        if step not in self._steps:
            self._load_table(step)
        return self._table[step - self._steps.start]

    def _load_table(self, step: int) -> None:
        self._steps = self._steps_from(step)
        pending, self._pending = self._pending, None
        is_pending = pending is not None and pending[0] == self._steps
        table = pending[1].result() if pending is not None and is_pending else self._look_up(self._steps)
        self._table = table.to(self._corpus.device)
        following = self._steps_from(self._steps.stop)
        if self._thread is not None and following:
            self._pending = following, self._thread.submit(self._look_up, following)

    def _steps_from(self, step: int) -> range:
        return range(step, min(step + self._ahead, self._trials[0].max_iters))

    def _look_up(self, steps: range) -> Tensor:
        first = self._trials[0]
        seeds = [trial.seed for trial in self._trials]
        starts = batch_starts(seeds, steps, first.batch_size, self._corpus.positions(first.block_size))
        return self._corpus.look_up(starts, first.block_size)
