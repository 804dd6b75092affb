"""Speed and correctness of training on a GPU, and a projection of the original study's time.

It takes a dozen shapes (width/batch/block/layers) of the four phases and measures updates per second and MFU: one
trial at a time in eager fp32, one trial at a time compiled under autocast, and packs of several widths. Then it
compares packs with solo runs, precisions with one another, streamed texts with held ones and one whole pack with its
forecast, and it provokes an fp16 overflow. A measurement that fails is recorded, and the others continue. The figures
go to bench/results/, where `litegpt plan` finds them.

    python bench/gpu.py                          # the first GPU; 8 minutes, of which --budget limits the shapes
    python bench/gpu.py --device cpu --quick     # a rehearsal: tiny shapes, no CUDA graphs
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from projection import check_pack, project
from rightness import check_all
from speed import compiled, eager, flops_per_update, in_turns, name_of, packs, read_novella, shape

from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import widest_pack
from litegpt.estimate.packs import Tuning
from litegpt.results.tuning import TunedShape
from litegpt.run.device_discovery import WorkerSlot, present_device
from litegpt.study.trial import Trial
from litegpt.train.pack import configure_torch, resolve_precision
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tune import KERNELS, PLATEAU

RESULTS = Path(__file__).parent / "results"
# The most important shapes come first, in case the time runs out.
SHAPES = [
    shape(64, 32, 32, 2),
    shape(768, 48, 128, 6),
    shape(384, 32, 64, 4),
    shape(768, 64, 128, 4),
    shape(192, 48, 64, 2),
    shape(512, 64, 64, 4),
    shape(384, 64, 128, 6),
    shape(64, 64, 128, 6),
    shape(768, 32, 32, 2),
    shape(128, 32, 64, 4),
    shape(256, 48, 128, 4),
    shape(512, 48, 128, 6),
]
QUICK_SHAPES = [shape(16, 4, 8, 1), shape(32, 4, 8, 2)]
WIDTHS = (1, 2, 4, 8, 16, 32, 64)


class Bench:
    """One run of the bench: its measurements, its failures and its deadline."""

    def __init__(self, device: torch.device, budget: float, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.deadline = time.monotonic() + budget
        self.precision = resolve_precision("auto", device)
        self.corpus = read_novella(device)
        name = str(device) if device.index is not None or device.type == "cpu" else f"{device.type}:0"
        self.device_spec: DeviceSpec = present_device([WorkerSlot(name, 1)])
        self.failures: list[str] = []

    def attempt(self, what: str, measure: Callable[[], Any], *, always: bool = False) -> Any:
        """Return the result of `measure`, or None if it fails or (unless `always`) no time is left."""
        if not always and time.monotonic() > self.deadline:
            self.failures.append(f"{what}: no time left")
            return None
        started = time.monotonic()
        try:
            result = measure()
        except Exception as error:  # recorded, so that the other measurements continue
            self.failures.append(f"{what}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
            result = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        outcome = f"{result:,.1f}" if isinstance(result, float) else "failed" if result is None else "done"
        print(f"  {what}: {outcome} ({time.monotonic() - started:.1f} s)", file=sys.stderr, flush=True)
        return result

    def product_rate(self) -> float:
        """Return the FLOP/s of a large matrix product at the bench's precision, the highest rate in practice."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[self.precision]
        size = 256 if self.device.type == "cpu" else 8192
        a = torch.randn(size, size, device=self.device, dtype=dtype)
        for _ in range(3):
            b = a @ a
        b[0, 0].item()
        started = time.perf_counter()
        for _ in range(20):
            b = a @ a
        b[0, 0].item()
        return 20 * 2 * size**3 / (time.perf_counter() - started)

    def measure(self, trial: Trial) -> dict[str, Any]:
        """Return one shape's figures: the baseline, then packs of growing width until wider ones gain nothing."""
        name = name_of(trial)
        print(name, file=sys.stderr, flush=True)
        alone = self.attempt(f"{name} eager fp32", lambda: eager(trial, self.corpus))
        most = widest_pack(trial, self.corpus.vocab_size, self.device_spec, 4 if self.quick else WIDTHS[-1])
        widths: dict[int, float] = {}
        for width in [width for width in WIDTHS if width <= most]:
            speed = self.attempt(f"{name} pack of {width}", lambda: self._packs(trial, Tuning(width)))  # noqa: B023
            if speed is None or (len(widths) > 1 and speed < 1.03 * max(widths.values())):
                break
            widths[width] = speed
        record = {"shape": name, "eager": alone, "packs": widths}
        if not widths:
            return record
        width = min(width for width, speed in widths.items() if speed >= PLATEAU * max(widths.values()))
        return record | self._chosen(trial, Tuning(width), widths[width], alone)

    def refine(self, trial: Trial, record: dict[str, Any], also_packs: bool) -> dict[str, Any]:
        """Return a shape's figures with the slower measurements: compiled, and other attention kernels for its pack."""
        name = name_of(trial)
        arguments = (trial, self.corpus, self.precision)
        if not self.quick:
            fused = self.attempt(f"{name} compiled alone", lambda: compiled(*arguments))
            record = record | {"compiled_alone": fused}
        if not also_packs or "width" not in record:
            return record
        chosen, speed = Tuning(record["width"]), record["updates_per_second"]
        tries = [replace(chosen, attention=kernel) for kernel in KERNELS] + [replace(chosen, compiled=True)]
        ways: dict[str, float | None] = {}
        for tuning in tries:
            way = "compiled pack" if tuning.compiled else f"{tuning.attention} attention"
            ways[way] = self.attempt(f"{name} {way} of {tuning.width}", lambda: self._packs(trial, tuning))  # noqa: B023
            if (faster := ways[way]) is not None and faster > 1.03 * speed:
                speed, chosen = faster, tuning
        return record | {"other_ways": ways} | self._chosen(trial, chosen, speed, record["eager"])

    def streaming(self, records: list[dict[str, Any]], trials: list[Trial]) -> dict[str, float]:
        """Return the speed of packs with a streamed text, as a share of their speed with a held one."""
        rng = np.random.default_rng(1)
        vocab_size = self.corpus.vocab_size
        train = rng.integers(0, vocab_size, 10**5 if self.quick else 10**8, dtype=np.uint8)
        corpora = {
            where: TokenizedCorpus(train, train[:5000], vocab_size, self.device, streamed=where == "streamed")
            for where in ("held", "streamed")
        }
        shares = {}
        for record, trial in zip(records, trials, strict=True):
            arguments = self.precision, Tuning(record["width"]), 0.1 if self.quick else 0.7
            ways = {where: partial(packs, trial, corpus, *arguments) for where, corpus in corpora.items()}
            medians = in_turns(ways, 3)
            shares[name_of(trial)] = round(medians["streamed"] / medians["held"], 3)
        return shares

    def _chosen(self, trial: Trial, tuning: Tuning, speed: float, alone: float | None) -> dict[str, Any]:
        """Return the record of the best tuning, for `litegpt plan` and for people."""
        flops = speed * flops_per_update(trial, self.corpus.vocab_size)
        name, peak = self.device_spec.name, self.device_spec.flops
        tuned = TunedShape(name, torch.__version__, self.precision, self.corpus.vocab_size, trial, tuning, flops)
        return {
            **tuned.record(),
            "updates_per_second": speed,
            "times_eager": speed / alone if alone else None,
            "mfu": flops / peak if peak else None,
        }

    def _packs(self, trial: Trial, tuning: Tuning) -> float | None:
        return packs(trial, self.corpus, self.precision, tuning, 0.1 if self.quick else 0.7)

    def run(self) -> dict[str, Any]:
        """Measure everything that the budget allows."""
        product = self.attempt("matrix product, FLOP/s", self.product_rate)
        rightness = self.attempt("rightness", lambda: check_all(self.corpus, self.precision, self.quick))
        listed = QUICK_SHAPES if self.quick else SHAPES
        shapes = [self.measure(trial) for trial in listed]
        # Compiling takes a minute per shape, so only three are compiled: a narrow, a large and a medium one.
        for number in range(1 if self.quick else 3):
            shapes[number] = self.refine(listed[number], shapes[number], also_packs=number < 2)
        streaming = self.attempt("streamed texts", lambda: self.streaming(shapes[:2], listed[:2]))
        pack = self.attempt("a pack from start to end", lambda: check_pack(self, listed[0]))
        projection = self.attempt(
            "projection", lambda: project(self.device_spec, shapes, self.corpus.vocab_size), always=True
        )
        return {
            "device": self.device_spec.name,
            "memory_bytes": self.device_spec.memory,
            "torch": torch.__version__,
            "precision": self.precision,
            "matrix_product_flops": product,
            "shapes": shapes,
            "rightness": rightness,
            "streamed_to_held": streaming,
            "pack": pack,
            "projection": projection,
            "failures": self.failures,
        }


