"""Load of the machine: GPUs through NVIDIA's library if it is installed, otherwise CPU and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class DeviceUsage:
    """The load of one device now; unknown values are None."""

    name: str
    # The share of time that the device computes, 0 to 1.
    share: float | None
    memory_used: int | None  # bytes
    memory_total: int | None
    celsius: float | None = None
    watts: float | None = None


class DeviceSampler:
    """Samples the devices. Use it in a thread: NVIDIA's library is slow, most of all on its first call."""

    def __init__(self) -> None:
        self._nvml: Any = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
        except Exception:
            self._nvml = None
        # Imported here, in the caller's thread, so that the first picture does not wait for it.
        import psutil

        self._psutil = psutil
        # The first call only starts the measurement.
        psutil.cpu_percent()

    def sample(self) -> list[DeviceUsage]:
        """Return the load of the GPUs, or of the CPU if there are none."""
        return self._gpus() or [self._processor()]

    def _gpus(self) -> list[DeviceUsage]:
        nvml = self._nvml
        count = self._ask(nvml.nvmlDeviceGetCount) if nvml else None
        handles = [self._ask(partial(nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(count or 0)]
        return [self._gpu(index, handle) for index, handle in enumerate(handles) if handle is not None]

    def _gpu(self, index: int, handle: Any) -> DeviceUsage:
        """Return the load of a GPU. The library uses percent, bytes, degrees Celsius and milliwatts."""
        nvml = self._nvml
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        percent = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        celsius = self._ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        milliwatts = self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return DeviceUsage(
            name=f"gpu {index}",
            share=None if percent is None else percent / 100,
            memory_used=memory.used if memory else None,
            memory_total=memory.total if memory else None,
            celsius=celsius,
            watts=None if milliwatts is None else milliwatts / 1000,
        )

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return an answer, None if the device does not report this value."""
        try:
            return question()
        except self._nvml.NVMLError:
            return None

    def _processor(self) -> DeviceUsage:
        memory = self._psutil.virtual_memory()
        return DeviceUsage("cpu", self._psutil.cpu_percent() / 100, memory.total - memory.available, memory.total)
