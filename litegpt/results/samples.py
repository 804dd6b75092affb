"""samples.jsonl: texts that a trial generated during training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litegpt.results import fields
from litegpt.results.lines import LineWriter, Record
from litegpt.results.records import RecordReader

if TYPE_CHECKING:
    from litegpt.text.copied import CorpusIndex

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How much of a text is copied word for word from the training text and, for comparison, the validation text."""

    share: float  # of its words, inside passages of at least 8 words
    longest: int  # words of the longest passage
    validation_share: float
    validation_longest: int
    unit: str = "words"  # or "characters", in passages of at least 40, if white space does not separate words

    def record(self) -> Record:
        """Return the record; like those of earlier versions, it does not name the unit "words"."""
        record = dataclasses.asdict(self)
        if self.unit == "words":
            del record["unit"]
        return record

    @classmethod
    def from_record(cls, record: object) -> Copied | None:
        """Return the values in a record, None if one is missing."""
        values = fields.mapping(record)
        share, longest = fields.number(values.get("share")), fields.whole(values.get("longest"))
        control = fields.number(values.get("validation_share")), fields.whole(values.get("validation_longest"))
        if share is None or longest is None or control[0] is None or control[1] is None:
            return None
        unit = fields.text(values.get("unit")) or "words"
        return cls(share=share, longest=longest, validation_share=control[0], validation_longest=control[1], unit=unit)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One generated text. It is untrusted: show it only through `inert`."""

    step: int
    loss: float | None  # the validation loss at that step
    text: str
    prompt: str
    temperature: float | None
    seed: int | None
    attempt: int | None = None
    copied: Copied | None = None
    time: str | None = None  # ISO 8601, UTC; None until it is appended

    def record(self) -> Record:
        """Return the line to append, stamped with the time."""
        copied = self.copied and self.copied.record()
        return {**dataclasses.asdict(self), "copied": copied, "time": self.time or fields.timestamp()}

    def measured(self, index: CorpusIndex | None) -> Copied | None:
        """Return how much is copied, as recorded when the sample was written, or measured now.

        Earlier versions counted words in every script. If the unit is wrong, the record is replaced. None if there is
        neither a record nor an index.
        """
        if index is None or (self.copied is not None and self.copied.unit == index.training.unit):
            return self.copied
        return Copied(**index.measure(self.text).record())

    @classmethod
    def from_record(cls, record: Record) -> Sample | None:
        """Return the sample in a line, None if it has no step or no text."""
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
            copied=Copied.from_record(record.get("copied")),
            time=fields.text(record.get("time")),
        )


class SampleReader(RecordReader[Sample]):
    """Follow a trial's samples.jsonl: `poll`, then `rows` (by step; a later attempt's replaces an earlier one's)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Sample.from_record, lambda s: (s.step, s.prompt, s.temperature, s.seed))


def append_sample(path: Path, *samples: Sample) -> None:
    """Append generated texts, all in one write."""
    with LineWriter(path, FORMAT) as writer:
        writer.append(*(sample.record() for sample in samples), sync=True)


def read_samples(path: Path) -> list[Sample]:
    """Return a trial's samples by step; none if the file is missing."""
    reader = SampleReader(path)
    reader.poll()
    return reader.rows()
