"""The text of a study preview."""

from __future__ import annotations

from textual.content import Content

from litegpt.display import duration, inert, short_range
from tui.exclusions import reasons_text
from tui.grid.preview import COUNTED_MAX, PhasePreview, StudyPreview

Part = str | tuple[str, str]


def preview_content(preview: StudyPreview, phase: int, mistake: str | None, height: int) -> Content:
    """Return the preview of a phase in `height` lines; `mistake` is the mistake in the input line."""
    parts: list[Part] = []
    problem = mistake or preview.problem or ""
    if phase < len(preview.phases):
        phase_preview = preview.phases[phase]
        lines = [line for line in (_count(phase_preview), _cost(phase_preview, preview.seconds)) if line]
        parts += [part for line in lines for part in (*line, "\n")]
        # The reasons below already contain this problem.
        if any(reason in problem for reason, _ in phase_preview.reasons):
            problem = ""
        parts.append((f"{inert(problem)}\n" if problem else "", "$error"))
        parts += reasons_text(phase_preview.reasons, height - len(lines) - bool(problem))
    else:
        parts.append((inert(problem), "$error"))
    return Content.assemble(*parts)


def trials_text(phase: PhasePreview) -> str:
    """Return the number of trials, '?' if it is unknown, with '≤' if it is only an upper bound."""
    if phase.trials is None:
        return "?"
    return f"{'≤ ' if phase.is_bound else ''}{phase.trials:,}"


def _count(phase: PhasePreview) -> list[Part]:
    if phase.trials is None:
        if phase.permutations is None:
            return []
        count: Part = (f"{phase.permutations:,} permutations", "bold")
        if phase.permutations <= COUNTED_MAX:
            return [count]
        return [count, (f": more than {COUNTED_MAX:,} are only checked when you save", "$warning")]
    if phase.is_bound:
        return [(f"at most {phase.trials:,} trials", "bold"), (_rule(phase), "$text-muted")]
    parts: list[Part] = [f"{phase.permutations:,} permutations"]
    if phase.excluded:
        parts.append((f" - {phase.excluded:,} excluded", "$warning"))
    if phase.illegal:
        parts.append((f" - {phase.illegal:,} illegal", "$warning"))
    parts += [" = ", (f"{phase.trials:,} trials", "bold $primary"), (_rule(phase), "$text-muted")]
    if phase.done:
        parts.append((f" · {phase.done:,} already finished, {phase.trials - phase.done:,} to train", "$success"))
    return parts


def _rule(phase: PhasePreview) -> str:
    rule = phase.promotion
    return "" if rule is None else f": the {rule.top} best of {inert(rule.source)} by {rule.by}"


def _cost(phase: PhasePreview, seconds: float | None) -> list[Part]:
    parts = []
    if phase.parameters:
        parts.append(f"{short_range(*phase.parameters)} parameters")
    if phase.flops == 0:
        parts.append("nothing left to train")
    elif phase.flops is not None:
        bound = "≤ " if phase.is_bound else ""
        parts.append(f"{bound}{phase.flops:.2e} FLOP")
        unknown = "time unknown until something has run"
        parts.append(unknown if phase.seconds is None else f"{bound}{duration(phase.seconds)}")
    if seconds:
        parts.append(f"rest of the study {duration(seconds)}")
    return [(" · ".join(parts), "$text-muted")] if parts else []
