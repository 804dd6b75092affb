"""Number formats: the choice for each device, and the accuracy of the short ones."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train.pack import resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_an_explicit_precision_is_used(wanted: str) -> None:
    assert resolve_precision(wanted, CPU) == wanted


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32"), ({}, "fp32")],
)
def test_auto_on_a_cpu_is_the_fastest_native_format(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", CPU) == precision


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_on_a_gpu_is_bf16_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda")) == precision


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.05)])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_short_formats_are_close_to_fp32(
    train,
    small: Trial,
    precision: str,
    tolerance: float,
    dropout: float,
) -> None:
    trial = dataclasses.replace(small, dropout=dropout, learning_rate=3e-3)
    exact, short = train(trial), train(dataclasses.replace(trial, precision=precision))
    for step, (_, val_loss, _) in exact.seen.losses(0).items():
        assert short.seen.losses(0)[step][1] == pytest.approx(val_loss, abs=tolerance)
    assert short.pack.model.weights.dtype == torch.float32, "the weights themselves stay whole"
    assert exact.seen.losses(0) != short.seen.losses(0), "autocast was on"


def test_the_loss_scale_is_reported_for_fp16_alone(train, small: Trial) -> None:
    for precision in ("fp32", "bf16", "fp16"):
        last = train(dataclasses.replace(small, precision=precision, max_iters=4)).seen.evaluations[0][-1]
        if precision == "fp16":
            assert last.loss_scale * 2**last.skipped_steps == 65536.0, "each skipped step has halved it"
        else:
            assert (last.loss_scale, last.skipped_steps) == (None, None)
