"""Checks that a study can run on its text, its device and its results: `litegpt-run` and `litegpt plan` make them."""

from __future__ import annotations

from dataclasses import replace

from litegpt.errors import InputError
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.fit import memory_shortage
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.edited import started_split
from litegpt.study.study import Study
from litegpt.text.corpus import Corpus
from litegpt.text.split import SplitText


def check_memory(study: Study, corpus: Corpus, device: DeviceSpec, workers: int) -> None:
    """Refuse models that do not fit on the device, before anything starts."""
    whole = replace(device, memory=device.memory * workers)
    for name, bound in study.bounds.items():
        trials = bound.candidates.trials if bound.candidates else ()
        if reason := memory_shortage(trials, len(corpus.symbols), device):
            fits_alone = workers > 1 and memory_shortage(trials, len(corpus.symbols), whole) is None
            remedy = "; it fits with --workers 1" if fits_alone else ""
            raise InputError(f"phase '{name}' does not fit: {reason}{remedy}", study.path)


def check_blocks(study: Study, corpus: Corpus) -> None:
    """Refuse a corpus that is shorter than a block of any possible trial."""
    candidates = (bound.candidates for bound in study.bounds.values())
    blocks = [trial.block_size for candidate in candidates if candidate for trial in candidate.trials]
    SplitText(corpus, study.split).check_length(max(blocks, default=1))


def check_results(study: Study, state: StudyState, corpus: Corpus, folder: StudyFolder) -> None:
    """Refuse to mix results of two texts, or of two splits of one text."""
    if state.corpus is None and state.counts()["done"]:
        raise InputError("these results were imported from another program; give the study another name", folder.path)
    if state.corpus is not None and state.corpus.sha256 not in (None, corpus.sha256):
        raise InputError(
            "the corpus is not the text that these results were trained on; "
            "give the study another name in [study], or use another --results folder",
            folder.path,
        )
    started = started_split(folder)
    if state.counts()["done"] and started is not None and (changes := study.split.changes(started)):
        key, now, then = changes[0]
        raise InputError(
            f"{key} is {now}, it was {then} when these results were trained, so their losses are not comparable; "
            "give the study another name in [study], or use another --results folder",
            study.path,
        )
