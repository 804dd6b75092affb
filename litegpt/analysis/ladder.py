"""The text ladder: what a loss reads like, from gibberish to prose, and how much of it is copied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from litegpt.analysis.study_text import read_study_text
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.samples import Copied, Sample, read_samples
from litegpt.results.state import StudyState, TrialState
from litegpt.text.copied import CHARACTERS_MAX, CorpusIndex
from litegpt.text.split import SplitText

RUNGS = 18  # as many as the original's table has


@dataclass(frozen=True)
class Rung:
    """A sample and the loss it was written at; the text is the model's: make it `inert` before it is shown."""

    trial: TrialState
    sample: Sample
    loss: float
    copied: Copied | None  # None where nothing tells


class CopyMeter:
    """How much of a study's samples is copied: as it was measured when they were written, or measured now."""

    def __init__(self, folder: StudyFolder, state: StudyState) -> None:
        self._folder, self._state = folder, state

    def measure(self, sample: Sample) -> Copied | None:
        """Return the figures of a sample; None where it has none and the corpus is not at hand."""
        return sample.measured(self._index)

    @cached_property
    def _index(self) -> CorpusIndex | None:
        return study_corpus(self._folder, self._state)


def study_corpus(folder: StudyFolder, state: StudyState) -> CorpusIndex | None:
    """Return the corpus that a study ran on, prepared; None where it is too long, not at hand, or another by now."""
    if state.corpus is not None and state.corpus.characters > CHARACTERS_MAX:
        return None
    found = read_study_text(folder, state)
    if found is None:
        return None
    study, corpus = found
    try:
        return CorpusIndex.of(SplitText(corpus, study.split))
    except InputError:  # it changes at this moment
        return None


def read_rungs(
    folder: StudyFolder, trials: Iterable[TrialState], by: str = "val_loss", meter: CopyMeter | None = None
) -> list[Rung]:
    """Return every sample of the trials, the highest loss first.

    `by` is `val_loss` at the sample's own step, or another loss of TrialState, which only samples of the end have.
    """
    rungs: list[Rung] = []
    for trial in trials:
        for sample in read_samples(folder.trial(trial.phase, trial.id).samples):
            is_last = sample.step == trial.metrics.step
            loss = sample.loss if by == "val_loss" else trial.metrics.value(by) if is_last else None
            if loss is not None:
                rungs.append(Rung(trial, sample, loss, meter.measure(sample) if meter else None))
    return sorted(rungs, key=lambda rung: (-rung.loss, rung.trial.id, rung.sample.step))


def ladder(rungs: list[Rung], count: int = RUNGS) -> list[Rung]:
    """Return at most `count` rungs whose losses are spread evenly, the highest first; `rungs` is sorted so."""
    if len(rungs) <= count:
        return list(rungs)
    top, bottom = rungs[0].loss, rungs[-1].loss
    chosen: dict[int, Rung] = {}
    for place in range(count):
        wanted = top + (bottom - top) * place / (count - 1)
        nearest = min(range(len(rungs)), key=lambda i: abs(rungs[i].loss - wanted))
        chosen[nearest] = rungs[nearest]
    return [chosen[i] for i in sorted(chosen)]
