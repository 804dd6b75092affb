"""Every file of a results folder, in every hostile form, read by every command; run as a process of its own.

    python -m tests.cli.hostile_matrix FOLDER [--full]

It limits its own memory and the time of each command, and prints a JSON object with the number of cases and the
problems: a hang, a traceback, a message of several lines, or the text of a private file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from litegpt.cli.main import main

KEPT = Path(__file__).parents[1] / "results" / "written_by_0_1"
TRIAL = "1x4-t8-b2-lr0.01-i20-7a01aedb"
SECRET = "SECRET-4711"
MEMORY_BYTES = 6 << 30
COMMAND_SECONDS = 20.0
SPARSE_BYTES = 20 << 30
CORPUS = "the cat sat on the mat and the dog ran over the hill " * 40

FILES = (
    "autotune.json",
    "kept/journal.jsonl",
    "kept/study.toml",
    "kept/runner.lock",
    "kept/runner.log",
    "kept/baselines.json",
    "kept/requests",
    "kept/tokenizers",
    "kept/first",
    f"kept/first/{TRIAL}",
    f"kept/first/{TRIAL}/metrics.jsonl",
    f"kept/first/{TRIAL}/samples.jsonl",
    f"kept/first/{TRIAL}/best.safetensors",
    f"kept/first/{TRIAL}/checkpoint.safetensors",
    f"kept/first/{TRIAL}/error.txt",
)


def write(data: bytes) -> Callable[[Path, Path], object]:
    return lambda path, secret: path.write_bytes(data)


MUTATIONS: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda path, secret: None,
    "empty": write(b""),
    "binary": write(bytes(range(256)) * 64),
    "pipe": lambda path, secret: os.mkfifo(path),
    "link to a secret": lambda path, secret: path.symlink_to(secret),
    "link to a device": lambda path, secret: path.symlink_to("/dev/zero"),
    "link to itself": lambda path, secret: path.symlink_to(path.name),
    "folder": lambda path, secret: path.mkdir(),
    "huge": lambda path, secret: (path.touch(), os.truncate(path, SPARSE_BYTES)),
    "nested deeply": write(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "a long number": write(b'{"sha256": "x", "pid": 1%b, "val_loss": {"trigram": 1%b}}' % (b"0" * 400, b"0" * 400)),
}
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "status": lambda root: ["status", str(root / "kept.toml"), "--results", str(root)],
    "status --json": lambda root: ["status", str(root / "kept.toml"), "--results", str(root), "--json"],
    "check": lambda root: ["check", str(root / "kept")],
    "check --repair": lambda root: ["check", str(root / "kept"), "--repair"],
    "leaderboard": lambda root: ["leaderboard", str(root / "kept")],
    "importance": lambda root: ["importance", str(root / "kept")],
    "plan": lambda root: ["plan", str(root / "kept.toml"), "--results", str(root)],
    "retry": lambda root: ["retry", str(root / "kept.toml"), "--results", str(root)],
    "stop": lambda root: ["stop", str(root / "kept.toml"), "--results", str(root)],
    "export": lambda root: ["export", str(root / "kept"), "--out", str(root / "out")],
    "report": lambda root: ["report", str(root / "kept"), "--out", str(root / "out")],
}
ALWAYS = ("check",)  # the quick matrix runs this and one other command in each case


class HangError(BaseException):
    """A command has not ended in time."""


def hang(*_: object) -> None:
    raise HangError


def cases(is_full: bool) -> Iterator[tuple[str, str, str]]:
    others = itertools.cycle([command for command in COMMANDS if command not in (*ALWAYS, "report")])
    for file, mutation in itertools.product(FILES, MUTATIONS):
        for command in COMMANDS if is_full else (*ALWAYS, next(others)):
            yield file, mutation, command
    # The report takes a second, so the quick matrix writes it only where it shows a file as it is.
    if not is_full:
        for mutation in MUTATIONS:
            yield "kept/study.toml", mutation, "report"


def prepare(root: Path, file: str, mutation: str) -> None:
    """Write fresh results with one file in a hostile form."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(KEPT, root)
    (root / "corpus.txt").write_text(CORPUS, encoding="utf-8")
    secret = root.parent / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    study = (root / "kept" / "study.toml").read_text(encoding="utf-8")
    (root / "kept.toml").write_text(study, encoding="utf-8")
    path = root / file
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    MUTATIONS[mutation](path, secret)


def run(arguments: list[str]) -> tuple[str, str]:
    """Run a command in this process; return its output, and what is wrong with it."""
    out, err = io.StringIO(), io.StringIO()
    problem = ""
    signal.setitimer(signal.ITIMER_REAL, COMMAND_SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: Any = main(arguments)
        if code == 2 and len(err.getvalue().splitlines()) != 1:
            problem = f"not one line: {err.getvalue()!r}"
    except HangError:
        problem = "hangs"
    except SystemExit as ended:
        problem = f"exits with {ended.code}: {err.getvalue()}"
    except BaseException:
        problem = traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return out.getvalue() + err.getvalue(), problem


def run_matrix(folder: Path, is_full: bool) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, hang)
    root = folder / "results"
    problems: list[str] = []
    count = 0
    for file, mutation, command in cases(is_full):
        prepare(root, file, mutation)
        output, problem = run(COMMANDS[command](root))
        pages = "".join(path.read_text(errors="replace") for path in (root / "out").glob("report.*"))
        if SECRET in output + pages:
            problem = f"publishes a private file {problem}"
        if problem:
            problems.append(f"{file} | {mutation} | {command}: {problem}")
        count += 1
    return {"cases": count, "problems": problems}


if __name__ == "__main__":
    print(json.dumps(run_matrix(Path(sys.argv[1]), "--full" in sys.argv)))  # noqa: T201
