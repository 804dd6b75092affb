"""The journal's record of who runs a study: corpus, versions, host and devices."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from pathlib import Path

import litegpt
from litegpt.results.events import StudyStarted
from litegpt.results.state import CorpusIdentity
from litegpt.run.context import RunContext
from litegpt.worker.messages import Ready

GIT_SECONDS = 2.0  # a repository on a slow disk must not delay the run


def study_started(context: RunContext, ready: Ready) -> StudyStarted:
    """Return the event that starts a run, recorded once the first worker is ready."""
    corpus = context.corpus
    return StudyStarted(
        study=context.study.name,
        corpus=CorpusIdentity(
            path=context.study.corpus,
            sha256=corpus.sha256,
            characters=corpus.characters,
            vocab_size=context.n_symbols,
        ),
        versions=_versions(ready.torch),
        host=socket.gethostname(),
        pid=os.getpid(),
        devices=[slot.device for slot in context.packing.slots],
        precision=ready.precision,
    )


def _versions(torch: str) -> dict[str, str]:
    versions = {"litegpt": litegpt.__version__}
    if commit := describe_commit():
        versions["commit"] = commit
    return {**versions, "python": platform.python_version(), "torch": torch}


def describe_commit(checkout: Path = Path(litegpt.__file__).parents[1]) -> str | None:
    """Return the commit of a checkout of litegpt, with -dirty appended if files differ from it.

    None for an installed package, or if git fails or is slow.
    """
    # An installed package may be inside the checkout of another project, so git alone cannot decide.
    if not (checkout / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
