"""metrics.jsonl: one line per evaluation of a trial."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from litegpt.results import fields
from litegpt.results.lines import LineWriter, Record
from litegpt.results.metric import bits_per_char
from litegpt.results.records import RecordReader

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The measurements of one trial at one step; None if missing. Losses are in nats per token."""

    step: int  # updates made
    train_loss: float | None = None
    val_loss: float | None = None
    final_loss: float | None = None  # the minibatch loss of this step; None at step 0
    bits_per_char: float | None = None  # of the validation text, comparable between tokenizers
    seconds: float | None = None  # the trial's own cost so far
    tokens_per_second: float | None = None
    learning_rate: float | None = None
    loss_scale: float | None = None  # fp16 only
    skipped_steps: int | None = None  # fp16 only
    pack_width: int | None = None
    attempt: int | None = None
    time: str | None = None  # ISO 8601, UTC; None until it is appended
    state: str | None = None  # 'diverged' where losses are None because they were NaN or infinite

    @property
    def losses(self) -> tuple[float | None, float | None, float | None]:
        return (self.train_loss, self.val_loss, self.final_loss)

    def record(self) -> Record:
        """Return the line to append, with the time, and with the state "diverged" if a loss is not finite."""
        record = dataclasses.asdict(self)
        record["time"] = self.time or fields.timestamp()
        if any(loss is not None and not math.isfinite(loss) for loss in self.losses):
            record["state"] = "diverged"
        if record["state"] is None:
            del record["state"]
        return record

    @classmethod
    def from_record(cls, record: Record) -> Evaluation | None:
        """Return the evaluation in a line, None if it has no step."""
        step = fields.whole(record.get("step"))
        if step is None or step < 0:
            return None
        val_loss = fields.number(record.get("val_loss"))
        # Records older than the other tokenizers have losses per character.
        in_characters = bits_per_char(val_loss)
        return cls(
            step=step,
            train_loss=fields.number(record.get("train_loss")),
            val_loss=val_loss,
            final_loss=fields.number(record.get("final_loss")),
            bits_per_char=fields.number(record.get("bits_per_char", in_characters)),
            seconds=fields.number(record.get("seconds")),
            tokens_per_second=fields.number(record.get("tokens_per_second")),
            learning_rate=fields.number(record.get("learning_rate")),
            loss_scale=fields.number(record.get("loss_scale")),
            skipped_steps=fields.whole(record.get("skipped_steps")),
            pack_width=fields.whole(record.get("pack_width")),
            attempt=fields.whole(record.get("attempt")),
            time=fields.text(record.get("time")),
            state=fields.text(record.get("state")),
        )


class Evaluations(list[Evaluation]):
    """The evaluations of one trial by step; a `History`."""

    def step_at(self, step: float) -> int | None:
        index = self._end(step)
        return self[index - 1].step if index else None

    def points(self, name: str) -> list[tuple[int, float]]:
        return [(row.step, value) for row in self if (value := getattr(row, name)) is not None and math.isfinite(value)]

    def at(self, step: float, name: str) -> float | None:
        for index in range(self._end(step) - 1, -1, -1):
            value: float | None = getattr(self[index], name)
            if value is not None:
                return value
        return None

    def least(self, name: str, step: float = math.inf) -> tuple[float, int] | None:
        return min(((value, at) for at, value in self.points(name) if at <= step), default=None)

    def _end(self, step: float) -> int:
        return bisect_right(self, step, key=lambda row: row.step)


class MetricsReader(RecordReader[Evaluation]):
    """Follow a trial's metrics.jsonl: `poll`, then `rows` (one evaluation per step, the latest record of each)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Evaluation.from_record, lambda evaluation: evaluation.step)


class MetricsWriter:
    """The only writer of a trial's metrics.jsonl. It skips steps that earlier attempts have recorded."""

    def __init__(self, path: Path) -> None:
        self._writer = LineWriter(path, FORMAT)
        self._steps = {evaluation.step for evaluation in read_metrics(path) if _is_measured(evaluation)}

    def append(self, evaluation: Evaluation) -> bool:
        """Append one line and return True; return False if an earlier attempt has measured this step."""
        if evaluation.step in self._steps:
            return False
        self._writer.append(evaluation.record())
        if _is_measured(evaluation):
            self._steps.add(evaluation.step)
        return True

    def sync(self) -> None:
        """Return once everything that was appended is on the disk."""
        self._writer.sync()

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: Path) -> Evaluations:
    """Return a trial's evaluations by step; none if the file is missing."""
    reader = MetricsReader(path)
    reader.poll()
    return Evaluations(reader.rows())


def _is_measured(evaluation: Evaluation) -> bool:
    losses = [loss for loss in evaluation.losses if loss is not None]
    return evaluation.state is None and bool(losses) and all(map(math.isfinite, losses))
