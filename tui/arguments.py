"""The command line of `litegpt-tui`."""

from __future__ import annotations

import argparse
from pathlib import Path

from litegpt import __version__


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments; --help and a mistake end the process, as argparse does."""
    parser = argparse.ArgumentParser(prog="litegpt-tui", description="The console of a study of small GPTs.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "study", nargs="?", type=Path, help="a study file, or a study's results folder (default: experiments.toml)"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")
    parser.add_argument("--readonly", action="store_true", help="look without touching: nothing is launched or written")
    parser.add_argument("--replay", type=_speed, metavar="SPEED", help="play a study back, SPEED times as fast")
    parser.add_argument(
        "--serve", action="store_true", help="open it in a browser, on this machine only; prints the address"
    )
    parser.add_argument("--port", type=_port, default=8000, help="the port for --serve (default: 8000)")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: a number from 1 to 65535")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no speed: a number above 0, for example 20")
    return speed
