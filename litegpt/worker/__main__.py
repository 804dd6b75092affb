"""The worker process: trains the packs that it receives on stdin, and exits when stdin ends.

The runner starts it as `python -m litegpt.worker --device cpu --threads 1`. Only messages go to stdout; all other
output goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from litegpt.worker.messages import Heartbeat, Message, Ready, StopPack, TrainPack, Unusable, parse

HEARTBEAT_SECONDS = 1.0
WSL_DEVICE = Path("/dev/dxg")  # the GPUs of Windows, in WSL2
DEVICE_FAILED = 75  # exit status; the runner queues the trials again


def main() -> int:
    """Serve packs until stdin ends."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    # Ctrl-C and a closing terminal reach the whole process group. Only the runner answers them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The pipe to the runner moves to a descriptor of its own, so that output of libraries cannot mix with messages.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox = _Inbox()
    signal.signal(signal.SIGTERM, lambda *_: inbox.leave())
    threading.Thread(target=inbox.listen, daemon=True).start()

    send_lock = threading.Lock()

    def send(message: Message) -> None:
        with send_lock:
            try:
                pipe.write(message.line())
                pipe.flush()
            except BrokenPipeError:
                # The runner has ended. The next runner resumes this pack, so this is not a failure.
                os._exit(0)

    # A library may have written a part of a line to stdout. This ends it.
    pipe.write(b"\n")
    threading.Thread(target=_beat, args=(send,), daemon=True).start()
    ready = _prepare(arguments.device, arguments.threads)
    send(ready)
    if isinstance(ready, Unusable):
        return 1
    from litegpt.worker.trainer import DeviceFailedError, PackTrainer

    trainer = PackTrainer(arguments.device, send)
    while (pack := inbox.packs.get()) is not None:
        try:
            trainer.train(pack, partial(inbox.should_stop, pack.pack))
        except DeviceFailedError:
            traceback.print_exc()
            os._exit(DEVICE_FAILED)
    # An ordinary exit would abort, because the listening thread holds the lock of stdin.
    os._exit(0)


class _Inbox:
    """The runner's messages, read by a separate thread."""

    def __init__(self) -> None:
        self.packs: queue.SimpleQueue[TrainPack | None] = queue.SimpleQueue()  # None ends the worker
        self._stopped: set[str] = set()
        self._is_leaving = False

    def listen(self) -> None:
        """Read messages from stdin. Its end means that the runner has ended and another may start: exit at once."""
        for line in sys.stdin.buffer:
            message = parse(line)
            if isinstance(message, TrainPack):
                self.packs.put(message)
            elif isinstance(message, StopPack):
                self._stopped.add(message.pack)
        os._exit(0)

    def leave(self) -> None:
        """Stop the current pack, with checkpoints, and accept no other."""
        self._is_leaving = True
        self.packs.put(None)

    def should_stop(self, pack: str) -> bool:
        """Return whether a pack is to be stopped."""
        return self._is_leaving or pack in self._stopped


def _beat(send: Callable[[Message], None]) -> None:
    """Send a heartbeat every second until the pipe is closed."""
    with contextlib.suppress(OSError):
        while True:
            send(Heartbeat())
            time.sleep(HEARTBEAT_SECONDS)


def _prepare(device_name: str, threads: int) -> Ready | Unusable:
    import torch

    from litegpt.train.pack import configure_torch, limit_memory, resolve_precision

    configure_torch()
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    if device.type == "cuda":
        try:
            # Streams, graphs and the random generator belong to the current device.
            torch.cuda.set_device(device)
            torch.zeros(1, device=device)
            if WSL_DEVICE.exists():
                limit_memory(device)
        except (RuntimeError, AssertionError) as error:
            return Unusable(reason=str(error).splitlines()[0])
    return Ready(
        pid=os.getpid(),
        device=device_name,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        precision=resolve_precision("auto", device),
        torch=torch.__version__,
    )


if __name__ == "__main__":
    sys.exit(main())
