"""Devices, pack widths, and the stored measurements of how shapes train fastest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from litegpt.estimate.device import PROFILES
from litegpt.estimate.memory import training_memory
from litegpt.estimate.packs import Tuning
from litegpt.results.tuning import FILE, TunedShape, Tunings, read_tuned
from litegpt.run import device_discovery
from litegpt.run.device_discovery import WorkerSlot, count_gpus, present_device, throughput_of, worker_slots
from litegpt.run.packing import Packing
from litegpt.study.trial import Trial
from litegpt.worker.messages import ShapeTuned
from tests.builders import make_trial

VOCAB = 61
TINY = make_trial()
LARGE = replace(TINY, n_layer=6, n_head=12, n_embd=768, block_size=128, batch_size=48, max_iters=10_000)
GPU, CPU = [WorkerSlot("cuda:0", 1)], [WorkerSlot("cpu", 1)] * 2

Driver = Callable[[str], None]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Replace nvidia-smi by a shell script."""

    def say(words: str) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return say


@pytest.fixture
def h100(driver: Driver) -> None:
    driver('echo "NVIDIA H100 80GB HBM3, 81559, 0, 9.0"')


def tuned(trial: Trial, width: int, flops: float | None = 1e12) -> ShapeTuned:
    return ShapeTuned(
        settings=trial.settings(),
        precision="bf16",
        width=width,
        attention="cudnn",
        compiled=False,
        flops_per_second=flops,
    )


@pytest.mark.usefixtures("h100")
def test_a_gpu_is_described_by_its_driver() -> None:
    device = present_device(GPU)
    assert (device.name, device.kind, device.precision) == ("NVIDIA H100 80GB HBM3", "cuda", "bf16")
    assert device.memory == 81559 * 2**20
    assert device.flops == PROFILES["h100-80g"].flops
    assert present_device(GPU * 2).memory == device.memory / 2, "two workers share it"


@pytest.mark.parametrize("words", ["exit 9", "echo nonsense", "echo", "echo 'a, b, c, d'"])
def test_a_gpu_without_a_working_driver_tool_has_unlimited_memory(driver: Driver, words: str) -> None:
    driver(words)
    device = present_device(GPU)
    assert (device.name, device.memory, device.flops) == ("cuda:0", math.inf, None)


@pytest.mark.parametrize(("used", "occupied"), [("1500", 1500.0), ("[N/A]", 0.0)])
def test_packs_get_the_memory_that_other_programs_leave(
    driver: Driver, tmp_path: Path, used: str, occupied: float
) -> None:
    """A desktop occupies 0.5 to 1.5 of 8 GB. On WSL2 the driver does not say how much."""
    driver(f'echo "NVIDIA GeForce RTX 2070, 8192, {used}, 7.5"')
    device = present_device(GPU)
    assert device.usable == pytest.approx(0.9 * (8192 - occupied) * 2**20)
    assert present_device(GPU * 2).usable == pytest.approx(device.usable / 2)
    medium = replace(TINY, n_layer=6, n_head=4, n_embd=256, block_size=128, batch_size=32)
    widths = []
    for occupied_megabytes in (0, 4000):
        driver(f'echo "NVIDIA GeForce RTX 2070, 8192, {occupied_megabytes}, 7.5"')
        widths.append(Packing(GPU, VOCAB, tmp_path).width(medium))
    assert widths[0] > widths[1] >= 1


