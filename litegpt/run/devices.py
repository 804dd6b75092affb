"""Which devices a runner gives its workers, found out without loading torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from litegpt.errors import InputError
from litegpt.estimate.device import cores

DEVICE = re.compile(r"cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class WorkerPlace:
    """Where one worker computes: its device and how many CPU threads it may use."""

    device: str  # 'cpu' or 'cuda:N'
    threads: int


def worker_places(device: str = "auto", workers: int | None = None) -> list[WorkerPlace]:
    """Return a place for each worker: one a GPU, or one a CPU core.

    On a CPU one-thread workers beat one worker with many threads: small matrices split badly, whole trials well.
    `device` is auto, cpu, cuda (every GPU) or cuda:N; `workers` overrides the count. Raises InputError otherwise.
    """
    if device != "auto" and not DEVICE.fullmatch(device):
        raise InputError(f"--device {device}: it is auto, cpu, cuda or cuda:N")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: at least one is needed")
    gpus = count_gpus() if device in ("auto", "cuda") else 0
    if device == "cuda" and not gpus:
        raise InputError("--device cuda: no GPU was found; leave the option out to train on the CPU")
    if gpus or device.startswith("cuda:"):
        devices = [device] if device.startswith("cuda:") else [f"cuda:{index}" for index in range(gpus)]
        count = workers or len(devices)
        return [WorkerPlace(devices[i % len(devices)], max(1, cores() // count)) for i in range(count)]
    count = workers or cores()
    return [WorkerPlace("cpu", max(1, cores() // count))] * count


def count_gpus() -> int:
    """Return how many NVIDIA GPUs a process may use, as the driver's device files and CUDA_VISIBLE_DEVICES tell."""
    present = len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    return min(present, len([entry for entry in visible.split(",") if entry.strip() not in ("", "-1")]))
