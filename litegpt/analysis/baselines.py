"""The n-gram baselines of a study: measured once, then read from `results/<study>/baselines.json`.

Reading them loads nothing heavy; measuring them loads numpy and takes a second for each few million characters.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence

from litegpt.analysis.page import Block, Grid, Paragraph
from litegpt.analysis.study_text import read_study_text
from litegpt.plan.errors import InputError
from litegpt.plan.split import SplitText
from litegpt.plan.whole_file import write_whole
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState, TrialState

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
        return measure_baselines(folder, corpus.split(study.split))
    except InputError:  # too short to have any
        return None


def measure_baselines(folder: StudyFolder, split: SplitText) -> Baselines:
    """Return the baselines of a text, measured and put on record unless they are. InputError: it is too short."""
    known = _read(folder, split.corpus.sha256)
    if known is not None:
        return known
    split.check_length(1)
    from litegpt.text.baselines import baseline_losses  # it loads numpy

    losses = baseline_losses(split.train_text, split.validation_text)
    record = {"sha256": split.corpus.sha256, **split.rule.keys, "val_loss": losses}
    with contextlib.suppress(OSError):  # results that may only be read are measured each time
        write_whole(folder.path / FILE_NAME, json.dumps(record, indent=1).encode() + b"\n")
    return losses


def _read(folder: StudyFolder, sha256: str) -> Baselines | None:
    try:
        record = json.loads((folder.path / FILE_NAME).read_text(encoding="utf-8"))
        losses = {str(name): float(loss) for name, loss in record["val_loss"].items()}
        known = record["sha256"] == sha256
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none yet, or damaged: measured again
        return None
    return losses if known and all(map(math.isfinite, losses.values())) else None


def beats_bar(loss: float | None, baselines: Baselines | None) -> bool | None:
    """Whether a validation loss is better than the trigram's; None where one of them is unknown."""
    return None if loss is None or baselines is None or BAR not in baselines else loss < baselines[BAR]


def baseline_blocks(baselines: Baselines | None, trials: Sequence[TrialState]) -> Iterator[Block]:
    """Yield what a report says of the baselines, nothing where there are none."""
    if not baselines:
        return
    losses = [trial.best_val_loss for trial in trials if trial.state == "done" and trial.best_val_loss is not None]
    yield Paragraph(
        "What counting alone predicts, on the same validation text: n-grams of characters with Kneser-Ney smoothing."
    )
    rows = tuple(
        (name, f"{loss:.4f}", f"{sum(own < loss for own in losses):,} of {len(losses):,}")
        for name, loss in baselines.items()
    )
    yield Grid(("baseline", "validation loss", "trials that beat it"), rows, ("baseline",))
