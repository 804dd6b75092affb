"""Everything that the parts of a run share."""

from __future__ import annotations

from dataclasses import dataclass

from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.packing import Packing
from litegpt.run.runner_journal import RunnerJournal
from litegpt.study.study import Study
from litegpt.text.corpus import Corpus


@dataclass(frozen=True)
class RunContext:
    """One run of one study: its input, its results folder, its worker slots and its journal."""

    study: Study
    corpus: Corpus
    folder: StudyFolder
    packing: Packing
    journal: RunnerJournal

    @property
    def state(self) -> StudyState:
        """The state of the study according to the journal."""
        return self.journal.state

    @property
    def n_symbols(self) -> int:
        """The number of different characters in the corpus."""
        return len(self.corpus.symbols)
