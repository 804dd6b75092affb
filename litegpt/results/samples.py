"""samples.jsonl: the text a trial generated on its way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from litegpt.results import fields
from litegpt.results.lines import LineWriter, Record
from litegpt.results.records import RecordReader


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One generated text. It is the model's: make it `inert` before it is shown."""

    step: int
    loss: float | None  # the validation loss at that step
    text: str
    prompt: str
    temperature: float | None
    seed: int | None
    attempt: int | None = None
    time: str | None = None  # ISO 8601, UTC; None until it is appended

    def record(self) -> Record:
        """Return the line to append, stamped with the time."""
        return {**dataclasses.asdict(self), "time": self.time or fields.timestamp()}

    @classmethod
    def from_record(cls, record: Record) -> Sample | None:
        """Return the sample in a line, None where it has no step or no text."""
        step, text = fields.whole(record.get("step")), fields.text(record.get("text"))
        if step is None or step < 0 or text is None:
            return None
        return cls(
            step=step,
            loss=fields.number(record.get("loss")),
            text=text,
            prompt=fields.text(record.get("prompt")) or "",
            temperature=fields.number(record.get("temperature")),
            seed=fields.whole(record.get("seed")),
            attempt=fields.whole(record.get("attempt")),
            time=fields.text(record.get("time")),
        )


class SampleReader(RecordReader[Sample]):
    """Follow a trial's samples.jsonl: `poll`, then `rows` (by step; a later attempt's replaces an earlier one's)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Sample.from_record, lambda s: (s.step, s.prompt, s.temperature, s.seed))


def append_sample(path: Path, *samples: Sample) -> None:
    """Append generated texts, all in one write."""
    with LineWriter(path) as writer:
        writer.append(*(sample.record() for sample in samples))


def read_samples(path: Path) -> list[Sample]:
    """Return a trial's samples by step; none where the file is missing."""
    reader = SampleReader(path)
    reader.poll()
    return reader.rows()
