"""One trial: a complete setting of the hyperparameters, which are named as in nanoGPT."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Annotated, Any, get_args, get_type_hints

from litegpt.study.hyperparameter import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SIZE,
    Hyperparameter,
    Range,
    Value,
)

BYTES = 256
VOCABULARY_MAX = 1_000_000
"""Each file of weights has the vocabulary in its header, which takes 40 bytes per token."""
ID_FORMAT = "{n_layer}x{n_embd}-t{block_size}-b{batch_size}-lr{learning_rate:g}-i{max_iters}"
"""The part of a trial's id that people read; a digest of all hyperparameters follows it."""


@dataclass(frozen=True)
class Trial:
    """Every hyperparameter of one training run; the defaults are the original study's."""

    n_layer: Annotated[int, Hyperparameter("number of blocks", "shape", SIZE, short="layers")]
    n_head: Annotated[
        int,
        Hyperparameter("number of attention heads; must divide `n_embd`", "shape", SIZE, short="heads", is_minor=True),
    ]
    n_embd: Annotated[int, Hyperparameter("width of the residual stream", "shape", SIZE, short="width")]
    block_size: Annotated[int, Hyperparameter("context length in tokens", "shape", SIZE, short="block")]
    batch_size: Annotated[int, Hyperparameter("sequences per step", "step", SIZE, short="batch")]
    learning_rate: Annotated[float, Hyperparameter("step size, for Muon as for AdamW", "trial", POSITIVE, short="lr")]
    max_iters: Annotated[int, Hyperparameter("number of training steps", "length", SIZE, short="iters", is_minor=True)]
    dropout: Annotated[
        float,
        Hyperparameter(
            "dropout rate of attention weights and of what a block adds to the residual stream",
            "trial",
            FRACTION,
            changes_memory=True,
        ),
    ] = 0.2
    eval_interval: Annotated[
        int, Hyperparameter("steps between evaluations", "length", SIZE, short="eval every", is_minor=True)
    ] = 100
    weight_decay: Annotated[
        float, Hyperparameter("decoupled weight decay of every parameter", "trial", NOT_NEGATIVE, short="decay")
    ] = 0.01
    beta1: Annotated[
        float,
        Hyperparameter(
            "decay of AdamW's first moment; also Muon's momentum, for which its author uses 0.95", "trial", FRACTION
        ),
    ] = 0.9
    beta2: Annotated[float, Hyperparameter("decay of AdamW's second moment", "trial", FRACTION)] = 0.999
    grad_clip: Annotated[
        float,
        Hyperparameter("largest norm of a trial's gradient; 0 does not clip", "trial", NOT_NEGATIVE, short="clip"),
    ] = 0.0
    warmup_iters: Annotated[
        int,
        Hyperparameter("steps over which the learning rate rises from 0", "trial", COUNT, short="warmup"),
    ] = 0
    lr_schedule: Annotated[
        str,
        Hyperparameter(
            "`constant`, or `cosine` down to `min_learning_rate`",
            "trial",
            choices=("constant", "cosine"),
            short="schedule",
        ),
    ] = "constant"
    min_learning_rate: Annotated[
        float, Hyperparameter("learning rate at the end of a cosine schedule", "trial", NOT_NEGATIVE, short="min lr")
    ] = 0.0
    precision: Annotated[
        str,
        Hyperparameter(
            "`auto` (bf16 where the hardware supports it, fp16 on older GPUs, otherwise fp32), `fp32`, `bf16` or "
            "`fp16`",
            "step",
            choices=("auto", "fp32", "bf16", "fp16"),
        ),
    ] = "auto"
    gradient_accumulation: Annotated[
        int,
        Hyperparameter(
            "number of parts into which a batch is split, computed one after another: less memory, the same gradients",
            "step",
            SIZE,
            short="accumulation",
        ),
    ] = 1
    activation_checkpointing: Annotated[
        bool,
        Hyperparameter(
            "compute a block's activations twice instead of keeping them: less memory, more time",
            "step",
            short="checkpointing",
        ),
    ] = False
    activation: Annotated[
        str,
        Hyperparameter(
            "activation of the MLP: `relu`, `gelu`, `relu2` ([squared](https://arxiv.org/abs/2109.08668)) or `swiglu` "
            "([gated](https://arxiv.org/abs/2002.05202), two thirds as wide)",
            "shape",
            choices=("relu", "gelu", "relu2", "swiglu"),
        ),
    ] = "relu"
    norm: Annotated[
        str,
        Hyperparameter(
            "`layer`, or `rms` ([root mean square](https://arxiv.org/abs/1910.07467), no bias)",
            "shape",
            choices=("layer", "rms"),
        ),
    ] = "layer"
    positions: Annotated[
        str,
        Hyperparameter(
            "`learned`, or `rope` ([rotary](https://arxiv.org/abs/2104.09864))",
            "shape",
            choices=("learned", "rope"),
        ),
    ] = "learned"
    tied_weights: Annotated[
        bool, Hyperparameter("the output layer uses the token embedding as its matrix", "shape", short="tied")
    ] = False
    qk_norm: Annotated[
        bool,
        Hyperparameter(
            "RMS [norms of queries and keys](https://arxiv.org/abs/2302.05442), per head", "shape", short="qk norm"
        ),
    ] = False
    attention_scale: Annotated[
        str,
        Hyperparameter(
            "size by whose square root attention scores are divided: `head` (its channels per head) or `width` "
            "(`n_embd`, as in the original study)",
            "shape",
            choices=("head", "width"),
            short="scale",
        ),
    ] = "head"
    initialisation: Annotated[
        str,
        Hyperparameter(
            "initial weights: `scaled` (zeros into the residual stream, smaller embeddings in narrow models) or "
            "`torch` (the defaults of torch's layers, as in the original study)",
            "trial",
            choices=("scaled", "torch"),
            short="init",
        ),
    ] = "scaled"
    optimizer: Annotated[
        str,
        Hyperparameter(
            "`adamw`, or `muon`: the blocks' matrices move along "
            "[orthogonal momentum](https://kellerjordan.github.io/posts/muon/), the rest by AdamW; the step is scaled "
            "[to AdamW's](https://arxiv.org/abs/2502.16982), so learning rates mean the same; without Nesterov "
            "momentum; `beta1` is the momentum",
            "step",
            choices=("adamw", "muon"),
        ),
    ] = "adamw"
    tokenizer: Annotated[
        str,
        Hyperparameter(
            "`char`, `byte`, `word` (the most frequent words; others are spelled in bytes) or `bpe` (byte pairs, "
            "learned from the training split); losses are per token, so compare `best_bits_per_char`",
            "shape",
            choices=("char", "byte", "word", "bpe"),
        ),
    ] = "char"
    vocab_size: Annotated[
        int,
        Hyperparameter(
            "number of tokens of `word` and `bpe`, from 257 (256 of them are the bytes) to 1,000,000; 0 for the others",
            "shape",
            Range(least=0, most=VOCABULARY_MAX),
            short="vocab",
        ),
    ] = 0
    seed: Annotated[
        int,
        Hyperparameter(
            "initial weights, batches and dropout masks depend on it alone",
            "trial",
            Range(least=0, most=2**63 - 1),  # the largest seed that torch's generators accept
        ),
    ] = 1337
    start_from: str | None = None  # 'phase/trial' whose best weights are this trial's initial weights

    def settings(self) -> dict[str, Any]:
        """Return the hyperparameters as plain data: what JSON records hold and `Trial(**settings)` reads back."""
        return dataclasses.asdict(self)

    @property
    def id(self) -> str:
        """A name that depends on the hyperparameters alone.

        Only values that differ from their default enter the digest, so a hyperparameter that is added later changes no
        existing id.
        """
        return _trial_id(self)


