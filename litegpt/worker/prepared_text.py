"""The study's text as a worker needs it: split, tokenized, on the device, and kept there between packs."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from pathlib import Path

import torch

from litegpt.errors import InputError
from litegpt.results.folder import token_cache
from litegpt.results.samples import Copied
from litegpt.study.split import SplitRule
from litegpt.text.copied import CorpusIndex
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokenizer import Tokenizer
from litegpt.train.tokens import tokenised
from litegpt.train.vocabulary import tokenizer_for
from litegpt.worker.attempt import Attempt, BadCorpusError, ShortTextError
from litegpt.worker.messages import TrainPack


class PreparedText:
    """Holds one text with the tokens of one tokenizer; another text or tokenizer replaces them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._text: SplitText | None = None
        self._text_key: tuple[str, str, SplitRule] | None = None
        self._corpus: TokenizedCorpus | None = None
        self._tokenizer: Tokenizer | None = None
        self._tokens_key: tuple[str, int, tuple[str, ...]] | None = None
        self._index: CorpusIndex | None = None

    @property
    def is_tokenized(self) -> bool:
        """Whether tokens are on the device."""
        return self._corpus is not None

    @property
    def corpus(self) -> TokenizedCorpus:
        """The tokens on the device."""
        assert self._corpus is not None
        return self._corpus

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of these tokens."""
        assert self._tokenizer is not None
        return self._tokenizer

    @property
    def split_text(self) -> SplitText:
        """The text, split into training and validation."""
        assert self._text is not None
        return self._text

    def read(self, request: TrainPack) -> None:
        """Read the text of a pack, unless it is here already. BadCorpusError: missing, unreadable or changed."""
        rule = SplitRule(**request.split)
        key = (request.corpus, request.corpus_base, rule)
        if key == self._text_key:
            return
        try:
            text = read_corpus(request.corpus, Path(request.corpus_base))
            if text.sha256 != request.corpus_sha256:
                raise BadCorpusError("the corpus has changed since the run began", request.corpus)
        except InputError as error:
            raise BadCorpusError(str(error)) from None
        self._text = SplitText(text, rule)
        self._text_key = key
        self._tokens_key = None
        self._index = None

    def tokenize(self, attempt: Attempt, beat: Callable[[], None]) -> None:
        """Put the text on the device with the tokenizer of an attempt; call `beat` often meanwhile.

        An attempt that resumes keeps the vocabulary of its weights, even if that of the study was learned anew.
        """
        trial = attempt.trial
        key = (trial.tokenizer, trial.vocab_size, attempt.vocabulary)
        if key != self._tokens_key:
            # The old tokens leave the device before the new ones arrive, because both together may not fit.
            self._tokens_key = None
            self._corpus = None
            free_memory(self.device)
            try:
                tokenizer = attempt.tokenizer or tokenizer_for(trial, self.split_text, attempt.folder.tokenizers, beat)
                tokens = tokenised(self.split_text, tokenizer, token_cache(), beat)
            except InputError as error:
                # Tokenizing reads the text a second time, and it may have changed since the first.
                raise BadCorpusError(str(error)) from None
            self._tokenizer = tokenizer
            self._corpus = TokenizedCorpus(*tokens, tokenizer.vocab_size, self.device)
            self._tokens_key = key

    def check_length(self, attempt: Attempt) -> None:
        """Raise ShortTextError if a split has fewer tokens than a block of the attempt needs."""
        trial = attempt.trial
        shorter = min(len(self.corpus.train), len(self.corpus.validation))
        if shorter <= trial.block_size:
            raise ShortTextError(
                f"the smaller split has {shorter:,} token{'s' * (shorter != 1)} of tokenizer = "
                f"'{trial.tokenizer}', and a block needs {trial.block_size + 1:,}; use a longer text or a smaller "
                "block_size"
            )

    @property
    def tokens_per_char(self) -> float:
        """The tokens per character of the validation text."""
        return len(self.corpus.validation) / self.split_text.validation_characters

    def measure_copied(self, text: str) -> Copied | None:
        """Return how much of a generated text is copied from the corpus, which is indexed at the first call.

        None if the corpus is too long for an index, or can no longer be read: a finished trial does not need it.
        """
        if self._index is None:
            with contextlib.suppress(InputError):
                self._index = CorpusIndex.of(self.split_text)
        return None if self._index is None else Copied(**self._index.measure(text).record())


def free_memory(device: torch.device) -> None:
    """Return the device memory of packs that have ended.

    A compiled step and its pack refer to each other, and a CUDA graph holds its memory, so only the garbage collector
    releases them.
    """
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
