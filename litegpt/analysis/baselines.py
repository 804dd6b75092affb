"""The n-gram baselines of a study: measured once, then read from `results/<study>/baselines.json`.

Reading them is fast. Measuring them loads NumPy and takes about a second per few million characters.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping

from litegpt.analysis.study_text import read_study_text
from litegpt.errors import InputError
from litegpt.files import read_json, write_whole
from litegpt.results.folder import StudyFolder
from litegpt.results.metric import METRICS, bits_per_char
from litegpt.results.state import StudyState
from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.split import SplitText

BAR = "trigram"
"""The baseline that a trial should beat, because a model sees more than two characters."""
FULL_CONTEXT = "baselines see their full context; trials are evaluated in windows that begin without any"
"""The difference between losses of baselines and trials: about 0.02 nats for a trigram (docs/corpus.md)."""
FILE_NAME = "baselines.json"

Baselines = Mapping[str, float]
"""The validation loss of each baseline by name, in nats per character."""


def read_baselines(folder: StudyFolder, state: StudyState) -> Baselines | None:
    """Return the recorded baselines of a study's text, None without a record."""
    return None if state.corpus is None else _read(folder, state.corpus.sha256)


def study_baselines(folder: StudyFolder, state: StudyState) -> Baselines | None:
    """Return a study's baselines; measure and record them if necessary. None if the text is missing."""
    recorded = read_baselines(folder, state)
    if recorded is not None:
        return recorded
    study_and_corpus = read_study_text(folder, state)
    if study_and_corpus is None:
        return None
    study, corpus = study_and_corpus
    try:
        return measure_baselines(folder, SplitText(corpus, study.split))
    except InputError:
        # The text is too short.
        return None


def measure_baselines(folder: StudyFolder, split: SplitText) -> Baselines:
    """Return the baselines of a text; measure and record them if necessary. InputError: the text is too short."""
    recorded = _read(folder, split.corpus.sha256, split.rule)
    if recorded is not None:
        return recorded
    split.check_length(1)
    from litegpt.text.ngram import ngram_losses  # loads NumPy

    losses = ngram_losses(split)
    record = {"sha256": split.corpus.sha256, **split.rule.keys, "val_loss": losses}
    # Without write access the baselines are measured again each time.
    with contextlib.suppress(OSError):
        write_whole(folder.path / FILE_NAME, json.dumps(record, indent=1).encode() + b"\n")
    return losses


def _read(folder: StudyFolder, sha256: str, rule: SplitRule | None = None) -> Baselines | None:
    try:
        record = read_json(folder.path / FILE_NAME)
        losses = {str(name): float(loss) for name, loss in record["val_loss"].items()}
        is_current = record["sha256"] == sha256
        if rule is not None:
            is_current &= all(record[key] == value for key, value in rule.keys.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # The file is missing or damaged.
        return None
    return losses if is_current and all(map(math.isfinite, losses.values())) else None


def beats_bar(bits: float | None, baselines: Baselines | None) -> bool | None:
    """Return whether a trial has fewer bits per character than the trigram; None if one of them is unknown."""
    bar = bits_per_char(baselines.get(BAR)) if baselines else None
    return None if bits is None or bar is None else bits < bar


def baseline_levels(baselines: Baselines | None, trials: Iterable[Trial], metric: str) -> Baselines:
    """Return the baselines in a metric; none if the metric is per token and tokens are not characters."""
    if not baselines:
        return {}
    if not METRICS[metric].per_token:
        return {name: loss / math.log(2) for name, loss in baselines.items()}
    return baselines if all(trial.tokenizer == "char" for trial in trials) else {}
