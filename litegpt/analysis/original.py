"""The original program's files: its log (`output.txt`), and the two tables that were parsed from it.

The log has a header per trial, a line per evaluation, the loss of the last minibatch, the time and a text. `output.csv`
has a row per trial, `output_steps.csv` a row per evaluation. The length of a trial follows from its evaluations.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from litegpt.analysis.imported import Damage, ImportedPhase, RawTrial, check_trials
from litegpt.errors import InputError
from litegpt.results.metrics import Evaluation

LOG, TRIALS, STEPS = "output.txt", "output.csv", "output_steps.csv"

COLUMNS: dict[str, tuple[str, Callable[[str], int | float]]] = {
    "learning_rate": ("LR", float),
    "n_head": ("Heads", int),
    "n_embd": ("Embeddings", int),
    "block_size": ("Block Size", int),
    "batch_size": ("Batch Size", int),
    "n_layer": ("Layers", int),
}
MODEL: dict[str, Any] = {"attention_scale": "width", "initialisation": "torch"}
"""The settings in which the original's model differs from the defaults."""
_BEGINNING = "BEGINNING ("
_HEADER = re.compile(
    r"BEGINNING \([\d.]+\): Baseline " + " ".join(rf"{column}\(([^)]+)\)" for column, _ in COLUMNS.values())
)
_SHAPE = re.compile(r"torch\.Size\(\[\d+, (\d+)\]\)|\[\d+, (\d+)\]")
_STEP = re.compile(r"step (\d+): train loss (\S+), val loss (\S+) \[(\S+) sec\]")
_TIME = re.compile(r"Total Training Time: (\S+) seconds")


def read_folder(folder: Path) -> ImportedPhase:
    """Read a folder of the original as a phase of that name, from the two tables if they exist, otherwise from the log.

    InputError: the folder has neither.
    """
    name = folder.resolve().name
    if (folder / TRIALS).is_file() and (folder / STEPS).is_file():
        return _with_model(check_trials(name, *_read_tables(folder)))
    if (folder / LOG).is_file():
        return _with_model(check_trials(name, *_read_log(folder / LOG)))
    if not folder.is_dir():
        raise InputError("no such folder", folder)
    raise InputError(f"holds neither {LOG} nor {TRIALS} with {STEPS}", folder)


def _with_model(phase: ImportedPhase) -> ImportedPhase:
    """Add the settings of the model, which the original's files do not name."""
    trials = tuple(replace(trial, settings=replace(trial.settings, **MODEL)) for trial in phase.trials)
    return replace(phase, trials=trials)


