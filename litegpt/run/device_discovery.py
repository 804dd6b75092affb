"""The devices of this machine, found without loading torch: how many, what memory, and how fast."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

import litegpt
from litegpt.errors import InputError
from litegpt.estimate.device import DeviceSpec, cores, profile_of
from litegpt.estimate.forecast import Throughput
from litegpt.results.tuning import FILE, measurements, read_tuned

DEVICE = re.compile(r"cpu|cuda(:\d+)?")
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
DEVICE_FILES = Path("/dev")
DRIVER_SECONDS = 10.0  # how long nvidia-smi may take
BENCHES = Path(litegpt.__file__).parents[1] / "bench" / "results"  # exists only in a checkout


@dataclass(frozen=True)
class WorkerSlot:
    """A place for one worker: its device, and how many CPU threads it may use."""

    device: str  # 'cpu' or 'cuda:N'
    threads: int


def worker_slots(device: str = "auto", workers: int | None = None) -> list[WorkerSlot]:
    """Return one slot per worker: by default one per GPU, or one per CPU core. InputError: invalid options.

    Several one-thread workers train faster on a CPU than one worker with several threads, because small matrices split
    badly over threads. `device` is auto, cpu, cuda (every GPU) or cuda:N; `workers` overrides the count.
    """
    if device != "auto" and not DEVICE.fullmatch(device):
        raise InputError(f"--device {device}: use auto, cpu, cuda or cuda:N")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: at least one is needed")
    gpus = count_gpus() if device in ("auto", "cuda") else 0
    if device == "cuda" and not gpus:
        raise InputError("--device cuda: no GPU was found; leave the option out to train on the CPU")
    if gpus or device.startswith("cuda:"):
        devices = [device] if device.startswith("cuda:") else [f"cuda:{index}" for index in range(gpus)]
        count = workers or len(devices)
        return [WorkerSlot(devices[i % len(devices)], max(1, cores() // count)) for i in range(count)]
    count = workers or cores()
    return [WorkerSlot("cpu", max(1, cores() // count))] * count


def count_gpus() -> int:
    """Return how many NVIDIA GPUs this process may use, from the driver's device files and CUDA_VISIBLE_DEVICES.

    WSL2 has one device file for all GPUs, so the driver is asked there.
    """
    present = len([path for path in DEVICE_FILES.glob("nvidia*") if path.name[6:].isdigit()])
    if not present and (DEVICE_FILES / "dxg").exists():
        present = len(_ask_driver("-L").splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    return min(present, len([entry for entry in visible.split(",") if entry.strip() not in ("", "-1")]))


def present_device(slots: Sequence[WorkerSlot]) -> DeviceSpec:
    """Return the device of the first slot; the workers on it share its memory evenly."""
    workers = sum(slot.device == slots[0].device for slot in slots)
    device = _cpu() if slots[0].device == "cpu" else _gpu(slots[0].device)
    return replace(device, memory=device.memory / workers, occupied=device.occupied / workers)


def throughput_of(device: DeviceSpec, results: Path, workers: int = 1) -> Throughput:
    """Return a device's speed: as earlier runs in `results` or a benchmark measured it, or else as its maker states."""
    for path in (results / FILE, *sorted(BENCHES.glob("*.json"))):
        tuned = read_tuned(path)
        names = {shape.device for shape in tuned if _is_same_model(shape.device, device)}
        measured = [measurement for name in sorted(names) for measurement in measurements(tuned, name)]
        if measured:
            return Throughput(device, tuple(measured), f"measured ({path.name})", workers)
    if device.flops is None or device.bandwidth is None:
        return Throughput(device, workers=workers)
    stated = f"{device.flops / 1e12:.0f} TFLOP/s in {device.precision}, {device.bandwidth / 1e9:,.0f} GB/s"
    return Throughput(device, (), f"stated ({stated}; {device.source})", workers)


def _is_same_model(driver_name: str, device: DeviceSpec) -> bool:
    profile = profile_of(driver_name)
    return driver_name == device.name or (profile is not None and profile.name == device.name)


def _cpu() -> DeviceSpec:
    flags = _text(Path("/proc/cpuinfo")).split()
    container_limit = _text(Path("/sys/fs/cgroup/memory.max")).strip()
    total = psutil.virtual_memory().total
    model = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return DeviceSpec(
        name=f"{model[1] if model else 'CPU'}, {os.cpu_count()} cores",
        kind="cpu",
        memory=min(total, int(container_limit)) if container_limit.isdecimal() else total,
        precision="bf16" if BF16_FLAGS & set(flags) else "fp32",
    )


def _gpu(device: str) -> DeviceSpec:
    """Return what nvidia-smi reports; if it fails, the memory counts as unlimited."""
    unknown = DeviceSpec(name=device, kind="cuda", memory=math.inf, precision="bf16")
    number = int(device.partition(":")[2] or 0)
    visible = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    index = visible[number].strip() if number < len(visible) else str(number)
    columns = "name,memory.total,memory.used,compute_cap"
    answer = _ask_driver(f"--id={index}", f"--query-gpu={columns}", "--format=csv,noheader,nounits")
    try:
        name, mebibytes, used, capability = (part.strip() for part in answer.splitlines()[0].split(","))
        reported = DeviceSpec(
            name=name,
            kind="cuda",
            memory=float(mebibytes) * 2**20,
            occupied=float(used) * 2**20 if used.isdecimal() else 0.0,
            precision="bf16" if float(capability) >= 8 else "fp16",
        )
    except (ValueError, IndexError):
        return unknown
    profile = profile_of(reported.name)
    return (
        reported
        if profile is None
        else replace(profile, name=reported.name, memory=reported.memory, occupied=reported.occupied)
    )


def _ask_driver(*arguments: str) -> str:
    """Return what nvidia-smi prints, or nothing if it fails."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DRIVER_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
