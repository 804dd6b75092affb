"""Which device a plan is for, and what is known of its speed."""

from __future__ import annotations

from pathlib import Path

import litegpt
from litegpt.estimate.device import DeviceSpec, profile_of
from litegpt.estimate.forecast import Throughput
from litegpt.results.tuning import FILE, measurements, read_tuned

BENCHES = Path(litegpt.__file__).parents[1] / "bench" / "results"  # where litegpt runs from a checkout


def throughput_of(device: DeviceSpec, results: Path, workers: int = 1) -> Throughput:
    """Return a device's speed: measured by earlier runs into `results`, or by a bench, or else as stated."""
    for path in (results / FILE, *sorted(BENCHES.glob("*.json"))):
        tuned = read_tuned(path)
        names = {shape.device for shape in tuned if _is_such(shape.device, device)}
        measured = [measurement for name in sorted(names) for measurement in measurements(tuned, name)]
        if measured:
            return Throughput(device, tuple(measured), f"measured ({path.name})", workers)
    if device.flops is None or device.bandwidth is None:
        return Throughput(device, workers=workers)
    stated = f"{device.flops / 1e12:.0f} TFLOP/s in {device.precision}, {device.bandwidth / 1e9:,.0f} GB/s"
    return Throughput(device, (), f"stated ({stated}; {device.source})", workers)


def _is_such(name: str, device: DeviceSpec) -> bool:
    """Tell whether a device that its driver calls `name` is the one, or one of its profile."""
    profile = profile_of(name)
    return name == device.name or (profile is not None and profile.name == device.name)
