"""The messages between runner and workers: one JSON object per line, over the worker's stdin and stdout."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from litegpt.results.metric import NO_METRICS, TrialMetrics

BAD_CORPUS = "bad corpus"
DISK = "disk"
CACHE = "cache"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One line on the pipe; the key `kind` names its class."""

    kind: ClassVar[str]

    def line(self) -> bytes:
        """Return the message as a line of JSON."""
        return json.dumps({"kind": self.kind, **dataclasses.asdict(self)}).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """One trial of a pack: its settings, its folder, and the weights to start from, if any."""

    phase: str
    settings: dict[str, Any]
    folder: str
    attempt: int
    start_from: str | None = None  # a file of weights
    keep_checkpoint: bool = False  # also after the trial has ended


@dataclass(frozen=True, kw_only=True)
class TrainPack(Message):
    """To a worker: train these trials of one shape."""

    kind = "train"
    pack: str
    corpus: str
    corpus_base: str
    corpus_sha256: str  # of the text when the run began
    split: dict[str, Any]  # the fields of a SplitRule
    trials: list[TrialRequest]
    tuning: dict[str, Any] = field(default_factory=dict)  # the fields of a Tuning
    tune: bool = False  # measure the fastest tuning first


@dataclass(frozen=True, kw_only=True)
class StopPack(Message):
    """To a worker: write checkpoints and end this pack."""

    kind = "stop"
    pack: str


@dataclass(frozen=True, kw_only=True)
class Ready(Message):
    """From a worker: it can receive packs."""

    kind = "ready"
    pid: int
    device: str
    device_name: str
    precision: str  # what 'auto' means on this device
    torch: str


@dataclass(frozen=True, kw_only=True)
class Unusable(Message):
    """From a worker: its device cannot be used, and it exits."""

    kind = "unusable"
    reason: str


@dataclass(frozen=True, kw_only=True)
class Heartbeat(Message):
    """From a worker, every second, even during long calls: its process is alive."""

    kind = "heartbeat"


@dataclass(frozen=True, kw_only=True)
class ShapeTuned(Message):
    """From a worker: the fastest tuning for a shape, or (without a speed) the widest pack that fits in memory."""

    kind = "tuned"
    settings: dict[str, Any]  # of any trial of the shape
    precision: str
    width: int
    attention: str | None
    compiled: bool
    flops_per_second: float | None
    graph: bool = True


@dataclass(frozen=True, kw_only=True)
class Alive(Message):
    """From a worker, twice per second: its pack has made `step` updates."""

    kind = "alive"
    pack: str
    trials: list[str]
    step: int


@dataclass(frozen=True, kw_only=True)
class TrialEvaluated(Message):
    """From a worker: a line was added to a trial's metrics."""

    kind = "evaluated"
    phase: str
    trial: str
    step: int
    train_loss: float | None
    val_loss: float | None
    tokens_per_second: float | None
    bits_per_char: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrialOver(Message):
    """From a worker: an attempt is over, and everything it wrote is on the disk."""

    kind = "over"
    phase: str
    trial: str
    state: str  # done, diverged, failed, or stopped with a checkpoint
    reason: str | None = None
    failure: str | None = None  # its kind: a Failure, or BAD_CORPUS, DISK or CACHE, which end no trial
    metrics: TrialMetrics = NO_METRICS


@dataclass(frozen=True, kw_only=True)
class PackOver(Message):
    """From a worker: it is idle again."""

    kind = "pack_over"
    pack: str
    wall_seconds: float


_KINDS: dict[str, type[Message]] = {kind.kind: kind for kind in Message.__subclasses__()}


def parse(line: bytes) -> Message | None:
    """Return the message in a line, None for anything else."""
    try:
        fields = json.loads(line)
        message = _KINDS[fields.pop("kind")](**fields)
        if isinstance(message, TrainPack):
            return dataclasses.replace(message, trials=[TrialRequest(**trial) for trial in fields["trials"]])
        if isinstance(message, TrialOver):
            return dataclasses.replace(message, metrics=TrialMetrics(**fields.get("metrics", {})))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return message
