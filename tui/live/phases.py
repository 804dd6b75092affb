"""The phases with their progress, and the machine, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from litegpt.display import duration, inert
from litegpt.results.progress import phase_progress
from litegpt.results.ranking import ranking_of
from litegpt.results.state import PhaseState, StudyState
from tui.devices import Device

Part = Content | str | tuple[str, str]


def phases_content(
    names: Sequence[str], state: StudyState, seconds_left: Mapping[str, float], width: int, empty: str
) -> Content:
    """Return a line a phase: bar, trials, troubles, best loss, time left; `empty` while nothing has been planned."""
    if not state.phases:
        return Content.styled(empty, "$text-muted")
    figure = ranking_of(state.trials())
    best_words = " best val loss " if figure == "best_val_loss" else " best bits/char "
    room = max(5, max((len(name) for name in names), default=5))
    bar = max(8, min(40, width - room - 58))
    parts: list[Part] = []
    for name in names:
        progress = phase_progress(state.phases.get(name) or PhaseState(name))
        total = max(1, progress.trials)
        full = bar * progress.ended // total
        half = bar * (progress.ended + progress.running) // total - full
        style = "$primary" if progress.running else "$success" if progress.trials else "$text-disabled"
        parts += [f"{inert(name):<{room}} ", ("━" * full, style), ("━" * half, "$accent")]
        parts.append(("─" * (bar - full - half), "$border"))
        parts.append(
            f" {progress.ended:>5,}/{progress.trials:<5,}" if progress.trials else ("  waiting    ", "$text-muted")
        )
        if (best := getattr(progress, figure)) is not None:
            parts += [(best_words, "$text-muted"), (f"{best:.3f}", "bold")]
        if name in seconds_left:
            parts.append((f"  {duration(seconds_left[name])} left", "$accent"))
        elif (phase := state.phases.get(name)) and phase.seconds is not None:
            parts.append((f"  in {duration(phase.seconds)}", "$text-muted"))
        for trouble in ("diverged", "failed", "stopped"):
            if count := getattr(progress, trouble):
                parts.append((f"  {count} {trouble}", "$error"))
        if progress.excluded:
            parts.append((f"  {progress.excluded} excluded", "$text-muted"))
        parts.append("\n")
    return Content.assemble(*parts[:-1])


def devices_content(devices: Sequence[Device]) -> Content:
    """Return up to three lines a device: how busy, its memory, its warmth and power."""
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
