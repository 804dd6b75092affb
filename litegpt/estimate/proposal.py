"""A first study for a text: trials that fit the text, the device and the time that the user has.

`propose` is the one rule behind `litegpt init` and the console's dialog for a new study. It writes the study in several
sizes and lengths, estimates the time of each as `litegpt plan` does, and keeps the largest that fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from litegpt.display import duration, inert
from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count
from litegpt.estimate.device import PROFILES
from litegpt.estimate.forecast import Measurement, Throughput, estimate_phase
from litegpt.estimate.memory import training_memory
from litegpt.estimate.outline import outline
from litegpt.study.edit.phase_text import phase_text, value_text
from litegpt.study.hyperparameter import Value
from litegpt.study.study import parse_study
from litegpt.study.trial import Trial

TEMPLATES = {
    "sweep": "a grid of learning rates and widths, then its best trials for longer",
    "single": "one trial",
    "original": "four phases like the original study's",
}
MINUTES_MAX = 100_000.0
START_SECONDS = {"cpu": 5.0, "cuda": 15.0}  # until the workers have imported torch and read the text
SHORT_SECONDS = 60.0  # a study this short is evaluated less often, because evaluations take much of its time
WIDE_SECONDS = 1200.0  # from here on, the grid has more learning rates

FRACTION = 0.1  # of the text, for validation
VALIDATION_MIN = 10_000  # characters, in texts that are long enough; a loss over fewer is too noisy to rank trials
BLOCK_MIN = 8  # the smallest context that is worth training
ITERATIONS_MIN = 100  # of each phase; with fewer, a smaller model learns more
TOKENS_PER_PARAMETER = 5  # in the last phase, for the same reason
PARAMETERS_PER_CHARACTER = 10  # a larger model learns the text by heart
PARAMETERS_MAX_LEAST = 60_000  # models of this size are allowed for any text
PASSES_MAX = 100  # over the training split; more of them only overfit
ITERATIONS_MAX_LEAST = 1000  # these are allowed for any text


@dataclass(frozen=True)
class TextCounts:
    """The counts of a text on which a proposal depends."""

    characters: int
    n_symbols: int

    def validation_characters(self, fraction: float) -> int:
        return self.characters - int(self.characters * (1 - fraction))


@dataclass(frozen=True)
class Proposal:
    """The text of a study file, and the time that it takes according to the estimate."""

    text: str
    seconds: float
    is_limited_by_text: bool  # it takes much less than the time given, because more training would only overfit
    assumption: str  # what the estimate assumes about the device's speed; empty if that is measured or stated


@dataclass(frozen=True)
class _Request:
    name: str
    corpus: str  # relative to the study file
    template: str
    seconds: float


@dataclass(frozen=True)
class _Size:
    """The size of a study's models."""

    n_layer: int
    widths: tuple[int, int]
    head_size: int
    block_size: int
    batch_size: int

    @property
    def step_tokens(self) -> int:
        return self.block_size * self.batch_size

    def fitting(self, shorter_split: int) -> _Size:
        """Return this size with a block that fits the text. A step keeps its number of tokens."""
        block, batch = self.block_size, self.batch_size
        while block >= shorter_split:
            block, batch = block // 2, batch * 2
        return replace(self, block_size=block, batch_size=batch)

    def largest_trial(self) -> Trial:
        width = self.widths[-1]
        return Trial(
            n_layer=self.n_layer,
            n_head=width // self.head_size,
            n_embd=width,
            block_size=self.block_size,
            batch_size=self.batch_size,
            learning_rate=1e-3,
            max_iters=1,
        )


SIZES = (
    _Size(2, (16, 32), 8, 32, 16),
    _Size(2, (32, 64), 16, 32, 16),
    _Size(2, (64, 128), 32, 64, 16),
    _Size(4, (128, 256), 64, 128, 16),
    _Size(6, (256, 384), 64, 256, 32),
    _Size(8, (384, 512), 64, 256, 64),
    _Size(12, (512, 768), 64, 512, 64),
    _Size(12, (768, 1024), 64, 1024, 32),
)
"""The smallest first."""

RATES = {
    64: (1e-3, 2e-3, 3e-3, 5e-3, 1e-2),
    256: (5e-4, 1e-3, 1.5e-3, 3e-3, 5e-3),
    1024: (2e-4, 3e-4, 6e-4, 1e-3, 2e-3),
}
"""Learning rates for models up to a width."""


@dataclass(frozen=True)
class _Breadth:
    """How many values the axes of a grid have."""

    rates: int
    widths: int
    dropouts: tuple[float, ...] = ()

    @property
    def trials(self) -> int:
        return self.rates * self.widths * max(1, len(self.dropouts))


