"""Linear, logarithmic and symlog scales, and their ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

Scale = Literal["linear", "log", "symlog"]
SCALES: tuple[Scale, ...] = ("linear", "log", "symlog")

# Larger powers of ten are not representable.
LARGEST = 300.0
# A symlog scale is linear up to this value and logarithmic beyond.
SYMLOG_THRESHOLD = 1.0


def scaled(values: Iterable[float], scale: Scale) -> list[float]:
    """Map values onto a scale; values without a position, such as log of 0, become nan."""
    if scale == "linear":
        return list(values)
    if scale == "log":
        log10 = math.log10
        return [log10(value) if value > 0 else math.nan for value in values]
    return [_symlog(value) for value in values]


def unscaled(value: float, scale: Scale) -> float:
    """Return the value at a position on a scale."""
    value = min(LARGEST, max(-LARGEST, value)) if scale != "linear" else value
    if scale == "log":
        return float(10**value)
    if scale == "symlog" and abs(value) > SYMLOG_THRESHOLD:
        return math.copysign(SYMLOG_THRESHOLD * 10 ** (abs(value) / SYMLOG_THRESHOLD - 1), value)
    return value


def extent(columns: Iterable[Sequence[float]]) -> tuple[float, float] | None:
    """Return the smallest and the largest finite value, None if there is none."""
    low, high = math.inf, -math.inf
    for column in columns:
        finite = column if math.isfinite(sum(column)) else [value for value in column if math.isfinite(value)]
        if finite:
            low, high = min(low, min(finite)), max(high, max(finite))
    return (low, high) if low <= high else None


def padded(low: float, high: float) -> tuple[float, float]:
    """Return limits slightly wider than the values; a flat line gets space above and below."""
    margin = (high - low) * 0.03 if high > low else max(abs(low) * 0.1, 0.5)
    return low - margin, high + margin


def ticks(low: float, high: float, most: int, scale: Scale = "linear") -> list[tuple[float, str]]:
    """Return up to `most` positions between two limits on a scale, each with its label."""
    if most < 1 or not high > low:
        return []
    if scale != "linear":
        logarithmic = _log_ticks(low, high, most, scale)
        if len(logarithmic) >= 2:
            return logarithmic
        values = [value for value, _ in ticks(unscaled(low, scale), unscaled(high, scale), most)]
        positions = zip(scaled(values, scale), values, strict=True)
        return [(position, label(value, high)) for position, value in positions if low <= position <= high]
    step = nice_step((high - low) / most)
    first = math.ceil(low / step - 1e-9)
    values = [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]
    # Rounding errors must not move a tick outside the limits.
    return [(min(high, max(low, value)), label(value, step)) for value in values]


def nice_step(least: float) -> float:
    """Return the smallest number of the form 1, 2, 2.5 or 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next((power * factor for factor in (1, 2, 2.5, 5) if power * factor >= least * (1 - 1e-9)), power * 10)


def label(value: float, step: float) -> str:
    """Format a value as short as the distance between ticks allows."""
    size = abs(value)
    if size >= 1e6 or (0 < size < 1e-3):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    if size >= 10_000:
        return f"{value / 1000:.3g}k"
    decimals = max(0, min(4, -math.floor(math.log10(step) + 1e-9))) if 0 < step < 10 else 0
    # Steps such as 2.5 and 0.25 need one more decimal.
    if round(step, decimals) != step:
        decimals += 1
    return f"{value:.{min(decimals, 4)}f}"


def _log_ticks(low: float, high: float, most: int, scale: Scale) -> list[tuple[float, str]]:
    """Return ticks at multiples of powers of ten, with as many multiples as fit."""
    for factors in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**power for power in range(-9, 10) for factor in factors]
        if scale == "symlog":
            values = [0.0, *values, *(-value for value in values)]
        positions = zip(scaled(values, scale), values, strict=True)
        visible = sorted((position, f"{value:g}") for position, value in positions if low <= position <= high)
        if len(visible) <= most:
            return visible
    return []


def _symlog(value: float) -> float:
    if abs(value) <= SYMLOG_THRESHOLD:
        return value
    return math.copysign(SYMLOG_THRESHOLD * (1 + math.log10(abs(value) / SYMLOG_THRESHOLD)), value)
