"""A preview in words."""

from __future__ import annotations

from textual.content import Content

from litegpt.results.text import duration, inert
from tui.screens.grid_preview import COUNTED_MAX, PhasePreview, Preview

Part = str | tuple[str, str]


def preview_content(preview: Preview, phase: int, mistake: str | None) -> Content:
    """Return what a phase comes to; `mistake` is what is wrong with the line that is being typed."""
    parts: list[Part] = []
    if phase < len(preview.phases):
        shown = preview.phases[phase]
        lines = [line for line in (_count(shown), _cost(shown, preview.seconds)) if line]
        parts += [part for line in lines for part in (*line, "\n")]
        if shown.illegal:
            parts.append((f"{shown.illegal:,} illegal: {inert(shown.illegality or '')}\n", "$warning"))
    if mistake or preview.problem:
        parts.append((inert(mistake or preview.problem or ""), "$error"))
    return Content.assemble(*parts)


def trials_text(phase: PhasePreview) -> str:
    """Return the number of trials, with what is unknown about it."""
    if phase.trials is None:
        return "?"
    return f"{'≤ ' if phase.is_bound else ''}{phase.trials:,}"


def size_text(least: int, most: int) -> str:
    """Return a range of parameters."""
    return _short(least) if least == most else f"{_short(least)} - {_short(most)}"


def _count(phase: PhasePreview) -> list[Part]:
    if phase.trials is None:
        if phase.permutations is None:
            return []
        count: Part = (f"{phase.permutations:,} permutations", "bold")
        if phase.permutations <= COUNTED_MAX:
            return [count]
        told = f": more than {COUNTED_MAX:,} are not looked at one by one until they are saved"
        return [count, (told, "$warning")]
    if phase.is_bound:
        return [(f"at most {phase.trials:,} trials", "bold"), ("; its promotion waits for results", "$text-muted")]
    parts: list[Part] = [f"{phase.permutations:,} permutations"]
    if phase.excluded:
        parts.append((f" - {phase.excluded:,} excluded", "$warning"))
    if phase.illegal:
        parts.append((f" - {phase.illegal:,} illegal", "$warning"))
    parts += [" = ", (f"{phase.trials:,} trials", "bold $primary")]
    if phase.done:
        left = phase.trials - phase.done
        parts.append((f" · {phase.done:,} of them done already, {left:,} to train", "$success"))
    return parts


def _cost(phase: PhasePreview, seconds: float | None) -> list[Part]:
    parts = []
    if phase.parameters:
        parts.append(f"{size_text(*phase.parameters)} parameters")
    if phase.flops == 0:
        parts.append("nothing left to train")
    elif phase.flops is not None:
        most = "≤ " if phase.is_bound else ""
        parts.append(f"{most}{phase.flops:.2e} FLOP")
        unknown = "time unknown until something has run"
        parts.append(unknown if phase.seconds is None else f"{most}{duration(phase.seconds)}")
    if seconds:
        parts.append(f"all that is left of the study {duration(seconds)}")
    return [(" · ".join(parts), "$text-muted")] if parts else []


def _short(count: int) -> str:
    return f"{count / 1e3:.1f}K" if count < 1_000_000 else f"{count / 1e6:.1f}M"
