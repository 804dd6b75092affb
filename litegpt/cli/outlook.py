"""Memory and time that a plan needs on a device, and the source of the speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from litegpt.display import duration, inert
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.fit import gigabytes, memory_shortage
from litegpt.estimate.forecast import PhaseEstimate, Throughput, estimate_phase
from litegpt.estimate.outline import Outline
from litegpt.results.folder import StudyFolder
from litegpt.results.forecast import Forecast, reached_steps
from litegpt.results.state import StudyState


@dataclass(frozen=True)
class Outlook:
    """Memory and time of a plan's phases, by name. A phase without known trials is absent."""

    device: DeviceSpec
    workers: int
    source: str  # of the speed, measured or stated; empty if unknown
    phases: Mapping[str, PhaseEstimate]
    misfits: Mapping[str, str]
    is_bound: bool  # a phase that waits for its promotion counts with its upper bound
    seconds_left: float | None = None  # of the phases planned so far; None before the first results

    @classmethod
    def of(cls, plan: Outline, throughput: Throughput, n_symbols: int, validation_tokens: int) -> Outlook:
        """Return the outlook of a plan."""
        phases, misfits = {}, {}
        for phase in plan.phases:
            found = estimate_phase(phase.candidates, phase.trials_max, throughput, n_symbols, validation_tokens)
            if found is not None:
                phases[phase.name] = found
            if found is not None and found.memory > throughput.device.memory:
                misfits[phase.name] = memory_shortage(phase.candidates, n_symbols, throughput.device) or ""
        is_bound = any(phase.trials is None for phase in plan.phases)
        return cls(throughput.device, throughput.workers, throughput.source, phases, misfits, is_bound)

    def at_measured_speed(self, plan: Outline, forecast: Forecast, state: StudyState) -> Outlook:
        """Return the outlook at the speed of the study's own trials; the same outlook if none has ended."""
        if forecast.speed(state) is None:
            return self
        phases = dict(self.phases)
        for phase in plan.phases:
            if phase.name in phases:
                seconds = forecast.seconds(phase.candidates, state, phase.trials_max)
                phases[phase.name] = replace(phases[phase.name], seconds=seconds)
        return replace(self, phases=phases, source="measured (this study's own trials)")

    def with_time_left(self, forecast: Forecast, state: StudyState, folder: StudyFolder, now: datetime) -> Outlook:
        """Return the outlook with the time that a started study still takes."""
        left = forecast.seconds_left(state, reached_steps(folder, state), now)
        return replace(self, seconds_left=max(left.values(), default=None))

    @property
    def seconds(self) -> float | None:
        """The time of all phases together; None if that of any phase is unknown."""
        known = [found.seconds for found in self.phases.values() if found.seconds is not None]
        return sum(known) if known and len(known) == len(self.phases) else None

    def notes(self) -> Iterator[str]:
        """Yield lines about the device, the time, the source of the speed, and models that do not fit."""
        memory = "" if math.isinf(self.device.memory) else f", {gigabytes(self.device.memory)}"
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        yield f"device: {inert(self.device.name)}{memory}{' each' if workers and memory else ''}{workers}"
        if self.seconds is not None:
            yield f"time: {'at most ' if self.is_bound else ''}{duration(self.seconds)} in all"
        if self.seconds_left is not None:
            yield f"time left: {duration(self.seconds_left)} in the phases planned so far"
        yield f"throughput: {self.source or 'unknown until the first trials have run'}"
        for name, reason in self.misfits.items():
            yield f"{name}: {reason}"

    def added_to(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Return the record of a plan, with memory and time added."""
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
        return {
            **plain,
            "phases": phases,
            "device": device,
            "seconds": self.seconds and round(self.seconds, 1),
            "seconds_left": self.seconds_left and round(self.seconds_left, 1),
        }
