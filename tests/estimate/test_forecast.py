from __future__ import annotations

from dataclasses import replace

import pytest

from litegpt.errors import InputError
from litegpt.estimate.cost import training_flops
from litegpt.estimate.device import PROFILES, DeviceSpec, device_profile, profile_of
from litegpt.estimate.forecast import Measurement, Throughput, estimate_phase, pack_seconds, step_seconds
from litegpt.estimate.packs import pack_trials, pack_width
from tests.builders import make_trial

VOCAB, VALIDATION = 61, 11_220
TINY = make_trial()
LARGE = replace(TINY, n_layer=6, n_head=12, n_embd=768, block_size=128, batch_size=48)
H100 = PROFILES["h100-80g"]


def test_faster_devices_are_faster_but_not_beyond_their_peak() -> None:
    for trial in (TINY, LARGE):
        seconds = [step_seconds(trial, 4, Throughput(PROFILES[name]), VOCAB) for name in ("rtx2070-8g", "h100-80g")]
        assert seconds[0] > seconds[1]
        assert H100.flops is not None
        assert 4 * training_flops(trial, VOCAB) / trial.max_iters / seconds[1] < H100.flops / 2


def test_packs_help_small_models_most() -> None:
    gains = []
    for trial in (TINY, LARGE):
        alone, together = (step_seconds(trial, width, Throughput(H100), VOCAB) for width in (1, 16))
        gains.append(16 * alone / together)
    assert gains[0] > 5 > gains[1] >= 1


def test_measurements_win_over_stated_figures() -> None:
    measured = Throughput(H100, [Measurement(TINY, 8, 1e12), Measurement(LARGE, 1, 3e14)])
    assert step_seconds(TINY, 8, measured, VOCAB) == pytest.approx(8 * training_flops(TINY, VOCAB) / 500 / 1e12)
    near = replace(LARGE, n_embd=640, n_head=10)
    assert step_seconds(near, 1, measured, VOCAB) == pytest.approx(training_flops(near, VOCAB) / 500 / 3e14)


def test_evaluations_and_checkpoints_take_time_too() -> None:
    throughput = Throughput(H100, [Measurement(TINY, 1, 1e12)])
    training = 500 * step_seconds(TINY, 1, throughput, VOCAB)
    whole = pack_seconds(TINY, 1, throughput, VOCAB, VALIDATION)
    often = pack_seconds(replace(TINY, eval_interval=10), 1, throughput, VOCAB, VALIDATION)
    assert training < whole < often
    long = pack_seconds(TINY, 1, throughput, VOCAB, 10**8)
    assert whole < long == pack_seconds(TINY, 1, throughput, VOCAB, 10**9), "of long texts a part is evaluated"


def test_a_measurement_of_the_same_optimizer_is_preferred() -> None:
    muon = replace(TINY, optimizer="muon")
    measured = Throughput(H100, [Measurement(TINY, 1, 1e12), Measurement(replace(muon, n_embd=512, n_head=8), 1, 5e11)])
    assert step_seconds(muon, 1, measured, VOCAB) == pytest.approx(training_flops(muon, VOCAB) / 500 / 5e11)
    assert training_flops(muon, VOCAB) > 1.05 * training_flops(TINY, VOCAB)
    stated = Throughput(H100)
    assert step_seconds(muon, 1, stated, VOCAB) > 1.5 * step_seconds(TINY, 1, stated, VOCAB)


def test_the_forecast_of_a_phase() -> None:
    trials = [replace(trial, seed=seed) for trial in (TINY, LARGE) for seed in range(7)]
    stated = estimate_phase(trials, 14, Throughput(H100), VOCAB, VALIDATION)
    assert stated is not None
    assert stated.seconds is not None
    few = estimate_phase(trials, 3, Throughput(H100), VOCAB, VALIDATION)
    both = estimate_phase(trials, 14, Throughput(H100, workers=2), VOCAB, VALIDATION)
    assert few is not None
    assert few.seconds is not None
    assert few.seconds < stated.seconds
    assert both is not None
    assert both.seconds == pytest.approx(stated.seconds / 2)
    assert estimate_phase([], 0, Throughput(H100), VOCAB, VALIDATION) is None
    unknown = estimate_phase(trials, 14, Throughput(DeviceSpec("here", "cuda", 80e9, "bf16")), VOCAB, VALIDATION)
    assert unknown is not None
    assert (unknown.seconds, unknown.memory) == (None, stated.memory)


def test_profiles_are_found_by_the_names_of_drivers() -> None:
    names = {
        "NVIDIA GeForce RTX 2070 with Max-Q Design": "rtx2070-8g",
        "NVIDIA GeForce RTX 4090": "rtx4090-24g",
        "NVIDIA A100-SXM4-80GB": "a100-80g",
        "NVIDIA H100 80GB HBM3": "h100-80g",
        "NVIDIA H200": "h200-141g",
    }
    for driver_name, name in names.items():
        profile = profile_of(driver_name)
        assert profile is not None
        assert profile.name == name
        assert profile.source
    assert profile_of("NVIDIA A100-PCIE-40GB") is None
    assert profile_of("Tesla T4") is None
    with pytest.raises(InputError, match=r"did you mean 'a100-80g'\?"):
        device_profile("a100")


def test_packs_fill_a_gpu_but_not_a_cpu() -> None:
    assert pack_width(TINY, H100, VOCAB) == 64
    assert pack_width(LARGE, H100, VOCAB) == 7
    assert pack_width(TINY, DeviceSpec("here", "cpu", 16e9, "fp32"), VOCAB) == 1
    assert pack_width(TINY, replace(H100, memory=1.5e9), VOCAB) < 64


def test_devices_finish_at_nearly_the_same_time() -> None:
    """No pack is more than a device's share, so that two trials on two devices train side by side."""
    two = [replace(TINY, seed=seed) for seed in range(2)]
    assert [len(pack) for pack in pack_trials(two, 64, devices=2)] == [1, 1]
    trials = [replace(trial, seed=seed) for trial in (TINY, LARGE) for seed in range(8)]
    loads = [0.0] * 4
    for pack in pack_trials(trials, 64, devices=4):
        loads[loads.index(min(loads))] += len(pack) * training_flops(pack[0], VOCAB)
    assert max(loads) < 1.1 * sum(loads) / 4


def test_trials_with_equal_dropout_are_neighbours() -> None:
    trials = [replace(TINY, seed=seed, dropout=0.1 * (seed % 3)) for seed in range(9)]
    (pack,) = pack_trials(trials, 64)
    assert [trial.dropout for trial in pack] == sorted(trial.dropout for trial in trials)
