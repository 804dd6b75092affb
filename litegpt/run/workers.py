"""The worker processes of a runner: started, spoken to, listened to and ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from litegpt.run.devices import WorkerPlace
from litegpt.worker.messages import Message, parse

PIPE_BYTES = 1 << 20  # a worker that hangs must not hold up the runner, which writes to it
GRACE_SECONDS = 5.0  # between asking a worker to leave and ending it

# Left alone, glibc gives tensors back to the system and takes them again, page by page, many times a step.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


@dataclass(frozen=True)
class Lost:
    """A worker's stdout has ended: the process is gone, or as good as gone."""

    returncode: int | None


@dataclass(frozen=True)
class Mail:
    """What came from a worker, or of it."""

    worker: str
    message: Message | Lost


@dataclass
class Worker:
    """One worker process. It may have at most one pack."""

    name: str
    place: WorkerPlace
    process: subprocess.Popen[bytes] = field(repr=False)
    ready: bool = False
    precision: str = "auto"  # what it resolves to, once ready

    def send(self, message: Message) -> None:
        """Send a message; a worker that is gone is told of by its Lost mail, not here."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(message.line())
            self.process.stdin.flush()


def open_log(path: Path) -> IO[bytes]:
    """Open a log to append to, wherever it does not lead out of the results by a link."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))


class Workers:
    """Starts worker processes and hands on what they say, in order, by `deliver`; their stderr goes to `log`."""

    def __init__(self, log: Path, deliver: Callable[[Mail], None]) -> None:
        self._log, self._deliver = log, deliver
        self.by_name: dict[str, Worker] = {}
        self._started = 0

    def start(self, place: WorkerPlace) -> Worker:
        """Start a worker at a place."""
        self._started += 1
        name = f"w{self._started}"
        command = [sys.executable, "-m", "litegpt.worker.process"]
        command += ["--device", place.device, "--threads", str(place.threads)]
        environment = {**ALLOCATOR, **os.environ, "OMP_NUM_THREADS": str(place.threads), "PYTHONUNBUFFERED": "1"}
        with open_log(self._log) as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                pipesize=PIPE_BYTES,
            )
        worker = Worker(name, place, process)
        self.by_name[name] = worker
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            message = parse(line)
            if message is not None:
                self._deliver(Mail(worker.name, message))
        try:
            returncode = worker.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            returncode = None
        self._deliver(Mail(worker.name, Lost(returncode)))

    def forget(self, name: str) -> None:
        """Take a worker off the list and make sure that its process has ended."""
        process = self.by_name.pop(name).process
        process.kill()
        process.wait()

    def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End every worker: end of input first, then TERM at half of the grace, then KILL."""
        processes = [worker.process for worker in self.by_name.values()]
        self.by_name.clear()
        for process in processes:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        for end in (subprocess.Popen.terminate, subprocess.Popen.kill):
            for process in processes:
                try:
                    process.wait(grace_seconds / 2)
                except subprocess.TimeoutExpired:
                    end(process)
        for process in processes:
            process.wait()
