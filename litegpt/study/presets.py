"""Shapes of published models: `preset = "gpt2"` sets the layers, heads, width and block of GPT-2."""

from __future__ import annotations

from litegpt.errors import did_you_mean
from litegpt.study.hyperparameter import Value
from litegpt.study.settings import short_repr

_NAMES = ("n_layer", "n_head", "n_embd", "block_size")
_SHAPES = {
    # nanoGPT's "baby GPT": https://github.com/karpathy/nanoGPT, config/train_shakespeare_char.py
    "nano": (6, 6, 384, 256),
    # Radford et al. 2019, "Language models are unsupervised multitask learners", table 2; heads of 64
    "gpt2": (12, 12, 768, 1024),
    "gpt2-medium": (24, 16, 1024, 1024),
    "gpt2-large": (36, 20, 1280, 1024),
    "gpt2-xl": (48, 25, 1600, 1024),
    # Brown et al. 2020, "Language models are few-shot learners", table 2.1, https://arxiv.org/abs/2005.14165. Two rows
    # contradict themselves there, and here the size of a head decides: XL's 24 heads of 128 would make 3,072, not
    # 2,048; 13B's 40 heads of 128 make 5,120, not 5,140.
    "gpt3-small": (12, 12, 768, 2048),
    "gpt3-medium": (24, 16, 1024, 2048),
    "gpt3-large": (24, 16, 1536, 2048),
    "gpt3-xl": (24, 16, 2048, 2048),
    "gpt3-2.7b": (32, 32, 2560, 2048),
    "gpt3-6.7b": (32, 32, 4096, 2048),
    "gpt3-13b": (40, 40, 5120, 2048),
    "gpt3-175b": (96, 96, 12288, 2048),
}

PRESETS: dict[str, dict[str, Value]] = {name: dict(zip(_NAMES, shape, strict=True)) for name, shape in _SHAPES.items()}


def preset_settings(name: object) -> dict[str, Value]:
    """Return the hyperparameters that a preset sets. ValueError: no preset has that name."""
    if not isinstance(name, str) or name not in PRESETS:
        hint = did_you_mean(name, PRESETS) if isinstance(name, str) else ""
        raise ValueError(f"must be one of {', '.join(PRESETS)}, not {short_repr(name)}{hint}")
    return PRESETS[name]
