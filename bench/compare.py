"""`make bench`: trains the same trials with liteGPT and with bench/baseline.py, and compares time and loss.

It prints the ratio of wall times, process start included, and the final validation losses, which both programs measure
exactly, over the whole validation split. Machines are noisy, so compare ratios instead of seconds.

    python bench/compare.py                    # both sweeps
    python bench/compare.py --sweep small      # 8 trials of 500 iterations at 64/32/32/2 (width/batch/block/layers)
    python bench/compare.py --sweep wide       # 2 trials of 100 iterations at 384/32/64/4
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli_w

from litegpt.processes import module_command
from litegpt.results.journal import read_journal

HERE = Path(__file__).parent
CORPUS = HERE.parent / "data" / "novella.txt"

SWEEPS = {
    "small": {
        "shape": {"n_embd": 64, "n_head": 1, "batch_size": 32, "block_size": 32, "n_layer": 2, "max_iters": 500},
        "grid": {"learning_rate": [6e-4, 3e-4, 1.5e-3, 1e-3], "seed": [1, 2]},
        "bar": 4.0,
    },
    "wide": {
        "shape": {"n_embd": 384, "n_head": 6, "batch_size": 32, "block_size": 64, "n_layer": 4, "max_iters": 100},
        "grid": {"learning_rate": [6e-4, 3e-4]},
        "bar": 5.0,
    },
}


def settings(sweep: dict) -> list[dict]:
    points = [{}]
    for name, values in sweep["grid"].items():
        points = [{**point, name: value} for point in points for value in values]
    return [{**sweep["shape"], **point} for point in points]


def run_litegpt(sweep: dict, folder: Path) -> tuple[float, list[float]]:
    """Return wall seconds and each trial's final validation loss."""
    phase = {"name": "bench", **sweep["shape"], "grid": sweep["grid"]}
    study = {"study": {"name": "bench", "corpus": str(CORPUS)}, "phase": [phase]}
    (folder / "study.toml").write_text(tomli_w.dumps(study))
    started = time.perf_counter()
    command = module_command("litegpt.cli.run", str(folder / "study.toml"), "--results", str(folder), "--json")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    trials = read_journal(folder / "bench" / "journal.jsonl").phases["bench"].current()
    return seconds, [trial.metrics.val_loss for trial in trials]


def run_baseline(sweep: dict) -> tuple[float, list[float]]:
    """Return wall seconds and each trial's final validation loss."""
    started = time.perf_counter()
    command = [
        sys.executable,
        str(HERE / "baseline.py"),
        "--corpus",
        str(CORPUS),
        "--trials",
        json.dumps(settings(sweep)),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    return seconds, [json.loads(line)["val_loss"] for line in done.stdout.splitlines()]


def compare(name: str, sweep: dict) -> dict:
    """Run a sweep with both programs, print the figures and return them."""
    with tempfile.TemporaryDirectory() as folder:
        litegpt_seconds, litegpt_losses = run_litegpt(sweep, Path(folder))
    baseline_seconds, baseline_losses = run_baseline(sweep)
    result = {
        "sweep": name,
        "trials": len(litegpt_losses),
        **sweep["shape"],
        "litegpt_seconds": round(litegpt_seconds, 1),
        "baseline_seconds": round(baseline_seconds, 1),
        "ratio": round(baseline_seconds / litegpt_seconds, 2),
        "bar": sweep["bar"],
        "litegpt_val_loss": round(statistics.fmean(litegpt_losses), 4),
        "baseline_val_loss": round(statistics.fmean(baseline_losses), 4),
        "worst_difference": round(max(map(operator.sub, litegpt_losses, baseline_losses)), 4),
    }
    print(
        f"{name}: {result['trials']} trials x {sweep['shape']['max_iters']} iterations: "
        f"liteGPT {litegpt_seconds:.1f} s, baseline {baseline_seconds:.1f} s, ratio {result['ratio']} "
        f"(bar {sweep['bar']:g}); mean validation loss {result['litegpt_val_loss']} against "
        f"{result['baseline_val_loss']}",
        flush=True,
    )
    return result


def cpu() -> dict:
    """Return the properties of the CPU that decide its speed here."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {"machine": platform.machine(), "cores": os.cpu_count(), "avx512_bf16": "avx512_bf16" in flags}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sweep", choices=SWEEPS, action="append", help="run only this sweep")
    parser.add_argument("--out", type=Path, help="also write the figures to this file, as JSON")
    arguments = parser.parse_args()
    results = [compare(name, SWEEPS[name]) for name in arguments.sweep or SWEEPS]
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"device": cpu(), "sweeps": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
