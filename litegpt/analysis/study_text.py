"""The text that a study ran on, and how much of it the study's samples copy."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.samples import Copied, Sample
from litegpt.results.state import StudyState
from litegpt.study.study import Study, read_study
from litegpt.text.corpus import Corpus, read_corpus
from litegpt.text.split import SplitText

if TYPE_CHECKING:
    from litegpt.text.copied import CorpusIndex


def read_study_text(folder: StudyFolder, state: StudyState) -> tuple[Study, Corpus] | None:
    """Return a study as it ran, and its text; None if one of them is missing or the text has changed.

    The text of an imported study is the one that its study file names.
    """
    try:
        study = read_study(folder.snapshot, follow_links=False)
        corpus = read_corpus(study.corpus, study.corpus_base)
        has_changed = state.corpus is not None and corpus.sha256 != state.corpus.sha256
    except InputError:
        return None
    return None if has_changed else (study, corpus)


def study_corpus(folder: StudyFolder, state: StudyState) -> CorpusIndex | None:
    """Return an index of a study's text; None if the text is too long, missing, or has changed."""
    # NumPy takes a moment to load, and most readers of this module do not need it.
    from litegpt.text.copied import CHARACTERS_MAX, CorpusIndex

    if state.corpus is not None and state.corpus.characters > CHARACTERS_MAX:
        return None
    study_and_corpus = read_study_text(folder, state)
    if study_and_corpus is None:
        return None
    study, corpus = study_and_corpus
    try:
        return CorpusIndex.of(SplitText(corpus, study.split))
    except InputError:
        # The text changes at this moment.
        return None


class CopyMeter:
    """Measures how much of a study's samples is copied, unless that was measured when they were written."""

    def __init__(self, folder: StudyFolder, state: StudyState) -> None:
        self._folder = folder
        self._state = state

    def measure(self, sample: Sample) -> Copied | None:
        """Return how much of a sample is copied; None without a record and without the corpus."""
        return sample.measured(self._index)

    @cached_property
    def _index(self) -> CorpusIndex | None:
        return study_corpus(self._folder, self._state)
