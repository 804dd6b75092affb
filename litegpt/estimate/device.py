"""Devices as estimates need them: their memory, and the speed that their maker states."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from litegpt.errors import InputError, did_you_mean
from litegpt.study.settings import short_repr

GB = 1e9


@dataclass(frozen=True)
class DeviceSpec:
    """A device, which need not be present. A speed that its maker does not state is None."""

    name: str
    kind: str  # cpu or cuda
    memory: float  # bytes for each worker
    occupied: float = field(default=0.0, kw_only=True)  # bytes of that which other programs use
    precision: str  # what 'auto' resolves to on this device
    flops: float | None = None  # FLOP/s: peak of dense matrix products at that precision
    bandwidth: float | None = None  # bytes/s, of the memory
    known_as: tuple[str, ...] = ()  # words in the name that the driver gives such a device
    source: str = ""

    @property
    def usable(self) -> float:
        """The bytes that packs may fill. The rest is occupied, or for the allocator's gaps and errors of estimates."""
        return 0.9 * max(0.0, self.memory - self.occupied)


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PROFILES = {
    profile.name: profile
    for profile in (
        DeviceSpec(
            name="rtx2070-8g",
            kind="cuda",
            memory=8 * GB,
            precision="fp16",
            flops=59.7e12,
            bandwidth=448e9,
            known_as=("RTX 2070",),
            source="NVIDIA Turing architecture whitepaper (2018), appendix: reference card, fp16 tensor products",
        ),
        DeviceSpec(
            name="rtx4090-24g",
            kind="cuda",
            memory=24 * GB,
            precision="bf16",
            flops=165.2e12,
            bandwidth=1008e9,
            known_as=("RTX 4090",),
            source="NVIDIA Ada architecture whitepaper (2022), appendix A: fp32 accumulation, dense",
        ),
        DeviceSpec(
            name="a100-80g",
            kind="cuda",
            memory=80 * GB,
            precision="bf16",
            flops=312e12,
            bandwidth=2039e9,
            known_as=("A100", "80GB"),
            source="NVIDIA A100 datasheet: SXM, 80 GB, dense",
        ),
        DeviceSpec(
            name="h100-80g",
            kind="cuda",
            memory=80 * GB,
            precision="bf16",
            flops=989.4e12,
            bandwidth=3350e9,
            known_as=("H100", "80GB", "HBM3"),
            source="NVIDIA H100 datasheet: SXM, dense",
        ),
        DeviceSpec(
            name="h200-141g",
            kind="cuda",
            memory=141 * GB,
            precision="bf16",
            flops=989.4e12,
            bandwidth=4800e9,
            known_as=("H200",),
            source="NVIDIA H200 datasheet: SXM, dense",
        ),
    )
}


def device_profile(name: str) -> DeviceSpec:
    """Return the profile of that name. InputError: no profile has it."""
    if name not in PROFILES:
        hint = did_you_mean(name, PROFILES)
        raise InputError(f"--device-profile must be one of {', '.join(PROFILES)}, not {short_repr(name)}{hint}")
    return PROFILES[name]


def profile_of(driver_name: str) -> DeviceSpec | None:
    """Return the profile for the name that a driver gives its device; None if no profile fits."""
    matches = (profile for profile in PROFILES.values() if all(word in driver_name for word in profile.known_as))
    return next(matches, None)
