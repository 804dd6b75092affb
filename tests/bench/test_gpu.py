"""A rehearsal of bench/gpu.py on a CPU: every path except CUDA graphs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.results.tuning import measurements, read_tuned

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_bench_runs_to_its_end(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "bench/gpu.py", "--device", "cpu", "--quick", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["failures"] == []
    assert [record["shape"] for record in figures["shapes"]] == ["16/4/8/1", "32/4/8/2"]
    for record in figures["shapes"]:
        assert record["updates_per_second"] >= 0.9 * max(record["packs"].values())
        assert record["eager"] > 0
    right = figures["rightness"]
    assert right["pack against solo, largest difference of a loss"] < 1e-5
    assert all(not isinstance(value, str) for value in right.values()), "an exception would be text"
    assert figures["pack"]["seconds"] > 0
    assert len(figures["streamed_to_held"]) == 2
    assert len(figures["projection"]) == 5
    assert len(measurements(read_tuned(out), figures["device"])) == 2, "a plan can go by it"


@pytest.mark.slow
def test_an_exhausted_budget_is_not_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "bench/gpu.py", "--device", "cpu", "--quick", "--budget", "0", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert all("no time left" in failure for failure in figures["failures"])
    assert len(figures["shapes"]) == 2
