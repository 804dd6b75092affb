"""How many trials the runner trains together, and with which kernels: from memory, measurements and user options."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from litegpt.estimate.device import PROFILES, DeviceSpec
from litegpt.estimate.forecast import Throughput, step_seconds
from litegpt.estimate.memory import widest_pack
from litegpt.estimate.packs import Tuning, pack_width
from litegpt.results.tuning import TunedShape, Tunings
from litegpt.run.device_discovery import WorkerSlot, present_device
from litegpt.study.trial import Trial, vocabulary_size
from litegpt.worker.messages import ShapeTuned

TUNE_SECONDS = 30.0  # tuning takes longer than it saves on packs predicted to be shorter
COMPILE_SECONDS = 300.0  # compiling takes longer than it saves on packs predicted to be shorter
# An unknown GPU counts as this fast one. A prediction that is too short only leads to less tuning.
FASTEST = PROFILES["h100-80g"]


class Packing:
    """Chooses pack widths and tunings for the slots of a runner, which all have the same device model.

    `width` is the user's --pack-width.
    """

    def __init__(self, slots: Sequence[WorkerSlot], n_symbols: int, results: Path, width: int | None = None) -> None:
        self.slots = slots
        self.device: DeviceSpec = present_device(slots)
        self._n_symbols = n_symbols
        self._width_option = width
        self._tunings = Tunings(results)
        # The version is part of a tuning's key. If torch is missing, the workers will report it.
        try:
            self._torch = version("torch")
        except PackageNotFoundError:
            self._torch = ""

    def width(self, trial: Trial) -> int:
        """Return how many trials of this shape to train together."""
        if self._width_option is not None:
            return widest_pack(trial, self._n_symbols, self.device, self._width_option)
        estimated = pack_width(trial, self.device, self._n_symbols)
        measured = self._measured(trial)
        if measured is None or measured.tuning.width is None:
            return estimated
        # Without a speed the record only says that a wider pack ran out of memory.
        if measured.flops_per_second is None:
            return min(estimated, measured.tuning.width)
        return widest_pack(trial, self._n_symbols, self.device, measured.tuning.width)

    def tuning(self, trials: Sequence[Trial]) -> Tuning:
        """Return the kernels for a pack: those measured fastest for its shape, or torch's defaults."""
        measured = self._measured(trials[0])
        if measured is None:
            return Tuning()
        compiled = measured.tuning.compiled and self._seconds(trials) > COMPILE_SECONDS
        return replace(measured.tuning, width=None, compiled=compiled)

    def is_worth_tuning(self, trials: Sequence[Trial]) -> bool:
        """Return whether a pack will take much longer than measuring how to train it."""
        if self.device.kind == "cpu" or self._width_option is not None or self._measured(trials[0]) is not None:
            return False
        return self._seconds(trials) > TUNE_SECONDS

    def _seconds(self, trials: Sequence[Trial]) -> float:
        """Return the predicted training time of a pack, from the stated speed of its device."""
        device = self.device if self.device.flops is not None else FASTEST
        return trials[0].max_iters * step_seconds(trials[0], len(trials), Throughput(device), self._n_symbols)

    def learn(self, tuned: ShapeTuned) -> None:
        """Store a worker's measurement. If the disk is full it is lost, and a later run measures again."""
        trial = Trial(**tuned.settings)
        shape = TunedShape(
            self.device.name,
            self._torch,
            tuned.precision,
            vocabulary_size(trial, self._n_symbols),
            trial,
            Tuning(tuned.width, tuned.attention, tuned.compiled, tuned.graph),
            tuned.flops_per_second,
        )
        with contextlib.suppress(OSError):
            self._tunings.keep(shape)

    def _measured(self, trial: Trial) -> TunedShape | None:
        precision = self.device.precision if trial.precision == "auto" else trial.precision
        vocabulary = vocabulary_size(trial, self._n_symbols)
        key = TunedShape(self.device.name, self._torch, precision, vocabulary, trial, Tuning(), None)
        return self._tunings.find(key)