BREADTHS = (
    _Breadth(2, 2),
    _Breadth(3, 2),
    _Breadth(5, 2),
    _Breadth(5, 2, (0.0, 0.2)),
    _Breadth(5, 3, (0.0, 0.1, 0.2)),
)
"""The narrowest first."""

CPU_SPEEDS = ((2, 32, 32, 8e9), (2, 64, 32, 18e9), (2, 64, 64, 22e9), (2, 128, 64, 36e9), (4, 256, 128, 50e9))
"""Layers, width, block and FLOP/s of one core that trains a batch of 16 in fp32: what a server of 2019 reaches."""
BF16_GAIN = 2.0  # of a CPU with units for it
ASSUMED_GPU = PROFILES["rtx2070-8g"]


@dataclass(frozen=True)
class _Stage:
    """A phase whose length is still open."""

    table: Mapping[str, Any]  # as in a study file, without max_iters and eval_interval
    remark: str
    share: float  # of the time
    evaluations: int
    passes_max: float  # over the training split


def propose(
    name: str,
    corpus: str,
    counts: TextCounts,
    throughput: Throughput,
    minutes: float,
    template: str = "sweep",
    remarks: Sequence[str] = (),
) -> Proposal:
    """Return a study that takes about `minutes`, with `remarks` among the comments at its top.

    `corpus` is the path of the text, relative to the study file. InputError: the text is too short, or the time is out
    of range.
    """
    if not 0 < minutes <= MINUTES_MAX:
        raise InputError(f"--minutes {minutes:g}: give a number above 0 and up to {MINUTES_MAX:,.0f}")
    validation = counts.validation_characters(FRACTION)
    if validation <= BLOCK_MIN:
        characters = f"{validation:,} character{'s' * (validation != 1)}"
        needed = f"a study needs at least {BLOCK_MIN + 1}"
        raise InputError(f"the text is too short: its validation split has {characters}, and {needed}", corpus)
    assumed = None if throughput.is_known else _assumed(throughput)
    request = _Request(name, corpus, template, 60 * minutes)
    fraction = FRACTION
    while True:
        sizing = _Sizing(request, counts, fraction, assumed or throughput)
        text, seconds = sizing.largest()
        # Evaluations of a long validation split can take more than the whole time.
        if seconds < 1.2 * 60 * minutes or sizing.validation_characters < 10 * VALIDATION_MIN:
            break
        fraction /= 10
    is_limited = seconds < 60 * minutes / 2
    lines = [
        f"A study of {corpus}: {counts.characters:,} characters, {counts.n_symbols:,} different ones.",
        f"It takes about {duration(seconds)} on {_described(throughput)}.",
    ]
    if assumed:
        lines.append(f"The speed of this device is not measured yet; the time assumes {assumed.source}.")
    if is_limited:
        lines.append("More time would not help: more training would only overfit so short a text.")
    comments = "".join(f"# {inert(line)}\n" for line in (*lines, *remarks))
    return Proposal(f"{comments}\n{text}", seconds, is_limited, assumed.source if assumed else "")


def _described(throughput: Throughput) -> str:
    workers = f" with {throughput.workers} workers" if throughput.workers > 1 else ""
    return throughput.device.name + workers


def _assumed(throughput: Throughput) -> Throughput:
    """Return an assumption about a device of unknown speed."""
    if throughput.device.kind == "cpu":
        gain = BF16_GAIN if throughput.device.precision == "bf16" else 1.0
        measurements = []
        for n_layer, width, block, flops in CPU_SPEEDS:
            trial = _Size(n_layer, (width, width), 32, block, 16).largest_trial()
            measurements.append(Measurement(trial, 1, gain * flops))
        least, most = (gain * flops / 1e9 for *_, flops in (CPU_SPEEDS[0], CPU_SPEEDS[-1]))
        source = f"{least:g} to {most:g} GFLOP/s per core, depending on the model's size"
        return replace(throughput, measurements=measurements, source=source)
    device = replace(throughput.device, flops=ASSUMED_GPU.flops, bandwidth=ASSUMED_GPU.bandwidth)
    return replace(throughput, device=device, source=f"that of an {ASSUMED_GPU.name}")


