"""The n-gram baselines of a study: measured once, then read from `results/<study>/baselines.json`.

Reading them loads nothing heavy; measuring them loads numpy and takes a second for each few million characters.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from litegpt.analysis.page import Block, Grid, Paragraph
from litegpt.analysis.study_text import read_study_text
from litegpt.errors import InputError
from litegpt.files import write_whole
from litegpt.results.folder import StudyFolder
from litegpt.results.metric import bits_per_char
from litegpt.results.state import StudyState, TrialState
from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.split import SplitText

BAR = "trigram"
"""What a trial should beat: it has seen more than two characters."""
FILE_NAME = "baselines.json"

Baselines = Mapping[str, float]
"""The validation loss of each baseline by its name, in nats a character."""


def read_baselines(folder: StudyFolder, state: StudyState) -> Baselines | None:
    """Return the baselines on record for the text that a study ran on; None where there are none."""
    return None if state.corpus is None else _read(folder, state.corpus.sha256)


def study_baselines(folder: StudyFolder, state: StudyState) -> Baselines | None:
    """Return the baselines of a study, measured and put on record if need be; None where its text is not at hand."""
    known = read_baselines(folder, state)
    if known is not None:
        return known
    found = read_study_text(folder, state)
    if found is None:
        return None
    study, corpus = found
    try:
        return measure_baselines(folder, SplitText(corpus, study.split))
    except InputError:  # too short to have any
        return None


def measure_baselines(folder: StudyFolder, split: SplitText) -> Baselines:
    """Return the baselines of a text, measured and put on record unless they are. InputError: it is too short."""
    known = _read(folder, split.corpus.sha256, split.rule)
    if known is not None:
        return known
    split.check_length(1)
    from litegpt.text.ngram import ngram_losses  # it loads numpy

    losses = ngram_losses(split)
    record = {"sha256": split.corpus.sha256, **split.rule.keys, "val_loss": losses}
    with contextlib.suppress(OSError):  # results that may only be read are measured each time
        write_whole(folder.path / FILE_NAME, json.dumps(record, indent=1).encode() + b"\n")
    return losses


def _read(folder: StudyFolder, sha256: str, rule: SplitRule | None = None) -> Baselines | None:
    try:
        record = json.loads((folder.path / FILE_NAME).read_text(encoding="utf-8"))
        losses = {str(name): float(loss) for name, loss in record["val_loss"].items()}
        known = record["sha256"] == sha256
        if rule is not None:
            known &= all(record[key] == value for key, value in rule.keys.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none yet, or damaged: measured again
        return None
    return losses if known and all(map(math.isfinite, losses.values())) else None


def beats_bar(bits: float | None, baselines: Baselines | None) -> bool | None:
    """Whether bits per character are fewer than the trigram's; None where one of them is unknown."""
    bar = bits_per_char(baselines.get(BAR)) if baselines else None
    return None if bits is None or bar is None else bits < bar


def baseline_levels(baselines: Baselines | None, trials: Iterable[Trial], figure: str) -> Baselines:
    """Return where the baselines stand beside a figure of trials; nowhere if it is a loss of other tokens than theirs.

    `figure` is a loss of RANKINGS or metrics.jsonl, or bits per character.
    """
    if not baselines:
        return {}
    if figure in ("bits_per_char", "best_bits_per_char"):
        return {name: loss / math.log(2) for name, loss in baselines.items()}
    return baselines if all(trial.tokenizer == "char" for trial in trials) else {}


def baseline_blocks(baselines: Baselines | None, trials: Sequence[TrialState]) -> Iterator[Block]:
    """Yield what a report says of the baselines, nothing where there are none."""
    if not baselines:
        return
    is_in_characters = all(trial.settings.tokenizer == "char" for trial in trials)
    figure = "best_val_loss" if is_in_characters else "best_bits_per_char"
    known = [own for trial in trials if trial.state == "done" and (own := trial.metrics.value(figure)) is not None]
    levels = baseline_levels(baselines, [], figure)
    yield Paragraph(
        "What counting alone predicts, on the same validation text: n-grams of characters with Kneser-Ney smoothing."
    )
    rows = tuple(
        (name, f"{level:.4f}", f"{sum(own < level for own in known):,} of {len(known):,}")
        for name, level in levels.items()
    )
    unit = "validation loss" if is_in_characters else "bits per character"
    yield Grid(("baseline", unit, "trials that beat it"), rows, ("baseline",))
