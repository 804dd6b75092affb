"""The phases with their progress, and the devices with their load, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from litegpt.display import duration, inert
from litegpt.results.ranking import best_of, comparable_metric
from litegpt.results.state import FAILED_STATES, PhaseState, StudyState
from tui.devices import DeviceUsage

Part = Content | str | tuple[str, str]


def phases_content(
    names: Sequence[str], state: StudyState, seconds_left: Mapping[str, float], width: int, empty: str
) -> Content:
    """Return one line per phase: progress bar, trials, best loss, time left, failures.

    `empty` is the text to return before any phase has been planned.
    """
    if not state.phases:
        return Content.styled(empty, "$text-muted")
    metric = comparable_metric(state.trials())
    best_label = f" best {metric.curve.heading} "
    name_width = max(5, max((len(name) for name in names), default=5))
    bar = max(8, min(40, width - name_width - 58))
    parts: list[Part] = []
    for name in names:
        phase = state.phases.get(name) or PhaseState(name)
        counts = phase.counts()
        total = max(1, counts.total)
        full = bar * counts.ended // total
        half = bar * (counts.ended + counts["running"]) // total - full
        style = "$primary" if counts["running"] else "$success" if counts.total else "$text-disabled"
        parts += [f"{inert(name):<{name_width}} ", ("━" * full, style), ("━" * half, "$accent")]
        parts.append(("─" * (bar - full - half), "$border"))
        parts.append(f" {counts.ended:>5,}/{counts.total:<5,}" if counts.total else ("  waiting    ", "$text-muted"))
        if (best := best_of(phase.current())) is not None and (value := best.metrics.value(metric.name)) is not None:
            parts += [(best_label, "$text-muted"), (f"{value:.3f}", "bold")]
        if name in seconds_left:
            parts.append((f"  {duration(seconds_left[name])} left", "$accent"))
        elif phase.seconds is not None:
            parts.append((f"  in {duration(phase.seconds)}", "$text-muted"))
        parts += [(f"  {counts[failed]} {failed}", "$error") for failed in FAILED_STATES if counts[failed]]
        if phase.excluded:
            parts.append((f"  {len(phase.excluded)} excluded", "$text-muted"))
        parts.append("\n")
    return Content.assemble(*parts[:-1])


def devices_content(devices: Sequence[DeviceUsage]) -> Content:
    """Return up to three lines per device: load, memory, temperature and power."""
    lines: list[Content] = []
    for device in devices:
        lines.append(Content.assemble(f"{device.name:<6} ", *_meter(device.share)))
        if device.memory_used is not None and device.memory_total:
            used = (f" {device.memory_used / 2**30:.1f} GiB", "$text-muted")
            lines.append(Content.assemble("memory ", *_meter(device.memory_used / device.memory_total), used))
        extra = [] if device.celsius is None else [f"{device.celsius:.0f} °C"]
        extra += [] if device.watts is None else [f"{device.watts:.0f} W"]
        lines += [Content.styled(" · ".join(extra), "$text-muted")] if extra else []
    return Content("\n").join(lines)


def _meter(share: float | None, cells: int = 10) -> list[Part]:
    if share is None:
        return [("unknown", "$text-muted")]
    full = round(min(1.0, share) * cells)
    return [("■" * full, "$primary"), ("■" * (cells - full), "$border"), f" {share:>4.0%}"]
