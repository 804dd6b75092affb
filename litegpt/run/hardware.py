"""The device that a worker will have, as a plan needs it: found out without loading torch."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from litegpt.estimate.device import DeviceSpec, profile_of
from litegpt.run.devices import WorkerPlace

PATIENCE_SECONDS = 10.0
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def present_device(places: Sequence[WorkerPlace]) -> DeviceSpec:
    """Return the device of the first place; its memory is shared evenly by the workers that are there."""
    workers = sum(place.device == places[0].device for place in places)
    device = _cpu() if places[0].device == "cpu" else _gpu(places[0].device)
    return replace(device, memory=device.memory / workers)


def _cpu() -> DeviceSpec:
    flags = _text(Path("/proc/cpuinfo")).split()
    limit = _text(Path("/sys/fs/cgroup/memory.max")).strip()  # a container's
    total = psutil.virtual_memory().total
    model = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return DeviceSpec(
        name=f"{model[1] if model else 'CPU'}, {os.cpu_count()} cores",
        kind="cpu",
        memory=min(total, int(limit)) if limit.isdecimal() else total,
        precision="bf16" if BF16_FLAGS & set(flags) else "fp32",
    )


def _gpu(place: str) -> DeviceSpec:
    """Return what the driver's own tool says of a GPU; without it the memory counts as endless."""
    unknown = DeviceSpec(name=place, kind="cuda", memory=math.inf, precision="bf16")
    number = int(place.partition(":")[2] or 0)
    visible = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    index = visible[number].strip() if number < len(visible) else str(number)
    query = [
        "nvidia-smi",
        f"--id={index}",
        "--query-gpu=name,memory.total,compute_cap",
        "--format=csv,noheader,nounits",
    ]
    try:
        said = subprocess.run(
            query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
        )
        name, mebibytes, capability = (part.strip() for part in said.stdout.splitlines()[0].split(","))
        found = DeviceSpec(
            name=name,
            kind="cuda",
            memory=float(mebibytes) * 2**20,
            precision="bf16" if float(capability) >= 8 else "fp16",
        )
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return unknown
    profile = profile_of(found.name)
    return found if profile is None else replace(profile, name=found.name, memory=found.memory)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
