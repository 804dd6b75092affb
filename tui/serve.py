"""`litegpt-tui --serve`: the console in a browser."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys

from litegpt.plan.errors import InputError

HOST = "127.0.0.1"  # this machine only: whoever reaches the page can launch studies


def serve(arguments: argparse.Namespace) -> None:
    """Serve the console until interrupted. Raises InputError without textual-serve."""
    try:
        server = importlib.import_module("textual_serve.server")
    except ImportError:
        raise InputError("--serve needs textual-serve: pip install textual-serve") from None
    command = [sys.executable, "-m", "tui.app", "--results", str(arguments.results)]
    command += ["--readonly"] if arguments.readonly else []
    command += ["--replay", str(arguments.replay)] if arguments.replay else []
    command += [str(arguments.study)] if arguments.study else []
    server.Server(shlex.join(command), host=HOST, port=arguments.port, title="litegpt").serve()
