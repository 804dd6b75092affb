"""Child processes that run parts of this program.

`python -m` puts the current folder first on the import path, so a file such as torch.py beside a stranger's study
would run as code. Every child process is therefore started by these functions, which leave that folder out.
"""

from __future__ import annotations

import os
import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module in a new Python process."""
    return [sys.executable, "-P", "-m", module, *arguments]


def protect_pool() -> None:
    """Give the processes that multiprocessing starts from here the same protection."""
    os.environ["PYTHONSAFEPATH"] = "1"
