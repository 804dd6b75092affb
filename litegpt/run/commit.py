"""Which commit of litegpt runs, where it runs from a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import litegpt

PATIENCE_SECONDS = 2.0


def describe_commit(checkout: Path = Path(litegpt.__file__).parents[1]) -> str | None:
    """Return the commit, ending in -dirty where files differ from it; None where there is none, or git is slow."""
    if not (checkout / ".git").exists():  # an installed package may lie inside another project's checkout
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # only looks
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
