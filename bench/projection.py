"""Projections from measured shapes: the hours of the original study, and one real pack beside its forecast."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from speed import flops_per_update

from litegpt.display import duration
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.forecast import Measurement, Throughput, estimate_phase, pack_seconds
from litegpt.estimate.packs import pack_width
from litegpt.results.tuning import SPEED_KEY
from litegpt.study.expand import expand
from litegpt.study.study import read_study
from litegpt.study.trial import Trial
from litegpt.train.loop import Training, TrialFiles
from litegpt.train.pack import Pack
from litegpt.train.tokenizer import ByteTokenizer

STUDY = Path(__file__).parent.parent / "studies" / "four_phases.toml"
START_SECONDS = 20.0  # once per study: importing torch, creating the CUDA context, reading the corpus
NARROWED = {"learning_rate": (6e-4, 3e-4, 2.5e-4, 1.6e-4), "n_embd": (384, 512, 768)}  # the original's phase 2
PHASE4_TRIALS = 8


def measured(shapes: list[dict[str, Any]]) -> list[Measurement]:
    """Return the measurements in the figures of a bench."""
    return [
        Measurement(_trial(record), record["width"], record["flops_per_second"])
        for record in shapes
        if record.get("flops_per_second")
    ]


def _trial(record: dict[str, Any]) -> Trial:
    settings = {name: record[name] for name in (*SPEED_KEY, "dropout") if name in record}
    return Trial(**settings, learning_rate=1.0, max_iters=1)


def project(device: DeviceSpec, shapes: list[dict[str, Any]], vocab_size: int) -> dict[str, str]:
    """Return the original study's time per phase, with evaluations, samples, checkpoints and start-up."""
    study = read_study(STUDY)
    first, third = expand(study.phase("phase1")), expand(study.phase("phase3"))
    assert first is not None
    assert third is not None
    second = [trial for trial in first.trials if all(getattr(trial, name) in v for name, v in NARROWED.items())]
    phases = {
        "phase1": (first.trials, len(first.trials)),
        "phase2": ([replace(trial, max_iters=1500) for trial in second], len(second)),
        "phase3": (third.trials, len(third.trials)),
        "phase4": ([replace(trial, max_iters=10_000) for trial in third.trials], PHASE4_TRIALS),
    }
    throughput = Throughput(device, measured(shapes), "this bench")
    if not throughput.is_known:
        return {}
    total, times = START_SECONDS, {}
    for name, (trials, most) in phases.items():
        estimate = estimate_phase(trials, most, throughput, vocab_size, 11_220)
        assert estimate is not None
        assert estimate.seconds is not None
        total += estimate.seconds
        times[f"{name} ({most:,} trials)"] = duration(estimate.seconds)
    return {**times, "all, with start-up": duration(total)}


def check_pack(bench: Any, trial: Trial) -> dict[str, float]:
    """Return the time of one whole pack, with evaluations and checkpoints, and its forecast."""
    width = max(2, min(7, pack_width(trial, bench.device_spec, bench.corpus.vocab_size)))
    iterations = 20 if bench.quick else 500
    trials = [replace(trial, seed=seed, max_iters=iterations, eval_interval=iterations // 5) for seed in range(width)]
    with tempfile.TemporaryDirectory() as folder:
        files = [TrialFiles(Path(folder) / f"{n}.safetensors", Path(folder) / f"{n}-best") for n in range(width)]
        started = time.perf_counter()
        pack = Pack(trials, bench.corpus, bench.precision)
        Training(pack, files, ByteTokenizer(), lambda event: None).run()
        seconds = time.perf_counter() - started
    speed = bench._packs(trials[0], replace(pack.tuning, width=width))
    measurement = Measurement(trials[0], width, (speed or 0.0) * flops_per_update(trials[0], bench.corpus.vocab_size))
    throughput = Throughput(bench.device_spec, [measurement])
    predicted = pack_seconds(trials[0], width, throughput, bench.corpus.vocab_size, 11_220)
    return {"width": width, "iterations": iterations, "seconds": seconds, "forecast_seconds": predicted}
