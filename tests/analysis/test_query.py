from __future__ import annotations

import pytest

from litegpt.analysis.query import parse_query
from litegpt.errors import InputError

RECORD = {
    "id": "4x64-t32-b16-lr0.0003-i500-ab",
    "phase": "phase1",
    "state": "done",
    "n_layer": 4,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "parameters": 10_650_000,
    "val_loss": 1.5,
    "train_loss": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lr>=3e-4 n_layer:4 state:done -batch_size:32 phase1 @500",
        "lr:0.0003",
        "lr:1e-4..3e-4",
        "lr:..1",
        "n_layer:2,4",
        "n_layer!=2",
        "PHASE1",
        "-phase2",
        "params>10M params<11m",
        "state:do",
        "state=done",
        "val<=1.5",
        "-train>0",
    ],
)
def test_a_query_accepts(text: str) -> None:
    assert parse_query(text).holds(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "lr>3e-4",
        "lr<3e-4",
        "n_layer:2,6",
        "n_layer:5..6",
        "phase2",
        "-phase1",
        "state=do",
        "val!=1.5",
        "train>0",
        "state:done n_layer:2",
    ],
)
def test_a_query_rejects(text: str) -> None:
    assert not parse_query(text).holds(RECORD)


def test_a_query_has_a_step() -> None:
    assert parse_query("word @1_500").step == 1500
    assert parse_query("word").step is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_layers:2", "did you mean 'n_layer'"),
        ("lr>", "lacks a value"),
        ("lr>fast", "'fast' is not a number"),
        ("@soon", "is not a step"),
        ("@-5", "is not a step"),
    ],
)
def test_a_wrong_query_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_query(text)
