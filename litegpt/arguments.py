"""The parser of every command line: no abbreviated options, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from litegpt.display import inert


class Parser(argparse.ArgumentParser):
    """An ArgumentParser for scripts that must keep working when options are added.

    An abbreviation such as --res would become ambiguous with the next option that starts like it.
    """

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        super().__init__(prog, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        line = " ".join(message.split())
        print(f"{self.prog}: {inert(line)}; see {self.prog} --help", file=sys.stderr)  # noqa: T201
        sys.exit(2)
