"""`litegpt`: the umbrella over the commands."""

from __future__ import annotations

import argparse
import importlib
import sys

from litegpt import __version__
from litegpt.cli.command import guarded

COMMANDS = {
    "run": "run a study, or what is left of it (also: litegpt-run)",
    "plan": "show what a study would run and what it costs",
    "status": "show how far a study is, and who runs it",
    "stop": "stop trials, or the whole run, with checkpoints",
    "pause": "pause the run: checkpoints are written, the workers wait",
    "resume": "go on after a pause",
    "retry": "queue trials again that failed, diverged or were stopped",
    "check": "verify a study's results, and repair them",
    "import": "bring in the results of another program as a study",
    "leaderboard": "rank the trials of a study",
    "promote": "write the next phase, from the best trials of one, into the study file",
    "importance": "tell which hyperparameters mattered",
    "sample": "generate text from a trial's weights",
    "corpus": "describe a text: its characters, odd ones, what is in it twice, n-gram losses",
    "clean": "make a text fit to train on: unwrapped, without headers, with plain quotes",
    "quantize": "keep a trial's weights in 8 or 4 bits",
    "report": "write a study up as a page of HTML and Markdown",
    "export": "write a study's trials and metrics as CSV, Parquet or TensorBoard files",
}
MODULES = {  # where a command has not a module of its name
    "import": "import_study",
    **dict.fromkeys(("stop", "pause", "resume", "retry"), "control"),
}


def main(argv: list[str] | None = None) -> int:
    """Entry of the script `litegpt`. Only the command that is called is imported."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="litegpt", description="Studies of small GPTs, from the terminal.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, description=summary)
    name = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(f"litegpt.cli.{MODULES.get(name, name)}")
    command = commands.choices[name]
    module.add_arguments(command)
    command.set_defaults(command=name)
    namespace = command.parse_intermixed_args(arguments[1:])  # options may stand between the names of trials
    return guarded(lambda: module.run(namespace))


if __name__ == "__main__":
    sys.exit(main())
