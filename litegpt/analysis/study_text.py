"""The text that a study ran on, read again."""

from __future__ import annotations

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.study.study import Study, read_study
from litegpt.text.corpus import Corpus, read_corpus


def read_study_text(folder: StudyFolder, state: StudyState) -> tuple[Study, Corpus] | None:
    """Return a study as it ran, and its text; None where either is not at hand, or is another text by now.

    An imported study's text is whatever its study file names.
    """
    try:
        study = read_study(folder.snapshot)
        corpus = read_corpus(study.corpus, study.corpus_base)
        is_another = state.corpus is not None and corpus.sha256 != state.corpus.sha256
    except InputError:
        return None
    return None if is_another else (study, corpus)