def print_figures(figures: dict[str, Any]) -> None:
    """Print the table of shapes, then the failures, then the projection."""
    print(f"{'shape':>14} {'eager':>9} {'compiled':>9} {'packs':>9} {'width':>5} {'x eager':>8} {'MFU':>6}")
    for record in figures["shapes"]:
        cells = (record.get(name) for name in ("eager", "compiled_alone", "updates_per_second"))
        numbers = " ".join(f"{cell:9,.1f}" if cell else f"{'-':>9}" for cell in cells)
        times, mfu = record.get("times_eager"), record.get("mfu")
        rest = f"{record.get('width') or '-':>5} {times or 0:8.1f} {f'{mfu:.1%}' if mfu else '-':>6}"
        print(f"{record['shape']:>14} {numbers} {rest}")
    for failure in figures["failures"]:
        print(f"failed: {failure}")
    for name, value in (figures["rightness"] or {}).items():
        print(f"{name}: {json.dumps(value)}")
    for name, value in (figures["streamed_to_held"] or {}).items():
        print(f"streamed text, {name}: {value} of the speed")
    for name, value in (figures["projection"] or {}).items():
        print(f"projection, {name}: {value}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true", help="tiny shapes and short measurements")
    parser.add_argument("--budget", type=float, default=400, metavar="SECONDS", help="start nothing after this time")
    parser.add_argument("--out", type=Path, help="default: bench/results/<device>.json, or no file with --quick")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    configure_torch()
    figures = Bench(device, arguments.budget, arguments.quick).run()
    print_figures(figures)
    file = re.sub(r"[^a-z0-9]+", "-", figures["device"].lower()).strip("-")
    out = arguments.out or (None if arguments.quick else RESULTS / f"{file}.json")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(f"written to {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
