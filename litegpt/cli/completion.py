"""`litegpt completion SHELL`: a script with which a shell completes commands, options and file names."""

from __future__ import annotations

import argparse
from pathlib import Path

from litegpt.arguments import Parser
from litegpt.cli import run as run_command
from litegpt.cli.command import Exit
from litegpt.cli.main import build_parsers, module_of

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        'for this shell only:  eval "$(litegpt completion bash)"\nfor all later shells: add that line to ~/.bashrc'
    )
    parser.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace) -> Exit:
    """Print the script for `litegpt` and `litegpt-run`."""
    import shtab

    litegpt, commands = build_parsers()
    for name, command in commands.items():
        module_of(name).add_arguments(command)
    litegpt_run = Parser(prog="litegpt-run")
    run_command.add_arguments(litegpt_run)
    for parser in (*commands.values(), litegpt_run):
        for action in parser._actions:
            if action.type is Path:
                setattr(action, "complete", shtab.FILE)  # noqa: B010 (shtab reads this attribute)
    for parser in (litegpt, litegpt_run):
        print(shtab.complete(parser, arguments.shell))
    return Exit.WELL
