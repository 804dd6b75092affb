"""The worker processes of a runner: starting them, exchanging messages with them, and ending them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from litegpt.processes import module_command
from litegpt.run.device_discovery import WorkerSlot
from litegpt.worker.messages import Message, parse

PIPE_BYTES = 1 << 20  # large enough that writing to a hung worker does not block the runner
GRACE_SECONDS = 5.0  # between asking a worker to exit and killing it

# By default glibc returns the memory of tensors to the system and requests it again many times per step.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


@dataclass(frozen=True)
class Lost:
    """The end of a worker's stdout: its process has ended, or is about to."""

    returncode: int | None


@dataclass(frozen=True)
class Mail:
    """A message from a worker, or the news that it is lost."""

    worker: str
    message: Message | Lost


@dataclass
class Worker:
    """One worker process, which trains at most one pack at a time."""

    name: str
    slot: WorkerSlot
    process: subprocess.Popen[bytes] = field(repr=False)
    is_ready: bool = False
    precision: str = "auto"  # what 'auto' means on its device, once it is ready

    def send(self, message: Message) -> None:
        """Send a message. A worker that has ended is reported by its Lost mail, not here."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(message.line())
            self.process.stdin.flush()


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; a symlink is refused, because it could point out of the results folder."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))


class Workers:
    """Starts worker processes and passes their messages, in order, to `deliver`; their stderr goes to `log`."""

    def __init__(self, log: Path, deliver: Callable[[Mail], None]) -> None:
        self._log = log
        self._deliver = deliver
        self.by_name: dict[str, Worker] = {}
        self._started = 0

    def start(self, slot: WorkerSlot) -> Worker:
        """Start a worker in a slot."""
        self._started += 1
        name = f"w{self._started}"
        command = module_command("litegpt.worker", "--device", slot.device, "--threads", str(slot.threads))
        environment = {**ALLOCATOR, **os.environ, "OMP_NUM_THREADS": str(slot.threads), "PYTHONUNBUFFERED": "1"}
        with open_log(self._log) as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                pipesize=PIPE_BYTES,
            )
        worker = Worker(name, slot, process)
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
        """Remove a worker and make sure that its process has ended."""
        process = self.by_name.pop(name).process
        process.kill()
        process.wait()

    def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End every worker: close its input, send TERM after half of the grace period, and KILL at its end."""
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
