"""Why combinations of hyperparameters are excluded, as text for the previews of a study and of a promotion."""

from __future__ import annotations

from collections.abc import Sequence

from litegpt.display import inert


def reasons_text(reasons: Sequence[tuple[str, int]], height: int) -> list[tuple[str, str]]:
    """Say why combinations are excluded, one reason per line, in at most `height` lines and at least one."""
    listed = reasons if len(reasons) <= height else reasons[: max(1, height - 1)]
    lines = [f"{count:,} {inert(reason)}" for reason, count in listed]
    if rest := sum(count for _, count in reasons[len(listed) :]):
        lines.append(f"{rest:,} for other reasons")
    return [("\n".join(lines), "$warning")]
