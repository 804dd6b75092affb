"""Results as CSV, Parquet and TensorBoard files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from litegpt.analysis.curves import key_of, read_curves
from litegpt.display import spreadsheet_cell
from litegpt.extras import optional_imports
from litegpt.results.fields import moment
from litegpt.results.folder import StudyFolder
from litegpt.results.samples import read_samples
from litegpt.results.state import StudyState, TrialState
from litegpt.study.trial import HYPERPARAMETERS

SCALARS = {
    "loss/train": "train_loss",
    "loss/validation": "val_loss",
    "bits_per_char/validation": "bits_per_char",
    "loss/minibatch": "final_loss",
    "seconds": "seconds",
    "tokens_per_second": "tokens_per_second",
    "learning_rate": "learning_rate",
}


Row = dict[str, Any]


def trial_rows(state: StudyState) -> list[Row]:
    """Return one row per trial: phase, trial, state, hyperparameters, metrics."""
    return [_trial_row(trial) for trial in _trials(state)]


def metric_rows(folder: StudyFolder, state: StudyState) -> list[Row]:
    """Return one row per evaluation: phase, trial, and the fields of `metrics.jsonl`."""
    trials = _trials(state)
    curves = read_curves(folder, trials)
    return [
        {"phase": trial.phase, "trial": trial.id, **vars(evaluation)}
        for trial in trials
        for evaluation in curves[key_of(trial)]
    ]


def write_tables(folder: StudyFolder, state: StudyState, out: Path, kind: str) -> list[Path]:
    """Write `trials` and `metrics` as `kind`, csv or parquet; return the files. InputError: pyarrow is missing."""
    write = _write_csv if kind == "csv" else _write_parquet
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in (("trials", trial_rows(state)), ("metrics", metric_rows(folder, state))):
        path = out / f"{name}.{kind}"
        write(path, rows)
        paths.append(path)
    return paths


def _write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        # Names and reasons come from files that others may have written.
        writer.writerows({name: spreadsheet_cell(cell) for name, cell in row.items()} for row in rows)


def _write_parquet(path: Path, rows: list[Row]) -> None:
    with optional_imports("Parquet"):
        from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist(rows), path)


def write_tensorboard(folder: StudyFolder, state: StudyState, out: Path) -> list[Path]:
    """Write one event file per trial, in folders named `<phase>/<trial>`; return the folders.

    Scalars keep their time of measurement; the last sample is the `text`.
    """
    with optional_imports("TensorBoard"):
        from tensorboardX import SummaryWriter

    paths = []
    trials = _trials(state)
    for trial, curve in zip(trials, read_curves(folder, trials).values(), strict=True):
        path = out / trial.phase / trial.id
        with SummaryWriter(str(path)) as writer:
            for evaluation in curve:
                at = moment(evaluation.time)
                for tag, name in SCALARS.items():
                    value = getattr(evaluation, name)
                    if value is not None:
                        writer.add_scalar(tag, value, evaluation.step, walltime=at and at.timestamp())
            for sample in read_samples(folder.trial(trial.phase, trial.id).samples)[-1:]:
                writer.add_text("text", sample.text, sample.step)
        paths.append(path)
    return paths


def _trials(state: StudyState) -> list[TrialState]:
    return [trial for phase in state.phases.values() for trial in phase.current()]


def _trial_row(trial: TrialState) -> dict[str, Any]:
    settings = {name: getattr(trial.settings, name) for name in (*HYPERPARAMETERS, "start_from")}
    record = {**vars(trial), **vars(trial.metrics)}
    for name in ("settings", "metrics", "later"):
        del record[name]
    return {"phase": record.pop("phase"), "trial": record.pop("id"), "state": record.pop("state"), **settings, **record}
