"""Which number format a device trains in."""

from __future__ import annotations

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16 for `wanted`, where 'auto' means the fastest that the device computes natively.

    bf16 on Ampere and later and on CPUs with AVX512-BF16 or AMX, fp16 on older GPUs, fp32 on other CPUs.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
