"""The small version of bench/gpu.py for a CPU: one thread, a few shapes, packs of one, two and four.

It writes bench/results/<processor>.json, which `litegpt plan` uses to forecast on such a processor. Workers have one
thread, so the bench has one too. It counts CPU time, which other work on the machine affects little.

    python bench/cpu.py
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch
from speed import eager, flops_per_update, name_of, packs, read_novella, shape

from litegpt.estimate.packs import Tuning
from litegpt.results.tuning import TunedShape
from litegpt.run.device_discovery import WorkerSlot, present_device
from litegpt.train.pack import configure_torch, resolve_precision
from litegpt.train.tune import PLATEAU

RESULTS = Path(__file__).parent / "results"
SHAPES = [
    shape(32, 16, 32, 2),
    shape(64, 32, 32, 2),
    shape(128, 12, 64, 4),
    shape(192, 32, 32, 2),
    shape(384, 32, 64, 4),
]
WIDTHS = (1, 2, 4)
CLOCK = time.process_time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="default: bench/results/<processor>.json")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    configure_torch()
    device = torch.device("cpu")
    device_spec, precision = present_device([WorkerSlot("cpu", 1)]), resolve_precision("auto", device)
    corpus = read_novella(device)
    shapes: list[dict[str, Any]] = []
    print(f"{'shape':>14} {'baseline':>9} " + " ".join(f"{f'pack of {width}':>9}" for width in WIDTHS) + "  updates/s")
    for trial in SHAPES:
        baseline = eager(trial, corpus, CLOCK)
        speeds = {
            width: packs(trial, corpus, precision, Tuning(width), arguments.seconds, CLOCK) or 0.0 for width in WIDTHS
        }
        width = min(width for width, speed in speeds.items() if speed >= PLATEAU * max(speeds.values()))
        flops = speeds[1] * flops_per_update(trial, corpus.vocab_size)  # a run on a CPU trains one trial per pack
        tuned = TunedShape(device_spec.name, torch.__version__, precision, corpus.vocab_size, trial, Tuning(1), flops)
        figures = {"shape": name_of(trial), "baseline": baseline, "packs": speeds, "narrowest_good_width": width}
        shapes.append({**tuned.record(), **figures})
        cells = [baseline, *speeds.values()]
        print(f"{name_of(trial):>14} " + " ".join(f"{cell:9.2f}" for cell in cells), flush=True)
    file = re.sub(r"[^a-z0-9]+", "-", device_spec.name.lower()).strip("-")
    out = arguments.out or RESULTS / f"{file}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {"device": device_spec.name, "torch": torch.__version__, "precision": precision, "shapes": shapes}
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
