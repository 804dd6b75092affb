from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from litegpt.results.metrics import Evaluation, MetricsReader, MetricsWriter, read_metrics

KEYS = [
    "step",
    "train_loss",
    "val_loss",
    "final_loss",
    "bits_per_char",
    "seconds",
    "tokens_per_second",
    "learning_rate",
    "loss_scale",
    "skipped_steps",
    "pack_width",
    "attempt",
    "time",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "phase1" / "trial" / "metrics.jsonl"


def evaluation(step: int, loss: float = 2.5, attempt: int = 1) -> Evaluation:
    return Evaluation(
        step=step,
        train_loss=loss,
        val_loss=loss + 0.1,
        final_loss=loss if step else None,
        seconds=step / 100,
        tokens_per_second=1e6,
        learning_rate=3e-4,
        pack_width=4,
        attempt=attempt,
        time="2026-11-23T22:19:57.123Z",
    )


def write(path: Path, *evaluations: Evaluation) -> list[bool]:
    with MetricsWriter(path) as writer:
        return [writer.append(given) for given in evaluations]


def test_evaluations_are_read_back(path: Path) -> None:
    given = [evaluation(0), evaluation(100), replace(evaluation(200), loss_scale=65536.0, skipped_steps=2)]
    assert write(path, *given) == [True] * 3
    assert read_metrics(path) == given


def test_the_keys_are_the_contract(path: Path) -> None:
    write(path, replace(evaluation(0), time=None), evaluation(100, math.nan))
    first, second = map(json.loads, path.read_text().splitlines())
    assert list(first) == [*KEYS, "format"]
    assert first["format"] == 1
    assert first["final_loss"] is None
    assert first["time"].endswith("Z")
    assert list(second) == [*KEYS, "state"]
    assert second["train_loss"] is None
    assert second["state"] == "diverged"


def test_a_resumed_attempt_skips_recorded_steps(path: Path) -> None:
    write(path, evaluation(0), evaluation(100), evaluation(200))
    assert write(path, evaluation(200, attempt=2), evaluation(300, attempt=2)) == [False, True]
    assert [(row.step, row.attempt) for row in read_metrics(path)] == [(0, 1), (100, 1), (200, 1), (300, 2)]
    assert len(path.read_text().splitlines()) == 4


def test_a_diverged_step_is_replaced(path: Path) -> None:
    assert write(path, evaluation(100, math.nan)) == [True]
    assert write(path, evaluation(100, 2.0, attempt=2)) == [True]
    assert read_metrics(path) == [evaluation(100, 2.0, attempt=2)]


def test_an_incomplete_step_is_replaced(path: Path) -> None:
    write(path, evaluation(0), evaluation(100))
    path.write_bytes(path.read_bytes()[:-20])
    assert write(path, evaluation(0), evaluation(100)) == [False, True]
    assert read_metrics(path) == [evaluation(0), evaluation(100)]


def test_a_file_cut_at_any_byte_can_be_continued(path: Path) -> None:
    given = [evaluation(0), evaluation(100)]
    write(path, *given)
    data = path.read_bytes()
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        assert read_metrics(path) == given[:whole]
        write(path, *given)
        assert read_metrics(path) == given


def test_a_reader_follows_a_file_and_its_replacement(path: Path) -> None:
    reader = MetricsReader(path)
    assert not reader.poll()
    write(path, evaluation(0), evaluation(100))
    assert reader.poll()
    assert not reader.poll()
    assert [row.step for row in reader.rows()] == [0, 100]
    path.unlink()
    write(path, evaluation(50))
    assert reader.poll()
    assert [row.step for row in reader.rows()] == [50]


def test_values_of_another_type_are_none(path: Path) -> None:
    path.parent.mkdir(parents=True)
    huge = "9" * 400
    path.write_text(
        '{"step": "1"}\n{"step": true}\n{"step": -1}\n{}\n'
        f'{{"step": 2, "train_loss": "2.5", "val_loss": 1e999, "seconds": {huge}, "pack_width": 1.5, "extra": 1}}\n'
    )
    (row,) = read_metrics(path)
    assert row.step == 2
    assert (row.train_loss, row.val_loss, row.seconds, row.pack_width, row.attempt) == (None,) * 5


def test_rows_are_sorted_by_step(path: Path) -> None:
    write(path, evaluation(200), evaluation(0), evaluation(100))
    assert [row.step for row in read_metrics(path)] == [0, 100, 200]
