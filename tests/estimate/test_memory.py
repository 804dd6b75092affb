"""The memory that training needs, and the packs and warnings that follow from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litegpt.estimate.device import PROFILES, DeviceSpec
from litegpt.estimate.fit import memory_shortage
from litegpt.estimate.memory import training_memory, widest_pack
from litegpt.study.presets import PRESETS
from tests.builders import make_trial

VOCAB = 61
TRIAL = make_trial(n_head=2, precision="fp32")
CPU = DeviceSpec("here", "cpu", 16e9, "fp32")


def test_some_settings_cost_memory_and_others_save_it() -> None:
    h100 = PROFILES["h100-80g"]

    def total(width: int = 1, **changes: Any) -> float:
        return training_memory(replace(TRIAL, **{"n_embd": 512, "n_layer": 8, **changes}), VOCAB, h100, width).total

    assert total(width=2) > total()
    assert total(batch_size=64) > total() > total(batch_size=64, gradient_accumulation=4)
    assert total(activation_checkpointing=True) < total()
    assert total(precision="bf16") < total()
    state = training_memory(TRIAL, VOCAB, h100, 3).state
    assert state == 3 * 5 * 4 * 109_629, "weights, gradients, two moments and the best, in fp32"


def test_packs_fit_into_memory() -> None:
    trial = replace(TRIAL, n_embd=768, n_head=12, n_layer=6, block_size=128, batch_size=64, precision="auto")
    widths = {name: widest_pack(trial, VOCAB, device, 64) for name, device in PROFILES.items()}
    assert widths["rtx2070-8g"] < widths["rtx4090-24g"] < widths["a100-80g"] <= widths["h200-141g"] < 64
    for name, width in widths.items():
        device = PROFILES[name]
        assert training_memory(trial, VOCAB, device, width).total <= device.usable
        assert training_memory(trial, VOCAB, device, width + 1).total > device.usable
    assert widest_pack(trial, VOCAB, PROFILES["h200-141g"], 3) == 3
    assert widest_pack(trial, VOCAB, replace(CPU, memory=1e6), 9) == 1, "at least one trial"


def test_a_model_that_cannot_fit_gets_advice() -> None:
    device = PROFILES["rtx4090-24g"]
    large = make_trial(**PRESETS["gpt2-xl"])
    reason = memory_shortage([TRIAL, large], VOCAB, device)
    assert reason is not None
    for words in ("n_layer 48", "has 24 GB", "gradient_accumulation = 32", "activation_checkpointing = true"):
        assert words in reason
    assert "\n" not in reason
    largest = int(reason.split("(n_layer ")[-1].split(",")[0])
    fits = replace(large, n_layer=largest)
    assert memory_shortage([fits], VOCAB, device) is None
    assert memory_shortage([replace(fits, n_layer=largest + 1)], VOCAB, device) is not None
    assert memory_shortage([TRIAL], VOCAB, device) is None
    assert memory_shortage([], VOCAB, device) is None


def test_the_suggested_remedy_helps() -> None:
    device = PROFILES["rtx2070-8g"]
    trial = make_trial(**PRESETS["gpt2"])
    reason = memory_shortage([trial], VOCAB, device)
    assert reason is not None
    parts = int(reason.split("gradient_accumulation = ")[1].split()[0])
    assert memory_shortage([replace(trial, gradient_accumulation=parts)], VOCAB, device) is None
    assert memory_shortage([replace(trial, gradient_accumulation=parts // 2)], VOCAB, device) is not None
