"""How busy the machine is: GPUs through NVIDIA's library where there is one, CPU and memory everywhere."""

from __future__ import annotations

from dataclasses import dataclass
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
        if self._nvml is None:
            return []
        nvml, devices = self._nvml, []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            devices.append(
                Device(
                    name=f"gpu {index}",
                    share=self._ask(lambda h=handle: nvml.nvmlDeviceGetUtilizationRates(h).gpu / 100),
                    memory_used=memory.used,
                    memory_total=memory.total,
                    celsius=self._ask(lambda h=handle: float(nvml.nvmlDeviceGetTemperature(h, 0))),
                    watts=self._ask(lambda h=handle: nvml.nvmlDeviceGetPowerUsage(h) / 1000),
                )
            )
        return devices

    def _ask(self, question: Any) -> float | None:
        """Return an answer, None where this device does not give it."""
        try:
            return float(question())
        except self._nvml.NVMLError:
            return None

    def _processor(self) -> Device:
        memory = self._psutil.virtual_memory()
        return Device("cpu", self._psutil.cpu_percent() / 100, memory.total - memory.available, memory.total)
