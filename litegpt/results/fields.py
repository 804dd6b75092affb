"""Checked values of records. A value that is missing or has another type is None; nothing here raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from litegpt.errors import InputError
from litegpt.study.settings import plain_value
from litegpt.study.trial import HYPERPARAMETERS, Trial

WHOLE_MAX = 2**63 - 1


def number(value: object) -> float | None:
    """Return a finite number as a float."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def whole(value: object) -> int | None:
    """Return an integer of 64 bits."""
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and -WHOLE_MAX <= value <= WHOLE_MAX else None
    )


def flag(value: object) -> bool | None:
    """Return true or false."""
    return value if isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a text."""
    return value if isinstance(value, str) else None


def texts(value: object) -> tuple[str, ...]:
    """Return the texts in a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def mapping(value: object) -> dict[str, Any]:
    """Return a dict, empty if the value is not one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def moment(value: object) -> datetime | None:
    """Return the time in an ISO 8601 text; UTC if it has no zone."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed is not None and parsed.tzinfo is None else parsed


def timestamp() -> str:
    """Return the present time as records have it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trial(value: object) -> Trial | None:
    """Return the trial with these settings; unknown keys and values of another type are left out.

    None if a setting without a default is missing, or a value is out of its range.
    """
    settings: dict[str, Any] = {}
    try:
        for name, item in mapping(value).items():
            if isinstance(item, _PLAIN) and (known := _setting(name, item)) is not None:
                settings[name] = known
        return Trial(**settings)
    except (TypeError, ValueError, InputError):
        return None


# A grid repeats its values. `typed`, because 1, 1.0 and True are equal.
@lru_cache(maxsize=4096, typed=True)
def _setting(name: str, value: int | float | str) -> int | float | str | None:
    """Return a hyperparameter's value, None if it has another type. ValueError: it is out of its range."""
    check = _HYPERPARAMETER_CHECKS.get(name)
    known = None if check is None else check(value)
    if known is not None and name in HYPERPARAMETERS:
        # A value out of its range could cost any amount of memory or time later.
        plain_value(name, known)
    return known


_PLAIN = (int, float, str)
_CHECKS: dict[type, Callable[[object], int | float | str | None]] = {
    int: whole,
    float: number,
    bool: flag,
    str: text,
}
_HYPERPARAMETER_CHECKS = {name: _CHECKS[known.kind] for name, known in HYPERPARAMETERS.items()} | {"start_from": text}
