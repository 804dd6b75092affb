"""Models that are too large for a device, found before anything starts, and what would make them fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from litegpt.display import short_count
from litegpt.estimate.cost import parameter_count
from litegpt.estimate.device import GB, DeviceSpec
from litegpt.estimate.memory import memory_key, training_memory
from litegpt.study.trial import Trial


def memory_shortage(trials: Iterable[Trial], n_symbols: int, device: DeviceSpec) -> str | None:
    """Return why the largest trial does not fit into a device, and what would help; None if all trials fit."""
    unique = {memory_key(trial): trial for trial in trials}
    needs = {trial: _need(trial, n_symbols, device) for trial in unique.values()}
    largest = max(needs, key=lambda trial: needs[trial], default=None)
    if largest is None or needs[largest] <= device.memory:
        return None
    memory = training_memory(largest, n_symbols, device)
    shortage = (
        f"a model of {short_count(parameter_count(largest, n_symbols))} parameters ({_shown(largest)}) needs "
        f"{gigabytes(memory.total)}, {gigabytes(memory.state)} of it for weights and optimizer and "
        f"{gigabytes(memory.activations)} for activations, and {device.name} has {gigabytes(device.memory)}"
    )
    return "; ".join([shortage, *_remedies(largest, n_symbols, device), _largest_fit(largest, n_symbols, device)])


def _need(trial: Trial, n_symbols: int, device: DeviceSpec) -> float:
    return training_memory(trial, n_symbols, device).total


def _remedies(trial: Trial, n_symbols: int, device: DeviceSpec) -> Iterator[str]:
    """Yield the memory that gradient accumulation, activation checkpointing, and both would need."""
    checkpointing = replace(trial, activation_checkpointing=True)
    parts = {"activation_checkpointing = true": checkpointing} if checkpointing != trial else {}
    for start, words in ((trial, ""), *((start, f" with {name}") for name, start in parts.items())):
        if smaller := _accumulating(start, n_symbols, device):
            parts[f"gradient_accumulation = {smaller.gradient_accumulation}{words}"] = smaller
    for words, smaller in parts.items():
        yield f"{words} would need {gigabytes(_need(smaller, n_symbols, device))}"


def _accumulating(trial: Trial, n_symbols: int, device: DeviceSpec) -> Trial | None:
    """Return the trial with the fewest parts of a batch that fit, or with single sequences if nothing fits."""
    smaller = trial
    while smaller.gradient_accumulation < trial.batch_size:
        parts = min(2 * smaller.gradient_accumulation, trial.batch_size)
        smaller = replace(smaller, gradient_accumulation=parts)
        if _need(smaller, n_symbols, device) <= device.memory:
            break
    return None if smaller == trial else smaller


def _largest_fit(trial: Trial, n_symbols: int, device: DeviceSpec) -> str:
    """Describe the largest model that fits with these settings: fewer layers first, then fewer heads on one layer."""
    head_size = trial.n_embd // trial.n_head
    fewer = (replace(trial, n_layer=layers) for layers in range(trial.n_layer - 1, 0, -1))
    narrower = (
        replace(trial, n_layer=1, n_head=heads, n_embd=heads * head_size) for heads in range(trial.n_head - 1, 0, -1)
    )
    for smaller in (*fewer, *narrower):
        if _need(smaller, n_symbols, device) <= device.memory:
            size = short_count(parameter_count(smaller, n_symbols))
            return f"the largest that fits as set has {size} parameters ({_shown(smaller)})"
    return "no smaller model fits as set"


def _shown(trial: Trial) -> str:
    return (
        f"n_layer {trial.n_layer}, n_embd {trial.n_embd}, block_size {trial.block_size}, batch_size {trial.batch_size}"
    )


def gigabytes(size: float) -> str:
    """Return bytes as people read them: 0.4 GB, 80 GB, 3,480 GB."""
    return f"{size / GB:,.1f} GB" if size < 10 * GB else f"{size / GB:,.0f} GB"
