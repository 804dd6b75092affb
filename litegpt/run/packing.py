"""How the runner packs trials: as wide as pays on its devices and as their memory holds, and what is kept of that."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from litegpt.estimate.device import PROFILES, DeviceSpec
from litegpt.estimate.forecast import Throughput, step_seconds
from litegpt.estimate.memory import widest_pack
from litegpt.estimate.packs import pack_width
from litegpt.estimate.tuning import Tuning
from litegpt.results.tuning import TunedShape, Tunings
from litegpt.run.devices import WorkerPlace
from litegpt.run.hardware import present_device
from litegpt.study.trial import Trial, vocabulary_size
from litegpt.worker.messages import ShapeTuned

TUNE_SECONDS = 30.0  # a pack that is predicted to take less trains faster than it is tuned
COMPILED_SECONDS = 300.0  # and one that takes less than this, faster than it is compiled
FASTEST = PROFILES["h100-80g"]  # what an unknown GPU is taken for: then at most too little is tuned


class Packing:
    """Pack widths for the places of a runner, which are all alike. `width` is one that somebody asked for."""

    def __init__(self, places: Sequence[WorkerPlace], n_symbols: int, results: Path, width: int | None = None) -> None:
        self.device: DeviceSpec = present_device(places)
        self._n_symbols, self._asked = n_symbols, width
        self._tunings = Tunings(results)
        try:
            self._torch = version("torch")
        except PackageNotFoundError:  # then the workers will say so
            self._torch = ""

    def width(self, trial: Trial) -> int:
        """Return how many trials of this shape to train together."""
        if self._asked is not None:
            return widest_pack(trial, self._n_symbols, self.device, self._asked)
        usual = pack_width(trial, self.device, self._n_symbols)
        kept = self._kept(trial)
        if kept is None or kept.tuning.width is None:
            return usual
        if kept.flops_per_second is None:  # it fits no wider, and that is all there is to know
            return min(usual, kept.tuning.width)
        return widest_pack(trial, self._n_symbols, self.device, kept.tuning.width)

    def tuning(self, trials: Sequence[Trial]) -> Tuning:
        """Return how a pack is to be computed: as it was found for its shape, or as torch does it."""
        kept = self._kept(trials[0])
        if kept is None:
            return Tuning()
        pays = kept.tuning.compiled and self._seconds(trials) > COMPILED_SECONDS
        return replace(kept.tuning, width=None, compiled=pays)

    def is_worth_tuning(self, trials: Sequence[Trial]) -> bool:
        """Tell whether a pack will take much longer than trying out how to train it."""
        if self.device.kind == "cpu" or self._asked is not None or self._kept(trials[0]) is not None:
            return False
        return self._seconds(trials) > TUNE_SECONDS

    def _seconds(self, trials: Sequence[Trial]) -> float:
        """Return how long a pack will train, as stated."""
        device = self.device if self.device.flops is not None else FASTEST
        return trials[0].max_iters * step_seconds(trials[0], len(trials), Throughput(device), self._n_symbols)

    def learn(self, tuned: ShapeTuned) -> None:
        """Keep what a worker found out; if the disk will not have it, it is found out again some day."""
        trial = Trial(**tuned.settings)
        shape = TunedShape(
            self.device.name,
            self._torch,
            tuned.precision,
            vocabulary_size(trial, self._n_symbols),
            trial,
            Tuning(tuned.width, tuned.attention, tuned.compiled),
            tuned.flops_per_second,
        )
        with contextlib.suppress(OSError):
            self._tunings.keep(shape)

    def _kept(self, trial: Trial) -> TunedShape | None:
        precision = self.device.precision if trial.precision == "auto" else trial.precision
        vocabulary = vocabulary_size(trial, self._n_symbols)
        wanted = TunedShape(self.device.name, self._torch, precision, vocabulary, trial, Tuning(), None)
        return self._tunings.find(wanted)
