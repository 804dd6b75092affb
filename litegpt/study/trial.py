"""One trial: a complete setting of the hyperparameters, named as in nanoGPT."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_type_hints

LR_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ACTIVATIONS = ("relu", "gelu", "relu2", "swiglu")
NORMS = ("layer", "rms")
POSITIONS = ("learned", "rope")
OPTIMIZERS = ("adamw", "muon")
TOKENIZERS = ("char", "byte", "word", "bpe")
BYTES = 256
EVALUATED_TOKENS = 1 << 18
"""Of a longer split an evaluation takes about so many, in windows spread evenly over it."""


@dataclass(frozen=True)
class Trial:
    """Every hyperparameter of one training run; the defaults are the original study's."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    batch_size: int
    learning_rate: float
    max_iters: int
    dropout: float = 0.2
    eval_interval: int = 100
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    grad_clip: float = 0.0  # the largest gradient norm; 0 does not clip
    warmup_iters: int = 0
    lr_schedule: str = "constant"
    min_learning_rate: float = 0.0  # where a cosine schedule ends
    precision: str = "auto"
    gradient_accumulation: int = 1  # the parts that a batch is worked off in, one after another
    activation_checkpointing: bool = False  # compute activations twice instead of keeping them
    activation: str = "relu"
    norm: str = "layer"
    positions: str = "learned"
    tied_weights: bool = False  # the output layer's matrix is the token embedding
    qk_norm: bool = False  # queries and keys have norms of their own
    optimizer: str = "adamw"
    tokenizer: str = "char"
    vocab_size: int = 0  # how many tokens words and BPE have, bytes among them; 0: the tokenizer leaves no choice
    seed: int = 1337
    start_from: str | None = None  # 'phase/trial' whose best weights this trial goes on from

    def settings(self) -> dict[str, Any]:
        """Return the hyperparameters as plain data: what JSON records hold and `Trial(**settings)` takes back."""
        return dataclasses.asdict(self)

    @property
    def id(self) -> str:
        """A name from the hyperparameters alone: the shape to read, a digest of the rest.

        Only what differs from a default enters the digest, so a hyperparameter added later renames nothing.
        """
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        return (
            f"{self.n_layer}x{self.n_embd}-t{self.block_size}-b{self.batch_size}"
            f"-lr{self.learning_rate:g}-i{self.max_iters}-{digest}"
        )


HYPERPARAMETERS: dict[str, type] = {name: hint for name, hint in get_type_hints(Trial).items() if name != "start_from"}
"""The names a study file may set, each with its type (int, float, bool or str)."""


def vocabulary_size(trial: Trial, n_symbols: int) -> int:
    """Return how many tokens a trial's model knows, on a text of `n_symbols` different characters."""
    return trial.vocab_size or (n_symbols if trial.tokenizer == "char" else BYTES)


def tokens_differ(trials: Iterable[Trial]) -> bool:
    """Tell whether trials differ in what their tokens are: their losses, which are a token's, do not compare then."""
    return len({(trial.tokenizer, trial.vocab_size) for trial in trials}) > 1


def evaluation_steps(trial: Trial) -> list[int]:
    """Return the steps (updates made) at which a trial is evaluated: 0, every `eval_interval`, and the last."""
    steps = list(range(0, trial.max_iters, trial.eval_interval))
    return [*steps, trial.max_iters]
