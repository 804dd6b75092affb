"""A trial's weights in 8 or 4 bits, and the loss of each file. Import it late: it loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litegpt.analysis.study_text import read_study_text
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder, TrialFolder, token_cache
from litegpt.results.journal import read_journal
from litegpt.text.split import SplitText
from litegpt.train.checkpoint import Checkpoint, read_weights, restore_weights, save_quantized
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokens import CacheError, tokenised


@dataclass(frozen=True)
class Weights:
    """A file of weights. The loss is over the whole validation split, None if the text is missing."""

    path: Path
    bits: int
    size: int  # bytes
    val_loss: float | None


def quantize(trial: TrialFolder, bits: int) -> tuple[Weights, Weights]:
    """Write a trial's best weights in 8 or 4 bits; return the old and the new file. InputError: no readable weights."""
    original = read_weights(trial.best)
    path = trial.quantized(bits)
    try:
        save_quantized(original, bits, path)
    except OSError as error:
        raise InputError(f"the weights cannot be written: {error.strerror}", path) from None
    corpus = _corpus(trial, original)
    return tuple(  # type: ignore[return-value]  # two
        Weights(file, file_bits, file.stat().st_size, _val_loss(checkpoint, corpus))
        for file, file_bits, checkpoint in ((trial.best, 32, original), (path, bits, read_weights(path)))
    )


def _corpus(trial: TrialFolder, checkpoint: Checkpoint) -> TokenizedCorpus | None:
    """Return the text of the trial; None if it is missing or has characters that the trial does not know."""
    path = trial.path.resolve().parents[1]
    folder = StudyFolder(path.parent, path.name)
    study_and_text = read_study_text(folder, read_journal(folder.journal))
    if study_and_text is None:
        return None
    study, text = study_and_text
    try:
        tokens = tokenised(SplitText(text, study.split), checkpoint.tokenizer, token_cache())
    except ValueError:
        return None
    except CacheError as error:
        raise InputError(str(error)) from None
    return TokenizedCorpus(*tokens, checkpoint.tokenizer.vocab_size)


def _val_loss(checkpoint: Checkpoint, corpus: TokenizedCorpus | None) -> float | None:
    if corpus is None:
        return None
    pack = Pack([checkpoint.trial], corpus, "fp32", initialise=False)
    restore_weights(pack, 0, checkpoint)
    _, validation = pack.evaluate()
    return float(validation)