# Studies of 100,000 trials ask for every id several times.
@lru_cache(maxsize=1 << 17)
def _trial_id(trial: Trial) -> str:
    fields = dataclasses.fields(trial)
    values = {field.name: getattr(trial, field.name) for field in fields}
    changed = {field.name: values[field.name] for field in fields if values[field.name] != field.default}
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    return f"{ID_FORMAT.format_map(values)}-{digest}"


def hyperparameters_of(trial_class: type) -> dict[str, Hyperparameter]:
    """Return the hyperparameters that a class of trials declares, by name, in the order of the fields."""
    hints = get_type_hints(trial_class, include_extras=True)
    declared: dict[str, Hyperparameter] = {}
    for field in dataclasses.fields(trial_class):
        kind, *metadata = get_args(hints[field.name])
        for item in metadata:
            if isinstance(item, Hyperparameter):
                default = None if field.default is dataclasses.MISSING else field.default
                declared[field.name] = dataclasses.replace(item, name=field.name, kind=kind, default=default)
    return declared


HYPERPARAMETERS: dict[str, Hyperparameter] = hyperparameters_of(Trial)
"""The hyperparameters that a study file may set, by name."""
DEFAULTS: dict[str, Value] = {
    name: known.default for name, known in HYPERPARAMETERS.items() if known.default is not None
}
REQUIRED = tuple(name for name in HYPERPARAMETERS if name not in DEFAULTS)
MINOR = tuple(name for name, known in HYPERPARAMETERS.items() if known.is_minor)
"""Hyperparameters whose columns a narrow table leaves out early."""
NAMED_IN_ID = tuple(name for _, name, _, _ in Formatter().parse(ID_FORMAT) if name)
"""Hyperparameters that the readable part of an id shows."""


def of_scope(*scopes: str) -> tuple[str, ...]:
    """Return the names of the hyperparameters that have one of the scopes."""
    return tuple(name for name, known in HYPERPARAMETERS.items() if known.scope in scopes)


LENGTH = of_scope("length")
"""Hyperparameters that a promotion never inherits."""


def vocabulary_size(trial: Trial, n_symbols: int) -> int:
    """Return the size of a trial's vocabulary, for a text of `n_symbols` different characters."""
    return trial.vocab_size or (n_symbols if trial.tokenizer == "char" else BYTES)


def tokens_differ(trials: Iterable[Trial]) -> bool:
    """Tell whether trials have different tokenizers or vocabularies. Their losses per token then do not compare."""
    return len({(trial.tokenizer, trial.vocab_size) for trial in trials}) > 1
