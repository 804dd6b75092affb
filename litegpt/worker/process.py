"""A worker process: it lives on one device, trains the packs it is sent and leaves when its stdin ends.

Started as `python -m litegpt.worker.process --device cpu --threads 1`. Only messages go to stdout: all other output
is sent to stderr.
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
import warnings
from collections.abc import Callable
from functools import partial

from litegpt.worker.messages import Heartbeat, Message, Ready, StopPack, TrainPack, Unusable, parse

HEARTBEAT_SECONDS = 1.0


def main() -> int:
    """Serve packs until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the runner's to answer
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal is the runner's, too
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox = _Inbox()
    signal.signal(signal.SIGTERM, lambda *_: inbox.leave())
    threading.Thread(target=inbox.listen, daemon=True).start()

    one_at_a_time = threading.Lock()

    def send(message: Message) -> None:
        with one_at_a_time:
            try:
                pipe.write(message.line())
                pipe.flush()
            except BrokenPipeError:  # the runner is gone: what it left is the next one's, not a failure
                os._exit(0)

    pipe.write(b"\n")  # ends a line that a library may have begun
    threading.Thread(target=_beat, args=(send,), daemon=True).start()
    ready = _prepare(arguments.device, arguments.threads)
    send(ready)
    if isinstance(ready, Unusable):
        return 1
    from litegpt.worker.trainer import PackTrainer

    trainer = PackTrainer(arguments.device, send)
    while (pack := inbox.packs.get()) is not None:
        trainer.train(pack, partial(inbox.should_stop, pack.pack))
    os._exit(0)  # at an ordinary exit Python would abort: the listening thread holds stdin


class _Inbox:
    """What the runner asks for, read by a thread of its own."""

    def __init__(self) -> None:
        self.packs: queue.SimpleQueue[TrainPack | None] = queue.SimpleQueue()  # None: no more
        self._stopped: set[str] = set()
        self._leaving = False

    def listen(self) -> None:
        """Take requests off stdin. Its end means that the runner is gone and another may start: leave at once."""
        for line in sys.stdin.buffer:
            message = parse(line)
            if isinstance(message, TrainPack):
                self.packs.put(message)
            elif isinstance(message, StopPack):
                self._stopped.add(message.pack)
        os._exit(0)

    def leave(self) -> None:
        """Stop the pack at work, with checkpoints, and take no more."""
        self._leaving = True
        self.packs.put(None)

    def should_stop(self, pack: str) -> bool:
        """Tell whether a pack is to be stopped."""
        return self._leaving or pack in self._stopped


def _beat(send: Callable[[Message], None]) -> None:
    """Say every second that the process runs, until nobody listens."""
    with contextlib.suppress(OSError):
        while True:
            send(Heartbeat())
            time.sleep(HEARTBEAT_SECONDS)


def _prepare(device_name: str, threads: int) -> Ready | Unusable:
    import torch

    from litegpt.train.pack import resolve_precision

    # gradients lie in rows beside each other, as the weights do; autograd mistakes that for carelessness
    warnings.filterwarnings("ignore", message="grad and param do not obey")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # moments that fade to denormals would slow a CPU down
    device = torch.device(device_name)
    if device.type == "cuda":
        try:
            torch.cuda.set_device(device)  # streams, graphs and the generator are the current device's
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            return Unusable(reason=str(error).splitlines()[0])
        torch.backends.cuda.matmul.allow_tf32 = True
    return Ready(
        pid=os.getpid(),
        device=device_name,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        precision=resolve_precision("auto", device),
        torch=torch.__version__,
    )


if __name__ == "__main__":
    sys.exit(main())
