"""How the trials of a shape train fastest on a device, as far as that was measured."""

from __future__ import annotations

from dataclasses import dataclass

ATTENTIONS = ("flash", "efficient", "cudnn", "math")
"""The kernels of torch's scaled_dot_product_attention."""


@dataclass(frozen=True)
class Tuning:
    """The choices that change a pack's speed and no result but for rounding and dropout masks."""

    width: int | None = None  # trials in a pack; None: as wide as the pack comes
    attention: str | None = None  # one of ATTENTIONS; None: torch chooses
    compiled: bool = False
    micro_batches: int = 1  # parts of a batch that are computed one after another
