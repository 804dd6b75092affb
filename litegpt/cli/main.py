"""The script `litegpt`, which calls one command."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from litegpt import __version__
from litegpt.arguments import Parser
from litegpt.cli.command import Exit, guarded
from litegpt.errors import did_you_mean

COMMANDS = {
    "init": "write a study for your text, sized to this machine and your time",
    "run": "run or resume a study (also: litegpt-run)",
    "plan": "show what a study would run and what it costs",
    "status": "show progress and the current runner",
    "stop": "stop trials, or the whole run, with checkpoints",
    "pause": "pause the run with checkpoints; its workers stay",
    "resume": "continue a paused run",
    "retry": "queue failed, diverged or stopped trials again",
    "check": "verify a study's results; --repair fixes them",
    "import": "import the results of another program as a study",
    "leaderboard": "rank the trials of a study",
    "promote": "append the next phase, from the best trials of one, to the study file",
    "importance": "measure how much each hyperparameter matters",
    "sample": "generate text from a trial's weights",
    "samples": "show what the models of a study write at each loss",
    "corpus": "describe a text: characters, odd ones, duplicates, n-gram losses",
    "clean": "clean a text for training: unwrap lines, remove headers, use plain quotes",
    "quantize": "quantize a trial's weights to 8 or 4 bits",
    "report": "write a report of a study in HTML and Markdown",
    "export": "export trials and metrics as CSV, Parquet or TensorBoard files",
    "completion": "print a script that completes commands and options in a shell",
}
# The modules of the commands whose module has another name.
MODULES = {
    "import": "import_study",
    **dict.fromkeys(("stop", "pause", "resume", "retry"), "control"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the script `litegpt`. Only the module of the called command is imported."""
    arguments = sys.argv[1:] if argv is None else argv
    parser, commands = build_parsers()
    if not arguments:
        parser.print_help(sys.stderr)
        return Exit.BAD_INPUT
    if not arguments[0].startswith("-") and arguments[0] not in commands:
        parser.error(f"unknown command {arguments[0]!r}{did_you_mean(arguments[0], commands)}")
    name = parser.parse_args(arguments[:1]).command
    module = module_of(name)
    command = commands[name]
    module.add_arguments(command)
    command.set_defaults(command=name)
    # Options may be written between the names of trials.
    namespace = command.parse_intermixed_args(arguments[1:])
    return guarded(lambda: module.run(namespace))


def build_parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of `litegpt`, and those of the commands, which have no arguments yet."""
    parser = Parser(prog="litegpt", description="Studies of small GPTs, from the terminal.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, description=summary)
    return parser, commands.choices


def module_of(command: str) -> Any:
    """Import the module of a command. It has the functions `add_arguments` and `run`."""
    return importlib.import_module(f"litegpt.cli.{MODULES.get(command, command)}")


if __name__ == "__main__":
    sys.exit(main())
