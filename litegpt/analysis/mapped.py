"""A CSV table as a phase, by a mapping in TOML.

    [columns]                        # our name = the table's column
    learning_rate = "lr"
    n_embd = "width"
    step = "iteration"               # with it each row is an evaluation, without it a trial
    train_loss = "loss/train"
    val_loss = "loss/val"
    final_loss = "loss"
    seconds = "elapsed"
    text = "sample"

    [fixed]                          # values that no column holds
    n_head = 4
    n_layer = 2
    block_size = 64
    batch_size = 32
    max_iters = 2000                 # default: the last step

Rows with equal settings are one trial.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litegpt.analysis.imported import Damage, ImportedPhase, RawTrial, check_trials
from litegpt.analysis.original import decode, read_rows
from litegpt.errors import InputError, did_you_mean
from litegpt.results.metrics import Evaluation
from litegpt.study.trial import HYPERPARAMETERS, REQUIRED

OTHER_COLUMNS = ("step", "train_loss", "val_loss", "final_loss", "seconds", "text")


@dataclass(frozen=True)
class Mapped:
    """The column of each field, and the fixed values."""

    columns: Mapping[str, str]
    fixed: Mapping[str, Any]


def read_mapping(path: Path) -> Mapped:
    """Read a mapping. InputError: it is invalid."""
    try:
        document = tomllib.loads(decode(path))
    # An integer of thousands of digits raises ValueError, not TOMLDecodeError.
    except (ValueError, RecursionError) as error:
        raise InputError(f"invalid TOML: {' '.join(str(error).split())}", path) from None
    _check_names(document, ("columns", "fixed"), path)
    columns, fixed = document.get("columns", {}), document.get("fixed", {})
    if not isinstance(columns, dict) or not isinstance(fixed, dict):
        raise InputError("[columns] and [fixed] are tables", path)
    _check_names(columns, (*HYPERPARAMETERS, *OTHER_COLUMNS), path)
    _check_names(fixed, HYPERPARAMETERS, path)
    missing = [name for name in REQUIRED if name not in columns and name not in fixed and name != "max_iters"]
    if missing:
        raise InputError(f"{', '.join(missing)} must be in [columns] or [fixed]", path)
    if not all(isinstance(column, str) for column in columns.values()):
        raise InputError("[columns] names columns: our name = 'theirs'", path)
    return Mapped(columns, fixed)


def _check_names(table: Mapping[str, Any], allowed: Any, path: Path) -> None:
    for name in table:
        if name not in allowed:
            raise InputError(f"unknown key '{name}'{did_you_mean(name, allowed)}", path)


def read_table(path: Path, mapped: Mapped) -> ImportedPhase:
    """Read a CSV table as a phase with the file's name. InputError: a mapped column is missing."""
    if not path.is_file():
        raise InputError("no such table: with a mapping, name CSV files", path)
    damages: list[Damage] = []
    trials: dict[tuple[Any, ...], RawTrial] = {}
    for line, row in read_rows(path, damages):
        missing = [column for column in mapped.columns.values() if column not in row]
        if missing:
            raise InputError(f"has no column '{missing[0]}'{did_you_mean(missing[0], row)}", path)
        try:
            _take_row(RawTrial(path, line, {}), row, mapped, trials)
        except ValueError as error:
            damages.append(Damage(path, line, str(error)))
    for raw in trials.values():
        steps = {evaluation.step: evaluation for evaluation in raw.evaluations}
        raw.evaluations = [steps[step] for step in sorted(steps)]
        raw.max_iters = raw.max_iters or max(1, *steps, 0)
    return check_trials(path.stem, list(trials.values()), damages)


def _take_row(new: RawTrial, row: Mapping[str, str], mapped: Mapped, trials: dict[tuple[Any, ...], RawTrial]) -> None:
    cells = {name: row[column].strip() for name, column in mapped.columns.items()}
    settings = {
        name: parsed(mapped.fixed[name] if name in mapped.fixed else cells[name], hyperparameter.kind, name)
        for name, hyperparameter in HYPERPARAMETERS.items()
        if name in cells or name in mapped.fixed
    }
    metrics = {name: parsed(cells[name], float, name) for name in OTHER_COLUMNS[1:-1] if cells.get(name)}
    if "step" not in cells and tuple(settings.values()) in trials:
        raise ValueError("repeats a setting; only the first is taken")
    step = parsed(cells["step"], int, "step") if "step" in cells else settings.get("max_iters")
    if step is None:
        raise ValueError("the length of the trial is unknown without a step or max_iters")
    raw = trials.setdefault(tuple(settings.values()), new)
    raw.max_iters = settings.pop("max_iters", None)
    raw.settings = settings
    raw.final_loss = metrics.get("final_loss", raw.final_loss)
    raw.seconds = metrics.get("seconds", raw.seconds)
    raw.text = cells.get("text") or raw.text
    raw.evaluations.append(
        Evaluation(
            step=step,
            train_loss=metrics.get("train_loss"),
            val_loss=metrics.get("val_loss"),
            final_loss=metrics.get("final_loss"),
            seconds=metrics.get("seconds"),
        )
    )


def parsed(value: Any, kind: type, name: str) -> Any:
    """Convert a cell or a fixed value to the type of its hyperparameter or metric."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        number = float(value) if kind in (int, float) else str(value)
        if kind is int and number != int(number):
            raise ValueError
        return kind(number)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{name} is '{value}', no {kind.__name__}") from None
