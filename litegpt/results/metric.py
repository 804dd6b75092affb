"""The metrics of a trial: what each one measures, and the values that a trial ends with.

Screens, commands, reports, queries and promotions take names, headings, formats and units from `METRICS`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from litegpt import display
from litegpt.results import fields


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: what it measures and how it is shown."""

    name: str  # the field of TrialMetrics or Evaluation, and the key in records
    label: str  # in a sentence
    heading: str  # of a column
    heading_per_token: str = ""  # of a column beside trials with another tokenizer; the same heading if empty
    unit: str = ""
    per_token: bool = False  # then values of different tokenizers do not compare
    between_tokenizers: str = ""  # the metric that then takes its place; none if empty
    best_of: str | None = None  # the metric of an evaluation that this one is the minimum of
    width: int = 6  # cells of a column
    form: Callable[[Any], str] = display.loss

    @property
    def curve(self) -> Metric:
        """The metric of each evaluation that this one summarises; itself if it is not a minimum."""
        return METRICS[self.best_of] if self.best_of else self

    @property
    def is_validation(self) -> bool:
        """True for losses of the validation text, which baselines have too."""
        return self.curve.name in ("val_loss", "bits_per_char")

    def text(self, value: float | None) -> str:
        """Return a value as people read it."""
        return self.form(value)

    def heading_of(self, tokens_differ: bool) -> str:
        """Return the heading of a column, with the unit of losses that are not comparable."""
        return self.heading_per_token if tokens_differ and self.heading_per_token else self.heading


_NATS: dict[str, Any] = {"unit": "nats per token", "per_token": True}
_BITS: dict[str, Any] = {"unit": "bits per character"}
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="step", label="step", heading="step", form=display.count, width=7),
        Metric(
            name="train_loss", label="training loss", heading="train", heading_per_token="train nats", width=6, **_NATS
        ),
        Metric(
            name="val_loss",
            label="validation loss",
            heading="val",
            heading_per_token="val nats",
            between_tokenizers="bits_per_char",
            **_NATS,
        ),
        Metric(
            name="best_val_loss",
            label="best validation loss",
            heading="best val",
            heading_per_token="nats/token",
            best_of="val_loss",
            between_tokenizers="best_bits_per_char",
            width=8,
            **_NATS,
        ),
        Metric(name="bits_per_char", label="bits per character", heading="bits/char", width=9, **_BITS),
        Metric(
            name="best_bits_per_char",
            label="best bits per character",
            heading="bits/char",
            best_of="bits_per_char",
            width=9,
            **_BITS,
        ),
        Metric(
            name="best_val_step", label="step of the best evaluation", heading="at step", form=display.count, width=7
        ),
        Metric(name="final_loss", label="minibatch loss", heading="final", heading_per_token="final nats", **_NATS),
        Metric(name="gap", label="gap", heading="gap", heading_per_token="gap nats", form=display.difference, **_NATS),
        Metric(name="seconds", label="seconds", heading="time", unit="seconds", form=display.duration, width=8),
        Metric(
            name="tokens_per_second",
            label="tokens per second",
            heading="tok/s",
            per_token=True,
            form=display.short_count,
        ),
    )
}
"""Every metric by name. What a study file may rank trials by is `litegpt.study.phase.RANKINGS`."""


def comparable_metrics(names: Iterable[str], tokens_differ: bool) -> tuple[str, ...]:
    """Return the metrics that compare: those per token are replaced or left out if tokens differ."""
    metrics = (METRICS[name] for name in names)
    found = (metric.between_tokenizers if tokens_differ and metric.per_token else metric.name for metric in metrics)
    return tuple(dict.fromkeys(filter(None, found)))


class History(Protocol):
    """The evaluations of one trial."""

    def step_at(self, step: float) -> int | None:
        """Return the step of the last evaluation up to a step."""

    def points(self, name: str) -> list[tuple[int, float]]:
        """Return the steps at which a metric was measured, each with its value."""

    def at(self, step: float, name: str) -> float | None:
        """Return the latest value of a metric that was measured up to a step."""

    def least(self, name: str, step: float = math.inf) -> tuple[float, int] | None:
        """Return the least value of a metric up to a step, and the step where it was measured."""


@dataclass(frozen=True, kw_only=True)
class TrialMetrics:
    """The metrics of a trial at its last step; None for those that were not measured."""

    step: int | None = None
    seconds: float | None = None  # the trial's own cost
    train_loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    best_val_step: int | None = None
    bits_per_char: float | None = None  # of val_loss
    best_bits_per_char: float | None = None  # of best_val_loss
    final_loss: float | None = None
    tokens_per_second: float | None = None

    @property
    def gap(self) -> float | None:
        """How much worse the model predicts the validation text than the training text."""
        return None if self.val_loss is None or self.train_loss is None else self.val_loss - self.train_loss

    def value(self, name: str) -> float | None:
        """Return the value of the metric of that name."""
        value: float | None = getattr(self, name)
        return value

    @classmethod
    def at(cls, step: float, history: History) -> TrialMetrics:
        """Return the metrics of a trial as they were at a step; none before its first evaluation."""
        last = history.step_at(step)
        if last is None:
            return cls()
        best = history.least("val_loss", step)
        return cls(
            step=last,
            **{name: history.at(step, name) for name in _MEASURED},
            best_val_loss=None if best is None else best[0],
            best_val_step=None if best is None else best[1],
            best_bits_per_char=None if best is None else history.at(best[1], "bits_per_char"),
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any], tokenizer: str) -> TrialMetrics:
        """Return the metrics in a `trial_ended` record.

        Old records lack bits per character, which follow from the losses if the tokens are characters.
        """
        values: dict[str, Any] = {name: fields.number(record.get(name)) for name in _FIELDS}
        values["step"] = fields.whole(record.get("step"))
        values["best_val_step"] = fields.whole(record.get("best_val_step"))
        if tokenizer == "char":
            for bits, loss in (("bits_per_char", "val_loss"), ("best_bits_per_char", "best_val_loss")):
                values[bits] = bits_per_char(values[loss]) if values[bits] is None else values[bits]
        return cls(**values)


NO_METRICS = TrialMetrics()
_FIELDS = tuple(field.name for field in dataclasses.fields(TrialMetrics))
_MEASURED = ("seconds", "train_loss", "val_loss", "bits_per_char", "final_loss", "tokens_per_second")


def bits_per_char(loss: float | None, tokens_per_char: float = 1.0) -> float | None:
    """Convert nats per token to bits per character, in which trials with different tokenizers compare."""
    return None if loss is None else loss * tokens_per_char / math.log(2)
