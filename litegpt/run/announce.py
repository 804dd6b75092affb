"""What a runner tells the journal of itself when it comes and when it goes."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Sequence

from litegpt import __version__
from litegpt.results.events import StudyStarted
from litegpt.results.state import CorpusIdentity
from litegpt.run.commit import describe_commit
from litegpt.run.devices import WorkerPlace
from litegpt.study.study import Study
from litegpt.text.corpus import Corpus
from litegpt.worker.messages import Ready


def announcement(study: Study, corpus: Corpus, places: Sequence[WorkerPlace], ready: Ready) -> StudyStarted:
    """Return what the journal is told once the first worker is ready."""
    identity = CorpusIdentity(
        path=study.corpus,
        sha256=corpus.sha256,
        characters=corpus.characters,
        vocab_size=len(corpus.symbols),
    )
    return StudyStarted(
        study=study.name,
        corpus=identity,
        versions=_versions(ready.torch),
        host=socket.gethostname(),
        pid=os.getpid(),
        devices=[place.device for place in places],
        precision=ready.precision,
    )


def _versions(torch: str) -> dict[str, str]:
    commit = describe_commit()
    known = {"commit": commit} if commit else {}
    return {"litegpt": __version__, **known, "python": platform.python_version(), "torch": torch}
