"""The load of the machine. A fake module with NVIDIA's names, units and errors replaces the library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tui.devices import DeviceSampler, DeviceUsage
from tui.live.phases import devices_content


class NVMLError(Exception):
    pass


class FakeNvml(SimpleNamespace):
    """Two GPUs as nvidia-ml-py gives them: percent, bytes, degrees Celsius, milliwatts. The second tells less."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        self.is_ready = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        assert self.is_ready
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        if handle:
            raise NVMLError("Not Supported")  # as on a machine whose GPU shares the processor's memory
        return SimpleNamespace(total=80 << 30, used=20 << 30, free=60 << 30)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return 64

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        if handle:
            raise NVMLError("Not Supported")
        return 312_499


def test_gpu_usage_is_converted_to_our_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    first, second = DeviceSampler().sample()
    assert first == DeviceUsage("gpu 0", 0.87, 20 << 30, 80 << 30, 64.0, 312.499)
    assert second == DeviceUsage("gpu 1", 0.87, None, None, 64.0, None)
    assert devices_content([first, second]).plain.splitlines() == [
        "gpu 0  ■■■■■■■■■■  87%",
        "memory ■■■■■■■■■■  25% 20.0 GiB",
        "64 °C · 312 W",
        "gpu 1  ■■■■■■■■■■  87%",
        "64 °C",
    ]


@pytest.mark.parametrize("module", [None, FakeNvml(nvmlInit=lambda: (_ for _ in ()).throw(NVMLError("no driver")))])
def test_without_a_gpu_the_cpu_is_sampled(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)  # None: cannot be imported
    (cpu,) = DeviceSampler().sample()
    assert cpu.name == "cpu"
    assert cpu.memory_used is not None
    assert cpu.memory_total is not None
    assert 0 < cpu.memory_used < cpu.memory_total


def test_cpu_replaces_a_lost_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    devices = DeviceSampler()

    def lost() -> int:
        raise NVMLError("GPU is lost")

    nvml.nvmlDeviceGetCount = lost
    assert [device.name for device in devices.sample()] == ["cpu"]
