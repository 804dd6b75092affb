"""Command lines: errors in one line, and no abbreviated options."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from litegpt.cli.main import main
from litegpt.cli.run import main as run_main
from tui.app import main as console_main

COMMAND_LINES = {
    "an unknown command": (main, ["stat"], "litegpt: unknown command 'stat' (did you mean 'status'?)"),
    "a missing argument": (main, ["status"], "litegpt status: the following arguments are required: study"),
    "an unknown option": (main, ["status", "x.toml", "--tyop"], "unrecognized arguments: --tyop"),
    "an abbreviated option": (main, ["status", "x.toml", "--res", "y"], "unrecognized arguments: --res y"),
    "a wrong choice": (main, ["sample", "x", "--bits", "3"], "invalid choice: 3"),
    "a wrong number": (run_main, ["x.toml", "--workers", "two"], "litegpt-run: argument --workers: invalid int value"),
    "an abbreviation of litegpt-run": (run_main, ["x.toml", "--pat", "1"], "unrecognized arguments: --pat 1"),
    "an abbreviation of litegpt-tui": (console_main, ["--read"], "litegpt-tui: unrecognized arguments: --read"),
    "an escape sequence": (main, ["status", "x.toml", "--\x1b[31m"], "unrecognized arguments: --"),
}


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_wrong_command_line_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command: Callable[[list[str]], int]
    command, arguments, message = COMMAND_LINES[name]
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert message in line
    assert "--help" in line
    assert "\x1b" not in line