class _Sizing:
    """Finds the size, the grid and the lengths of a study for one text, device and time."""

    def __init__(self, request: _Request, counts: TextCounts, fraction: float, throughput: Throughput) -> None:
        self.validation_characters = counts.validation_characters(fraction)
        self._request = request
        self._counts = counts
        self._fraction = fraction
        self._train_characters = counts.characters - self.validation_characters
        self._throughput = throughput
        self._start = START_SECONDS[throughput.device.kind]

    def largest(self) -> tuple[str, float]:
        """Return the largest study for which the time suffices, and the seconds that it takes."""
        breadth = self._narrowest()
        sizes = list(dict.fromkeys(size.fitting(self.validation_characters) for size in SIZES))
        size, stages = sizes[0], self._stages(sizes[0], breadth)
        lengths = self._lengths(size, stages)
        for larger in filter(self._fits, sizes[1:]):
            larger_stages = self._stages(larger, breadth)
            larger_lengths = self._lengths(larger, larger_stages)
            if self._suffices(larger, larger_lengths):
                size, stages, lengths = larger, larger_stages, larger_lengths
        # If longer trials would only overfit, the rest of the time goes to a wider grid.
        seconds = self._total(size, stages, lengths)
        for wider in BREADTHS[BREADTHS.index(breadth) + 1 :]:
            if seconds > 0.7 * self._request.seconds:
                break
            stages = self._stages(size, wider)
            lengths = self._lengths(size, stages)
            seconds = self._total(size, stages, lengths)
        return self._text(size, stages, lengths), seconds

    def _narrowest(self) -> _Breadth:
        """Return the narrowest grid that suits the time and gives every worker a trial."""
        index = 0 if self._request.seconds < SHORT_SECONDS else 1 if self._request.seconds < WIDE_SECONDS else 2
        enough = (breadth for breadth in BREADTHS[index:] if breadth.trials >= self._throughput.workers)
        return next(enough, BREADTHS[-1])

    def _fits(self, size: _Size) -> bool:
        """Return whether the largest model fits the device and is not too large for the text."""
        trial, n_symbols = size.largest_trial(), self._counts.n_symbols
        limit = max(PARAMETERS_MAX_LEAST, PARAMETERS_PER_CHARACTER * self._counts.characters)
        device = self._throughput.device
        memory = training_memory(trial, n_symbols, device).total
        return parameter_count(trial, n_symbols) <= limit and memory <= device.usable

    def _suffices(self, size: _Size, lengths: Sequence[int]) -> bool:
        """Return whether the phases are long enough to train models of this size."""
        parameters = parameter_count(size.largest_trial(), self._counts.n_symbols)
        is_enough = lengths[-1] * size.step_tokens >= TOKENS_PER_PARAMETER * parameters
        return is_enough and min(lengths) >= ITERATIONS_MIN

    def _stages(self, size: _Size, breadth: _Breadth) -> list[_Stage]:
        is_short = self._request.seconds < SHORT_SECONDS
        return list(_TEMPLATE_STAGES[self._request.template](size, breadth, self._throughput.workers, is_short))

    def _lengths(self, size: _Size, stages: Sequence[_Stage]) -> list[int]:
        """Return the iterations with which each phase takes its share of the time."""
        # With a fixed number of evaluations, the time of a phase is a linear function of its iterations.
        trials = [[length * stage.evaluations for stage in stages] for length in (100, 200)]
        seconds = [self._phase_seconds(size, stages, lengths) for lengths in trials]
        lengths: list[int] = []
        for stage, (short, long), (less, more) in zip(
            stages, zip(*trials, strict=True), zip(*seconds, strict=True), strict=True
        ):
            per_iteration = (more - less) / (long - short)
            fixed = less - short * per_iteration
            iterations = (stage.share * (self._request.seconds - self._start) - fixed) / per_iteration
            passes = stage.passes_max * self._train_characters / size.step_tokens
            iterations = min(iterations, max(passes, ITERATIONS_MAX_LEAST * stage.passes_max / PASSES_MAX))
            lengths.append(stage.evaluations * _round(iterations / stage.evaluations))
        return lengths

    def _total(self, size: _Size, stages: Sequence[_Stage], lengths: Sequence[int]) -> float:
        return self._start + sum(self._phase_seconds(size, stages, lengths))

    def _phase_seconds(self, size: _Size, stages: Sequence[_Stage], lengths: Sequence[int]) -> list[float]:
        """Return the seconds that `litegpt plan` estimates for each phase."""
        study = parse_study(self._text(size, stages, lengths), Path("study.toml"))
        seconds = []
        for phase in outline(study, self._counts.n_symbols).phases:
            estimate = estimate_phase(
                phase.candidates,
                phase.trials_max,
                self._throughput,
                self._counts.n_symbols,
                self.validation_characters,
            )
            assert estimate is not None
            assert estimate.seconds is not None
            seconds.append(estimate.seconds)
        return seconds

    def _text(self, size: _Size, stages: Sequence[_Stage], lengths: Sequence[int]) -> str:
        """Return the study file without the comments at its top."""
        passes = lengths[-1] * size.step_tokens / self._train_characters
        defaults: dict[str, tuple[Value, str]] = {
            "n_layer": (size.n_layer, "number of blocks"),
            "n_head": (f"n_embd // {size.head_size}", "derived: arithmetic on other hyperparameters"),
            "block_size": (size.block_size, "context in characters"),
            "batch_size": (size.batch_size, "sequences per step"),
            "dropout": (0.2 if passes > 10 else 0.1 if passes > 2 else 0.0, "against overfitting"),
            "lr_schedule": ("cosine", "the learning rate falls until a trial ends,"),
            "warmup_iters": ("max_iters // 20", "after rising from 0 in its first steps"),
        }
        axes = {axis for stage in stages for axis in stage.table.get("grid", ())}
        lines = [f"{key} = {value_text(value)}" for key, (value, _) in defaults.items() if key not in axes]
        remarks = [remark for key, (_, remark) in defaults.items() if key not in axes]
        head = [
            "[study]",
            f"name = {value_text(self._request.name)}",
            f"corpus = {value_text(self._request.corpus)}  # relative to this file",
            f"validation_fraction = {value_text(self._fraction)}  # the end of the text, on which losses are measured",
            "",
            "[defaults]  # used where a phase sets nothing itself",
            *(f"{line:<32}  # {remark}" for line, remark in zip(lines, remarks, strict=True)),
        ]
        phases = []
        for stage, length in zip(stages, lengths, strict=True):
            table = {**stage.table, "max_iters": length, "eval_interval": length // stage.evaluations}
            phases.append(phase_text(table, stage.remark))
        return "\n\n".join(["\n".join(head), *phases]) + "\n"


def _sweep(size: _Size, breadth: _Breadth, workers: int, is_short: bool) -> Iterator[_Stage]:
    grid: dict[str, Sequence[float]] = {"learning_rate": _rates(size, breadth.rates), "n_embd": size.widths}
    if breadth.widths > len(size.widths):
        grid["n_embd"] = (size.widths[0] // 2, *size.widths)
    if breadth.dropouts:
        grid["dropout"] = breadth.dropouts
    top = max(2, min(workers, breadth.trials // 2))
    remark = "Every combination of these values is a trial."
    yield _Stage({"name": "grid", "grid": grid}, remark, 0.5, 2 if is_short else 5, PASSES_MAX / 4)
    promotion = {"from": "grid", "top": top, "how": "exact"}
    remark = f"The {top} best trials by validation loss are trained again, for longer."
    yield _Stage({"name": "best", "promote": promotion}, remark, 0.5, 5 if is_short else 10, PASSES_MAX)


def _single(size: _Size, breadth: _Breadth, workers: int, is_short: bool) -> Iterator[_Stage]:
    table = {"name": "single", "learning_rate": _rates(size, 3)[1], "n_embd": size.widths[-1]}
    remark = "A phase without a grid is one trial."
    yield _Stage(table, remark, 1.0, 5 if is_short else 20, PASSES_MAX)


def _original(size: _Size, breadth: _Breadth, workers: int, is_short: bool) -> Iterator[_Stage]:
    blocks = (size.block_size // 2, size.block_size) if size.block_size > BLOCK_MIN else (size.block_size,)
    grid = {
        "learning_rate": _rates(size, breadth.rates),
        "n_embd": size.widths,
        "block_size": blocks,
        "n_layer": (size.n_layer // 2, size.n_layer),
    }
    evaluations = (2, 2, 3, 4) if is_short else (2, 2, 5, 10)
    finalists = max(2, workers)
    tops = (6, 2 * finalists, finalists)
    remark = "A coarse grid: every combination of these values is a trial."
    yield _Stage({"name": "phase1", "grid": grid}, remark, 0.25, evaluations[0], PASSES_MAX / 16)
    remarks = (
        f"A new grid from the values that the {tops[0]} best trials used.",
        f"The {tops[1]} best trials for longer.",
        f"The {tops[2]} best trials for much longer.",
    )
    names = ("phase1", "phase2", "phase3", "phase4")
    for number, ((source, name), top) in enumerate(zip(pairwise(names), tops, strict=True)):
        promotion = {"from": source, "top": top, "how": "exact" if number else "narrow"}
        passes = PASSES_MAX / (8, 4, 1)[number]
        yield _Stage({"name": name, "promote": promotion}, remarks[number], 0.25, evaluations[number + 1], passes)


_TEMPLATE_STAGES = dict(zip(TEMPLATES, (_sweep, _single, _original), strict=True))


def _rates(size: _Size, count: int) -> tuple[float, ...]:
    """Return 2, 3 or 5 learning rates for models of a size."""
    rates = next(rates for width, rates in RATES.items() if size.widths[-1] <= width)
    return {2: rates[:3:2], 3: rates[::2]}.get(count, rates)


def _round(iterations: float) -> int:
    """Return a round number of iterations, at least 4 and not more than asked for: 1,200 for 1,234, and 85 for 87."""
    whole = max(4, int(iterations))
    step: int = max(10 ** (len(str(whole)) - 2), 5 if whole >= 50 else 1)
    return whole - whole % step