def test_the_gpus_of_wsl_are_counted_by_the_driver(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    monkeypatch.setattr(device_discovery, "DEVICE_FILES", tmp_path / "dev")
    driver("echo 'GPU 0: NVIDIA GeForce RTX 4070 Laptop GPU (UUID: GPU-1)'")
    assert count_gpus() == 0, "an installed driver alone is no GPU"
    (tmp_path / "dev" / "dxg").touch()
    assert count_gpus() == 1
    assert [slot.device for slot in worker_slots("cuda")] == ["cuda:0"]
    driver("exit 9")
    assert count_gpus() == 0


def test_an_older_gpu_trains_in_fp16(driver: Driver) -> None:
    driver('echo "Tesla T4, 15360, 0, 7.5"')
    assert present_device(GPU).precision == "fp16"


def test_the_driver_is_asked_about_the_right_gpu(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver('echo "$1, 1000, 0, 9.0"')
    assert present_device([WorkerSlot("cuda:1", 1)]).name == "--id=1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert present_device([WorkerSlot("cuda:1", 1)]).name == "--id=5"


def test_the_workers_of_a_cpu_share_its_memory() -> None:
    device = present_device(CPU)
    assert (device.kind, device.flops) == ("cpu", None)
    assert 1e8 < device.memory * 2 == present_device(CPU[:1]).memory


@pytest.mark.usefixtures("h100")
def test_widths_come_from_memory_measurements_and_options(tmp_path: Path) -> None:
    packing = Packing(GPU, VOCAB, tmp_path)
    assert (packing.width(TINY), packing.width(LARGE)) == (64, 7)
    assert packing.tuning([TINY]) == Tuning()
    packing.learn(tuned(TINY, 16))
    assert packing.width(replace(TINY, seed=3, learning_rate=1.0)) == 16, "the same shape"
    assert packing.tuning([TINY] * 16) == Tuning(attention="cudnn")
    assert packing.width(replace(TINY, batch_size=33)) == 64, "another shape"
    again = Packing(GPU, VOCAB, tmp_path)
    assert again.width(TINY) == 16, "read from the disk"
    again.learn(tuned(TINY, 8, None))
    assert Packing(GPU, VOCAB, tmp_path).width(TINY) == 8, "memory ran out"
    assert Packing(GPU, VOCAB + 1, tmp_path).width(TINY) == 64, "another vocabulary is another shape"
    assert Packing(GPU, VOCAB, tmp_path, width=3).width(TINY) == 3
    wide = Packing(GPU, VOCAB, tmp_path, width=1000)
    assert 1 < wide.width(LARGE) < 1000
    assert training_memory(LARGE, VOCAB, wide.device, wide.width(LARGE)).total <= wide.device.usable


@pytest.mark.usefixtures("h100")
def test_running_out_of_memory_never_widens_a_pack(tmp_path: Path) -> None:
    packing = Packing(CPU, VOCAB, tmp_path)
    precise = replace(TINY, precision="bf16")
    packing.learn(tuned(precise, 4, None))
    assert packing.width(precise) == 1


@pytest.mark.usefixtures("h100")
def test_only_long_packs_are_compiled(tmp_path: Path) -> None:
    packing = Packing(GPU, VOCAB, tmp_path)
    packing.learn(replace(tuned(LARGE, 1), compiled=True))
    assert packing.tuning([replace(LARGE, max_iters=100_000)]).compiled
    assert not packing.tuning([replace(LARGE, max_iters=500)]).compiled


@pytest.mark.usefixtures("h100")
def test_only_long_packs_are_tuned_and_only_once(tmp_path: Path) -> None:
    packing = Packing(GPU, VOCAB, tmp_path)
    assert packing.is_worth_tuning([LARGE])
    assert not packing.is_worth_tuning([TINY] * 7), "half a second of training"
    packing.learn(tuned(LARGE, 1))
    assert not packing.is_worth_tuning([LARGE])
    assert not Packing(GPU, VOCAB, tmp_path, width=2).is_worth_tuning([replace(LARGE, batch_size=64)])
    assert not Packing(CPU, VOCAB, tmp_path).is_worth_tuning([LARGE])


@pytest.mark.parametrize("text", ["", "[]", '{"shapes": 3}', '{"shapes": [{}, 1]}', '{"shapes": [{"device": "x"}]}'])
def test_a_damaged_tuning_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    assert read_tuned(tmp_path / FILE) == []
    tunings = Tunings(tmp_path)
    tunings.keep(TunedShape("d", "2", "bf16", VOCAB, TINY, Tuning(4), 1e12))
    (kept,) = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["shapes"]
    assert (kept["device"], kept["n_embd"], kept["width"], kept["flops_per_second"]) == ("d", 64, 4, 1e12)


@pytest.mark.usefixtures("h100")
def test_a_plan_uses_measured_speeds(tmp_path: Path) -> None:
    device = present_device(GPU)
    assert throughput_of(device, tmp_path).source.startswith("stated (989 TFLOP/s in bf16")
    Packing(GPU, VOCAB, tmp_path).learn(tuned(TINY, 16, 2e12))
    for known in (device, PROFILES["h100-80g"]):
        throughput = throughput_of(known, tmp_path)
        assert throughput.source == f"measured ({FILE})"
        assert [measured.flops_per_second for measured in throughput.measurements] == [2e12]
    assert throughput_of(PROFILES["a100-80g"], tmp_path).source.startswith("stated")