def decode(path: Path) -> str:
    """Return a file's text. The original's log is in Windows-1252, its tables are in UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read_log(path: Path) -> tuple[list[RawTrial], list[Damage]]:
    log = decode(path).replace("\r\n", "\n").removesuffix("\n")
    lines = [line.rstrip() for line in log.split("\n")]
    begins = [number for number, line in enumerate(lines) if line.startswith(_BEGINNING)]
    trials: list[RawTrial] = []
    damages: list[Damage] = []
    if any(lines[: begins[0]] if begins else lines):
        damages.append(Damage(path, 1, "lines before the first trial's header"))
    for begin, end in pairwise([*begins, len(lines)]):
        try:
            trials.append(_read_block(path, begin, lines[begin:end], damages))
        except ValueError as error:
            damages.append(Damage(path, begin + 1, f"the trial is not whole: {error}"))
    return trials, damages


def _read_block(path: Path, begin: int, lines: list[str], damages: list[Damage]) -> RawTrial:
    """Return the trial of one block. ValueError: the block is incomplete."""
    header = _HEADER.fullmatch(lines[0])
    if header is None:
        raise ValueError("its header is damaged")
    settings = {name: parse(text) for (name, (_, parse)), text in zip(COLUMNS.items(), header.groups(), strict=True)}
    raw = RawTrial(path, begin + 1, settings)
    for number, line in enumerate(lines[1:], 1):
        if shape := _SHAPE.fullmatch(line):
            raw.vocab_size = int(shape[1])
        elif step := _STEP.fullmatch(line):
            raw.evaluations.append(_evaluation(*step.groups()))
        elif time := _TIME.fullmatch(line):
            raw.seconds = float(time[1])
            break
        elif line and not line.startswith("tensor("):
            if raw.final_loss is not None:
                raise ValueError(f"line {begin + number + 1} is damaged")
            raw.final_loss = _loss_line(line, begin + number + 1)
    if raw.final_loss is None or raw.seconds is None:
        raise ValueError("it ends before its final loss and its time")
    rest = lines[number + 1 :]
    strays = [i for i, line in enumerate(rest) if _SHAPE.fullmatch(line) or _STEP.fullmatch(line)]
    if strays:
        damages.append(Damage(path, begin + number + 2 + strays[0], "lines of a trial whose header is missing"))
        rest = rest[: strays[0]]
    # The program printed the line break that it began to generate from, the text, and a line break.
    raw.text = "\n".join(rest).removeprefix("\n")
    return raw


def _loss_line(line: str, number: int) -> float:
    try:
        return float(line)
    except ValueError:
        raise ValueError(f"line {number} is damaged") from None


def _evaluation(step: str, train_loss: str, val_loss: str, seconds: str) -> Evaluation:
    return Evaluation(
        step=int(step),
        train_loss=float(train_loss),
        val_loss=float(val_loss),
        seconds=float(seconds),
    )


def _read_tables(folder: Path) -> tuple[list[RawTrial], list[Damage]]:
    damages: list[Damage] = []
    trials: dict[tuple[Any, ...], RawTrial] = {}
    listed: list[RawTrial] = []
    for line, row in read_rows(folder / TRIALS, damages):
        try:
            raw = RawTrial(folder / TRIALS, line, _settings(row))
            raw.final_loss, raw.seconds = float(row["final_loss"]), float(row["total_training_time"])
            raw.text = "\n".join(part.rstrip() for part in row["Generated Text"].split("\\n"))
            shape = _SHAPE.fullmatch(row["Size"])
        except (KeyError, ValueError):
            damages.append(Damage(folder / TRIALS, line, "the row is damaged"))
            continue
        raw.vocab_size = int(shape[2] or shape[1]) if shape else None
        listed.append(raw)
        trials.setdefault(tuple(raw.settings.values()), raw)
    homeless: set[tuple[Any, ...]] = set()
    for line, row in read_rows(folder / STEPS, damages):
        try:
            key = tuple(_settings(row).values())
            columns = ("Step", "Training Loss", "Validation Loss", "Accumulated Time Sec")
            evaluation = _evaluation(*(row[column] for column in columns))
        except (KeyError, ValueError):
            damages.append(Damage(folder / STEPS, line, "the row is damaged"))
            continue
        if key in trials:
            trials[key].evaluations.append(evaluation)
        elif key not in homeless:
            homeless.add(key)
            damages.append(Damage(folder / STEPS, line, f"evaluations of a trial that {TRIALS} does not have"))
    for raw in trials.values():
        steps = {evaluation.step: evaluation for evaluation in raw.evaluations}  # a setting that was run twice
        raw.evaluations = [steps[step] for step in sorted(steps)]
    return listed, damages


def _settings(row: dict[str, str]) -> dict[str, Any]:
    return {name: parse(row[column]) for name, (column, parse) in COLUMNS.items()}


def read_rows(path: Path, damages: list[Damage]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with their line numbers; a row that is not as long as the head is damaged."""
    reader = csv.reader(decode(path).splitlines(keepends=True))
    try:
        head = next(reader, [])
        for row in reader:
            if len(row) == len(head):
                yield reader.line_num, dict(zip(head, row, strict=True))
            elif row:
                damages.append(Damage(path, reader.line_num, f"{len(row)} cells, the head has {len(head)}"))
    except csv.Error as error:
        damages.append(Damage(path, reader.line_num, f"the rest cannot be read: {error}"))
