"""`python -m litegpt` is the command `litegpt`."""

from __future__ import annotations

import sys

from litegpt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
