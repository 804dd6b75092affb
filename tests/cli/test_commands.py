"""Output and exit codes of the commands."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.cli.main import COMMANDS
from tests.builders import study_text

ROOT = Path(__file__).parents[2]
FOUR_PHASES = str(ROOT / "studies" / "four_phases.toml")
EXPERIMENTS = str(ROOT / "experiments.toml")
KEYS = {
    *("name", "trials", "excluded", "max_iters", "parameters_min", "parameters_max", "flops", "from"),
    *("memory_bytes", "seconds", "misfit"),
}


def test_the_plan_of_the_original_study(litegpt) -> None:
    ran = litegpt("plan", FOUR_PHASES, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    plan = json.loads(ran.stdout)
    assert plan.keys() == {"study", "phases", "device", "seconds", "seconds_left"}
    assert plan["study"] == "four-phases"
    one, two, three, four = plan["phases"]
    assert one.keys() == three.keys() == KEYS
    assert two.keys() == four.keys() == KEYS | {"trials_max"}
    assert (one["trials"], one["excluded"], one["max_iters"], one["from"]) == (1316, 7, 500, None)
    assert (one["parameters_min"], one["parameters_max"]) == (109_629, 42_707_005)
    assert (three["trials"], three["max_iters"], three["from"]) == (45, 5000, None)
    assert three["flops"] == pytest.approx(1.71e17, rel=0.01)
    assert (two["trials"], two["max_iters"], two["from"]) == (None, 1500, "phase1")
    assert 320 <= two["trials_max"] <= 1316
    assert (four["trials"], four["trials_max"], four["max_iters"], four["from"]) == (None, 8, 10_000, "phase3")


def test_the_plan_for_another_device(litegpt) -> None:
    ran = litegpt("plan", FOUR_PHASES, "--device-profile", "h100-80g", "--json")
    plan = json.loads(ran.stdout)
    assert (plan["device"]["name"], plan["device"]["precision"]) == ("h100-80g", "bf16")
    assert plan["device"]["throughput"].startswith(("stated", "measured"))
    assert plan["seconds"] == pytest.approx(sum(phase["seconds"] for phase in plan["phases"]), abs=1)
    assert all(0 < phase["memory_bytes"] < 80e9 for phase in plan["phases"])
    assert 5 * 60 < plan["phases"][2]["seconds"] < 60 * 60, "45 trials of 5,000 iterations, 1.71e17 FLOP"
    ran = litegpt("plan", FOUR_PHASES, "--device-profile", "h100-80g")
    assert max(map(len, ran.stdout.splitlines()[:9])) <= 80
    assert "throughput: " in ran.stdout


def test_an_unknown_device_profile(litegpt) -> None:
    ran = litegpt("plan", FOUR_PHASES, "--device-profile", "h100-80")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "did you mean 'h100-80g'?" in ran.stderr


def test_the_plan_as_a_table(litegpt) -> None:
    ran = litegpt("plan", FOUR_PHASES)
    assert ran.returncode == 0
    rows = {line.split()[0]: line for line in ran.stdout.splitlines() if line.strip().startswith("phase")}
    assert rows.keys() >= {"phase", "phase1", "phase2", "phase3", "phase4"}
    assert "1,316" in ran.stdout
    assert "42.7M" in ran.stdout
    assert "\x1b" not in ran.stdout
    assert max(map(len, ran.stdout.splitlines()[:8])) <= 80


def test_a_dry_run_is_the_plan_and_writes_nothing(litegpt, tmp_path: Path) -> None:
    dry, plan = litegpt("run", "--dry-run", EXPERIMENTS), litegpt("plan", EXPERIMENTS)
    assert dry.returncode == plan.returncode == 0
    assert dry.stdout == plan.stdout
    assert json.loads(litegpt("run", "--dry-run", "--json", EXPERIMENTS).stdout)["study"] == "experiments"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["litegpt", "litegpt-run"])
def test_scripts_use_their_own_names(script: str) -> None:
    module = {"litegpt": "litegpt.cli.main", "litegpt-run": "litegpt.cli.run"}[script]
    ran = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"usage: {script}")
    version = subprocess.run([sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert version.stdout.strip().count(".") == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(litegpt, command: str) -> None:
    ran = litegpt(command, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"litegpt {command}" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_help_names_every_command(litegpt) -> None:
    ran = litegpt("--help")
    assert ran.returncode == 0
    assert COMMANDS.keys() <= set(ran.stdout.split())


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["plan"], ["plan", "a.toml", "--nonsense"]])
def test_bad_usage_ends_with_2(litegpt, arguments: list[str]) -> None:
    ran = litegpt(*arguments)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "--help" in ran.stderr


def test_without_a_command_the_commands_are_listed(litegpt) -> None:
    assert COMMANDS.keys() <= set(litegpt().stderr.split())


def test_a_closed_pipe_is_not_an_error() -> None:
    command = [sys.executable, "-m", "litegpt.cli.main", "plan", FOUR_PHASES, "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """Run a command with a terminal for stdout and stderr; return what it wrote."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "litegpt.cli.main", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )
    os.close(follower)
    written = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            # The last writer has closed its end.
            break
        if not data:
            break
        written += data
    os.close(leader)
    assert process.wait(60) == 0
    return written.decode()


def test_style_follows_the_terminal_and_no_color() -> None:
    assert "\x1b[" in on_a_terminal("plan", EXPERIMENTS)
    plain = on_a_terminal("plan", EXPERIMENTS, NO_COLOR="1")
    assert not any(f"\x1b[{code}m" in plain for code in (*range(30, 38), *range(90, 98)))
    assert "\x1b[" not in on_a_terminal("plan", EXPERIMENTS, TERM="dumb")


def test_a_glob_in_brackets_is_not_markup(litegpt, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be " * 50, encoding="utf-8")
    study = tmp_path / "s.toml"
    phase = '[[phase]]\nname = "one"\nmax_iters = 5\n[phase.grid]\nseed = [1]\n'
    study.write_text(study_text(phase, corpus="[a-c].txt"), encoding="utf-8")
    ran = litegpt("plan", "s.toml")
    assert ran.returncode == 0, ran.stderr
    assert "one" in ran.stdout
