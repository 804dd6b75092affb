"""The fastest settings of model shapes on a device, from results/autotune.json or from a benchmark of the device."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litegpt.estimate.forecast import Measurement
from litegpt.estimate.packs import ATTENTIONS, Tuning
from litegpt.files import read_json, write_whole
from litegpt.results import fields
from litegpt.study.trial import Trial, of_scope

FORMAT = 1
FILE = "autotune.json"
TUNINGS_BYTES_MAX = 1 << 26
RESOLVED = ("precision", "tokenizer", "vocab_size")
"""Hyperparameters that a record has resolved for a device and a text."""
SPEED_KEY = tuple(name for name in of_scope("shape", "step") if name not in RESOLVED)
"""The hyperparameters that speed depends on, besides whether there is dropout."""


@dataclass(frozen=True)
class TunedShape:
    """The measurements of one shape on one device."""

    device: str  # as its driver calls it
    torch: str  # the version
    precision: str
    vocab_size: int
    trial: Trial  # any trial of the shape
    tuning: Tuning
    flops_per_second: float | None  # of a whole pack; None if only the widest pack that fits is known

    @property
    def key(self) -> tuple[object, ...]:
        """The values that identify a record."""
        shape = tuple(getattr(self.trial, name) for name in SPEED_KEY)
        return (self.device, self.torch, self.precision, self.vocab_size, bool(self.trial.dropout), *shape)

    def record(self) -> dict[str, Any]:
        """Return the measurements as plain data."""
        shape = {name: getattr(self.trial, name) for name in (*SPEED_KEY, "dropout")}
        return {
            "device": self.device,
            "torch": self.torch,
            "precision": self.precision,
            "vocab_size": self.vocab_size,
            **shape,
            "width": self.tuning.width,
            "attention": self.tuning.attention,
            "compiled": self.tuning.compiled,
            "graph": self.tuning.graph,
            "flops_per_second": self.flops_per_second,
        }


class Tunings:
    """The measurements in a results folder. A damaged file counts as missing, so the shapes are measured again."""

    def __init__(self, results: Path) -> None:
        self.path = results / FILE
        self.by_key = {tuned.key: tuned for tuned in read_tuned(self.path)}

    def find(self, wanted: TunedShape) -> TunedShape | None:
        """Return the record of the same shape on the same device, if there is one."""
        return self.by_key.get(wanted.key)

    def keep(self, tuned: TunedShape) -> None:
        """Add or replace a record in the file."""
        self.by_key = {other.key: other for other in read_tuned(self.path)} | self.by_key | {tuned.key: tuned}
        whole = {"format": FORMAT, "shapes": [kept.record() for kept in self.by_key.values()]}
        write_whole(self.path, json.dumps(whole, indent=1).encode() + b"\n")


def read_tuned(path: Path) -> list[TunedShape]:
    """Return the records of an autotune.json or of a benchmark; damaged records are left out."""
    try:
        data = fields.mapping(read_json(path, TUNINGS_BYTES_MAX))
    except (OSError, ValueError):
        return []
    return [tuned for record in fields.mappings(data.get("shapes")) if (tuned := _tuned(record)) is not None]


def measurements(tuned: Iterable[TunedShape], device: str) -> list[Measurement]:
    """Return what was measured on a device of that name."""
    return [
        Measurement(shape.trial, shape.tuning.width or 1, shape.flops_per_second)
        for shape in tuned
        if shape.flops_per_second and shape.device == device
    ]


def _tuned(record: dict[str, Any]) -> TunedShape | None:
    trial = fields.trial({**record, "learning_rate": 1.0, "max_iters": 1})
    texts = [fields.text(record.get(name)) for name in ("device", "torch", "precision")]
    vocab_size, width, attention = (record.get(name) for name in ("vocab_size", "width", "attention"))
    if trial is None or None in texts or fields.whole(vocab_size) is None or attention not in (None, *ATTENTIONS):
        return None
    device, torch, precision = (text or "" for text in texts)
    return TunedShape(
        device,
        torch,
        precision,
        fields.whole(vocab_size) or 0,
        trial,
        Tuning(fields.whole(width), attention, record.get("compiled") is True, record.get("graph") is not False),
        fields.number(record.get("flops_per_second")),
    )
