"""The text of a [[phase]]: the one place that writes phases and their values into study files.

A *table* is a phase as plain data, with the keys of the file: {"name": "two", "max_iters": 900, "grid": {...}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from litegpt.study.hyperparameter import Value

Table = Mapping[str, Any]


def phase_text(table: Table, remark: str = "") -> str:
    """Return the lines of a phase, with `remark` as a comment above them."""
    lines = [f"# {remark}"] if remark else []
    lines += ["[[phase]]", *_assignments({key: value for key, value in table.items() if not _is_table(value)})]
    for key, part in table.items():
        if isinstance(part, Mapping):
            lines += [f"[phase.{key}]", *_assignments(part)]
        elif _is_table(part):
            for combination in part:
                lines += [f"[[phase.{key}]]", *_assignments(combination)]
    return "\n".join(lines)


def value_text(value: Value | Sequence[Value]) -> str:
    """Return a value, or a list of values, in the notation of TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return next(text for digits in range(1, 18) if float(text := number_text(value, digits)) == value)
    return f"[{', '.join(map(value_text, value))}]"


def number_text(value: float, digits: int = 3) -> str:
    """Return a number as people write it in a study file: 0.05, 6e-5, 128."""
    if value and not 0.01 <= abs(value) < 10**6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{digits}g}" if value != int(value) else str(int(value))


def free_phase_name(names: Iterable[str], stem: str = "phase", first: int | None = None) -> str:
    """Return `stem` with the first number that makes a new name; capitals make no difference.

    Numbers start at `first`, or with the number that the new phase has in the study.
    """
    taken_names = {name.casefold() for name in names}
    number = len(taken_names) + 1 if first is None else first
    while f"{stem}{number}".casefold() in taken_names:
        number += 1
    return f"{stem}{number}"


def _assignments(table: Table) -> list[str]:
    return [f"{key} = {value_text(value)}" for key, value in table.items()]


def _is_table(value: object) -> bool:
    parts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(part, Mapping) for part in parts)
