"""Figures as people read them."""

from __future__ import annotations


def value(setting: object) -> str:
    """Return the value of a hyperparameter."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def number(amount: float | None, form: str) -> str:
    """Return a number in a format, or what stands for none."""
    return "-" if amount is None else f"{amount:{form}}"


def loss(nats: float | None) -> str:
    """Return a loss, or what stands for none."""
    return number(nats, ".4f")


def count(things: int | None) -> str:
    """Return a number of things, or what stands for none."""
    return number(things, ",")


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it, or what stands for none."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
