"""Remarks on settings that are legal but probably a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litegpt.study.expand import Expansion
from litegpt.study.trial import Trial


def remarks(expansions: Mapping[str, Expansion]) -> list[str]:
    """Return one line for each remark on the phases of a study, given their expansions by name."""
    lines: list[str] = []
    first_phases: dict[Trial, str] = {}
    for name, expansion in expansions.items():
        if expansion.doubles:
            lines.append(f"{name}: {_count(expansion.doubles, 'combination')} double; each setting is trained once")
        lines += _shared(name, expansion.trials, first_phases)
        if never_warm := [trial for trial in expansion.trials if trial.warmup_iters >= trial.max_iters]:
            warmup, steps = never_warm[0].warmup_iters, never_warm[0].max_iters
            lines.append(
                f"{name}: {_count(len(never_warm), 'trial')} too short to warm up: warmup_iters is {warmup:,} and "
                f"max_iters {steps:,}, so the learning rate never reaches its value"
            )
    return lines


def _shared(phase: str, trials: Sequence[Trial], first_phases: dict[Trial, str]) -> list[str]:
    """Return remarks on trials that an earlier phase has, too, and add this phase's trials to `first_phases`."""
    shared: dict[str, int] = {}
    for trial in trials:
        if (earlier := first_phases.setdefault(trial, phase)) != phase:
            shared[earlier] = shared.get(earlier, 0) + 1
    return [
        f"{phase}: {_count(count, 'setting')} also in {earlier}; the results are reused"
        for earlier, count in shared.items()
    ]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun} is" if count == 1 else f"{count:,} {noun}s are"
