"""What a plan asks of a device: memory and time of each phase, and where the speed comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from litegpt.display import duration, inert
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.fit import gigabytes, misfit
from litegpt.estimate.forecast import Forecast, Throughput, forecast
from litegpt.estimate.outline import Outline


@dataclass(frozen=True)
class Outlook:
    """The forecasts of a plan's phases, by name; one that nothing is known of is missing."""

    device: DeviceSpec
    workers: int
    source: str  # of the speed, measured or stated; empty where none is known
    phases: Mapping[str, Forecast]
    misfits: Mapping[str, str]
    is_bound: bool  # some phase waits, and counts with the most that it can take

    @classmethod
    def of(cls, plan: Outline, throughput: Throughput, n_symbols: int, validation_tokens: int) -> Outlook:
        """Return the outlook of a plan."""
        phases, misfits = {}, {}
        for phase in plan.phases:
            found = forecast(phase.candidates, phase.trials_max, throughput, n_symbols, validation_tokens)
            if found is not None:
                phases[phase.name] = found
            if found is not None and found.memory > throughput.device.memory:
                misfits[phase.name] = misfit(phase.candidates, n_symbols, throughput.device) or ""
        is_bound = any(phase.trials is None for phase in plan.phases)
        return cls(throughput.device, throughput.workers, throughput.source, phases, misfits, is_bound)

    def at_speed(self, plan: Outline, speed: float) -> Outlook:
        """Return the outlook at a study's own measured training FLOP/s."""
        costs = {phase.name: phase.cost for phase in plan.phases}
        phases = {
            name: replace(found, seconds=cost.flops / speed) if (cost := costs[name]) else found
            for name, found in self.phases.items()
        }
        return replace(self, phases=phases, source="measured (this study's own trials)")

    @property
    def seconds(self) -> float | None:
        """How long all phases take together; None where that is not known."""
        known = [found.seconds for found in self.phases.values() if found.seconds is not None]
        return sum(known) if known and len(known) == len(self.phases) else None

    def notes(self) -> Iterator[str]:
        """Yield lines for people: device, time and source, and what does not fit."""
        memory = "" if math.isinf(self.device.memory) else f", {gigabytes(self.device.memory)}"
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        yield f"device: {inert(self.device.name)}{memory}{' each' if workers and memory else ''}{workers}"
        if self.seconds is not None:
            yield f"time: {'at most ' if self.is_bound else ''}{duration(self.seconds)} in all"
        yield f"throughput: {self.source or 'not known yet; the first trials tell'}"
        for name, reason in self.misfits.items():
            yield f"{name}: {reason}"

    def added_to(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Return the record of a plan with memory and time in it."""
        phases = []
        for record in plain["phases"]:
            found = self.phases.get(record["name"])
            memory = None if found is None else round(found.memory)
            seconds = None if found is None or found.seconds is None else round(found.seconds, 1)
            misfit = self.misfits.get(record["name"])
            phases.append({**record, "memory_bytes": memory, "seconds": seconds, "misfit": misfit})
        device = {
            "name": self.device.name,
            "memory_bytes": None if math.isinf(self.device.memory) else round(self.device.memory),
            "precision": self.device.precision,
            "workers": self.workers,
            "throughput": self.source or None,
        }
        return {**plain, "phases": phases, "device": device, "seconds": self.seconds and round(self.seconds, 1)}
