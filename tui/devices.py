"""How busy the machine is: GPUs through NVIDIA's library where there is one, CPU and memory everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Device:
    """One device now; what is unknown is None."""

    name: str
    share: float | None  # of its time, 0 to 1
    memory_used: int | None  # bytes
    memory_total: int | None
    celsius: float | None = None
    watts: float | None = None


class Devices:
    """Samples the devices. Not for the screen's thread: NVIDIA's library takes its time, the first time most."""

    def __init__(self) -> None:
        self._nvml: Any = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
        except Exception:
            self._nvml = None
        import psutil  # here, off the screen's thread and out of the way of the first picture

        self._psutil = psutil
        psutil.cpu_percent()  # the first call measures from here on

    def sample(self) -> list[Device]:
        """Return the GPUs, or the processor where there are none."""
        return self._gpus() or [self._processor()]

    def _gpus(self) -> list[Device]:
        nvml = self._nvml
        count = self._ask(nvml.nvmlDeviceGetCount) if nvml else None
        handles = [self._ask(partial(nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(count or 0)]
        return [self._gpu(index, handle) for index, handle in enumerate(handles) if handle is not None]

    def _gpu(self, index: int, handle: Any) -> Device:
        """Return a GPU; the library counts in percent, bytes, degrees Celsius and milliwatts."""
        nvml = self._nvml
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        percent = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        celsius = self._ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        milliwatts = self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return Device(
            name=f"gpu {index}",
            share=None if percent is None else percent / 100,
            memory_used=memory.used if memory else None,
            memory_total=memory.total if memory else None,
            celsius=celsius,
            watts=None if milliwatts is None else milliwatts / 1000,
        )

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return an answer, None where this device does not give it."""
        try:
            return question()
        except self._nvml.NVMLError:
            return None

    def _processor(self) -> Device:
        memory = self._psutil.virtual_memory()
        return Device("cpu", self._psutil.cpu_percent() / 100, memory.total - memory.available, memory.total)
