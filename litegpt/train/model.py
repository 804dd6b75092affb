"""The model: a pre-norm GPT that trains P trials at once.

Every weight has a leading trial axis [P, ...]. P = 1 is an ordinary model; P > 1 is a pack of trials that have the same
shape and nothing else in common. Matrix products are batched over trials (`baddbmm`), and attention treats trials as
more sequences. No operation mixes two trials, so a trial that diverges does not change a bit of its neighbours.

The letters in shapes, here and in the rest of this folder:

    P  trials in the pack            C  channels (n_embd)
    B  sequences per batch           H  heads (n_head)
    T  tokens per sequence           D  channels per head, C / H
    V  vocabulary size               N  weights of one trial, padding included

All weights of a trial are one row of `GPT.weights` [P, N], and the parameters that the forward pass uses are views of
it. The optimizer, gradient norms and checkpoints therefore work on whole rows instead of dozens of tensors.

The architecture is nanoGPT's (https://github.com/karpathy/nanoGPT) as the original study used it: learned positions,
ReLU, no biases on queries, keys and values, and an output layer with its own weights. Hyperparameters replace its parts
by those in `variants`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from litegpt.estimate.cost import MLPWidths, mlp_widths
from litegpt.study.trial import Trial, of_scope
from litegpt.train.random import Dropout, DropoutMasks
from litegpt.train.variants import activate, rms_norm, rotary_tables, rotate

VOCABULARY_TILE = 64  # columns; bf16 products of other widths miss the tensor cores
SDPA_BATCH = 49152  # sequences times heads per call: the second axis of a CUDA grid ends at 65,535
SDPA_ELEMENTS = 2**31 - 1  # per tensor in one call, in whole tiles of 128 tokens: the kernels count in 32 bits
ALIGNMENT = 64  # elements; every view of a row starts on a 256-byte boundary, which fast matrix kernels need
NORM_WEIGHTS = ("norm.weight", "norm1.weight", "norm2.weight")
NORM_BIASES = ("norm.bias", "norm1.bias", "norm2.bias")


@dataclass(frozen=True)
class ModelShape:
    """The hyperparameters that trials must share to be trained as one model."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    mlp_widths: MLPWidths
    activation: str
    norm: str
    positions: str
    tied_weights: bool
    qk_norm: bool
    attention_scale: str

    @classmethod
    def of(cls, trial: Trial, vocab_size: int) -> ModelShape:
        """Return the shape of a trial's model."""
        settings = {name: getattr(trial, name) for name in of_scope("shape") if name != "tokenizer"}
        return cls(**settings | {"vocab_size": vocab_size, "mlp_widths": mlp_widths(trial)})


def parameter_shapes(shape: ModelShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each parameter's name and its shape within one trial; matrices are [inputs, outputs]."""
    C, V = shape.n_embd, shape.vocab_size

    def norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (C,)
        if shape.norm == "layer":
            yield f"{name}.bias", (C,)

    yield "token_embedding", (V, C)
    if shape.positions == "learned":
        yield "position_embedding", (shape.block_size, C)
    for layer in range(shape.n_layer):
        block = f"blocks.{layer}"
        yield from norm(f"{block}.norm1")
        yield f"{block}.attention.qkv.weight", (C, 3 * C)
        if shape.qk_norm:
            yield f"{block}.attention.query_norm.weight", (C // shape.n_head,)
            yield f"{block}.attention.key_norm.weight", (C // shape.n_head,)
        yield f"{block}.attention.output.weight", (C, C)
        yield f"{block}.attention.output.bias", (C,)
        yield from norm(f"{block}.norm2")
        yield f"{block}.mlp.up.weight", (C, shape.mlp_widths.up)
        yield f"{block}.mlp.up.bias", (shape.mlp_widths.up,)
        yield f"{block}.mlp.down.weight", (shape.mlp_widths.down, C)
        yield f"{block}.mlp.down.bias", (C,)
    yield from norm("norm")
    if not shape.tied_weights:
        yield "output.weight", (C, V)
    yield "output.bias", (V,)


class GPT:
    """P models of one shape. `weights` and `gradients` are [P, N] in fp32, one row per trial.

    Under autocast, matrix products read `half_weights` [P, N], a copy in `dtype` that `cast_weights` brings up to date.
    Otherwise autocast would convert each matrix separately, in the forward and in the backward pass.
    """

    def __init__(
        self,
        shape: ModelShape,
        n_trials: int,
        device: torch.device | str = "cpu",
        *,
        activation_checkpointing: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Allocate zero weights. `activation_checkpointing` recomputes each block in the backward pass."""
        self.shape = shape
        self.activation_checkpointing = activation_checkpointing

        # Each parameter gets an aligned slice of a trial's row.
        self.slices: dict[str, tuple[int, tuple[int, ...]]] = {}
        size = 0
        for name, dimensions in parameter_shapes(shape):
            self.slices[name] = (size, dimensions)
            size += math.ceil(math.prod(dimensions) / ALIGNMENT) * ALIGNMENT
        self.weights = torch.zeros(n_trials, size, device=device)
        self.gradients = torch.zeros_like(self.weights)

        self.parameters = {name: view.requires_grad_() for name, view in self.views(self.weights).items()}
        self.half_weights: Tensor | None = None
        self._half_parameters: dict[str, Tensor] = {}  # those of matrix products
        if dtype != torch.float32:
            self.half_weights = torch.zeros_like(self.weights, dtype=dtype)
            for name, view in self.views(self.half_weights).items():
                if "norm" not in name and "embedding" not in name:
                    self._half_parameters[name] = view.requires_grad_()

        # Each gradient goes to its row as soon as it exists. With `accumulates` it is added to the row.
        self.accumulates = False
        for name, row in self.views(self.gradients).items():
            for parameters in (self.parameters, self._half_parameters):
                if name in parameters:
                    hook = partial(self._move_gradient, row)
                    parameters[name].register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

        causal = torch.ones(shape.block_size, shape.block_size, dtype=torch.bool, device=device).tril()
        self.causal_bias = torch.zeros(causal.shape, device=device).masked_fill(~causal, float("-inf"))  # [T, T]
        self.rotary: tuple[Tensor, Tensor] | None = None  # cosines and sines, each [T, D/2]
        if shape.positions == "rope":
            self.rotary = rotary_tables(shape.block_size, shape.n_embd // shape.n_head, device)

    def _move_gradient(self, row: Tensor, parameter: Tensor) -> None:
        assert parameter.grad is not None
        if self.accumulates:
            row += parameter.grad
        else:
            row.copy_(parameter.grad)
        parameter.grad = None

    def cast_weights(self) -> None:
        """Bring the copy that matrix products read under autocast up to date."""
        if self.half_weights is not None:
            with torch.no_grad():
                self.half_weights.copy_(self.weights)

    def _operand(self, name: str) -> Tensor:
        """Return a parameter of a matrix product, in the precision of autocast if it is on."""
        half = self._half_parameters.get(name)
        if half is None or not torch.is_autocast_enabled(half.device.type):
            return self.parameters[name]
        return half

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the named parameters inside `rows` [P, N] (weights, gradients or moments) as [P, ...] views."""
        return {
            name: rows[:, start : start + math.prod(dimensions)].detach().view(-1, *dimensions)
            for name, (start, dimensions) in self.slices.items()
        }

    @torch.no_grad()
    def initialise(self, trials: Sequence[Trial]) -> None:
        """Draw each trial's weights from its seed alone, in the way that its `initialisation` names.

        They are drawn on the CPU, so that they do not depend on the pack, the slot or the machine.
        """
        rows: dict[tuple[int, str], Tensor] = {}
        keys = [(trial.seed, trial.initialisation) for trial in trials]
        for seed, initialisation in dict.fromkeys(keys):
            row = torch.zeros(1, self.weights.shape[1])
            draw = self._draw_as_torch if initialisation == "torch" else self._draw_scaled
            draw(self.views(row), torch.Generator().manual_seed(seed))
            rows[seed, initialisation] = row
        self.weights.copy_(torch.cat([rows[key] for key in keys]))

    def _draw_scaled(self, views: dict[str, Tensor], generator: torch.Generator) -> None:
        """Draw initial weights for which every block starts as the identity.

        A matrix is normal with the standard deviation of torch's linear layers, 1 / sqrt(3 inputs). The two matrices
        that write into the residual stream are zero, so that every block starts as the identity (Zhang et al. 2019,
        "Fixup"). Biases are zero and norm weights one. Embeddings have a standard deviation of n_embd / 512, at most 1:
        wide models learn faster from the original's 1, narrow ones from less (docs/LOG.md has the figures). If the
        output layer shares the embedding, it is 0.5 / sqrt(n_embd), which gives GPT-2's 0.02 at its width.
        """
        C = self.shape.n_embd
        embedding_std = 0.5 * C**-0.5 if self.shape.tied_weights else min(1.0, C / 512)
        for name, view in views.items():
            if name.endswith(NORM_WEIGHTS):
                view.fill_(1.0)
            elif name.endswith("embedding"):
                view.normal_(0.0, embedding_std, generator=generator)
            elif not name.endswith(("bias", "attention.output.weight", "mlp.down.weight")):
                view.normal_(0.0, (3 * view.shape[1]) ** -0.5, generator=generator)

    def _draw_as_torch(self, views: dict[str, Tensor], generator: torch.Generator) -> None:
        """Draw initial weights as torch's layers do by default, which the original study used.

        Embeddings are normal with a standard deviation of one. Matrices and biases of linear layers are uniform up to
        1 / sqrt(inputs). Norms start with weights of one and biases of zero. An output layer that shares the embedding
        has the embedding's values.
        """
        C = self.shape.n_embd
        for name, view in views.items():
            if name.endswith(NORM_WEIGHTS):
                view.fill_(1.0)
            elif name.endswith("embedding"):
                view.normal_(0.0, 1.0, generator=generator)
            elif not name.endswith(NORM_BIASES):
                inputs = self.shape.mlp_widths.down if "mlp.down" in name else C
                view.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)

    def losses(self, tokens: Tensor, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Return each trial's mean cross-entropy [P], in nats per token, for tokens and targets [P, B, T]."""
        return self.sum_losses(tokens, targets, dropout) / tokens[0].numel()

    def sum_losses(self, tokens: Tensor, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Return each trial's summed cross-entropy [P]; targets of -100 do not count."""
        logits = self.logits(tokens, dropout).float()  # [P, B*T, V]
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")  # [P*B*T]
        return losses.view(len(tokens), -1).sum(dim=1)  # [P]

    def logits(self, tokens: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Return next-token logits [P, B*T, V] for tokens [P, B, T]; only training passes `dropout`."""
        P, B, T = tokens.shape
        C, V = self.shape.n_embd, self.shape.vocab_size

        # One lookup serves all trials: their tables are stacked, and trial p's tokens start at row p * V.
        table = self.parameters["token_embedding"].flatten(0, 1)  # [P*V, C]
        first_rows = torch.arange(P, device=tokens.device)[:, None, None] * V  # [P, 1, 1]
        x = _look_up(table, tokens + first_rows)  # [P, B, T, C]
        if "position_embedding" in self.parameters:
            x = x + self.parameters["position_embedding"][:, None, :T]  # [P, 1, T, C] is added to every sequence

        # Sequences are laid end to end, because a batched matrix product has a single row axis.
        x = x.view(P, B * T, C)
        for layer in range(self.shape.n_layer):
            if self.activation_checkpointing and torch.is_grad_enabled():
                x = self._checkpointed_block(layer, x, B, dropout)
            else:
                x = self._block(layer, x, B, dropout)
        return self._output(self._norm("norm", x))  # [P, B*T, V]

    def _block(self, layer: int, x: Tensor, B: int, dropout: Dropout | None) -> Tensor:
        x = x + self._attention(layer, self._norm(f"blocks.{layer}.norm1", x), B, dropout)
        return x + self._mlp(layer, self._norm(f"blocks.{layer}.norm2", x), dropout)

    def _checkpointed_block(self, layer: int, x: Tensor, B: int, dropout: Dropout | None) -> Tensor:
        """Compute a block whose activations are not kept: the backward pass computes them a second time."""
        # The second computation must drop the same elements as the first. torch restores the state of a device's own
        # generator by itself, so a GPU needs nothing more.
        if not isinstance(dropout, DropoutMasks):
            return checkpoint(self._block, layer, x, B, dropout, use_reentrant=False)  # type: ignore[no-any-return]

        # A CPU's masks are taken in order. Both computations of this block must start at the same mask, and the
        # second one, which comes after the later blocks took theirs, must not move the position back.
        start = dropout.used

        def block(x: Tensor) -> Tensor:
            used_before = dropout.used
            dropout.used = start
            y = self._block(layer, x, B, dropout)
            dropout.used = max(used_before, dropout.used)
            return y

        return checkpoint(block, x, use_reentrant=False)  # type: ignore[no-any-return]

    def _attention(self, layer: int, x: Tensor, B: int, dropout: Dropout | None) -> Tensor:
        """Causal self-attention of each of the B sequences, from [P, B*T, C] to [P, B*T, C]."""
        P, BT, C = x.shape  # trials, tokens of all sequences, channels
        T, H = BT // B, self.shape.n_head  # tokens per sequence, heads
        D = C // H  # channels per head
        scale = self._attention_scale
        name = f"blocks.{layer}.attention"

        # One matrix product computes the queries, keys and values of all heads.
        qkv = torch.bmm(x, self._operand(f"{name}.qkv.weight"))  # [P, B*T, 3*C]

        # The attention kernels have a single batch axis, so the trials' sequences are put side by side in it.
        q, k, v = qkv.view(P * B, T, 3, H, D).permute(2, 0, 3, 1, 4)  # three of [P*B, H, T, D]

        # Two variants act on queries and keys: norms, and positions as rotations.
        if self.shape.qk_norm:
            q = self._norm_heads(q, f"{name}.query_norm.weight")
            k = self._norm_heads(k, f"{name}.key_norm.weight")
        if self.rotary is not None:
            cosines, sines = (table[:T] for table in self.rotary)  # [T, D/2]
            q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)

        # softmax(scale q k^T) v, where no token sees a later one. A fused kernel draws dropout by itself, at one
        # rate per call; the masks of a CPU need the attention weights as a tensor.
        if dropout is None:
            y = attend(q, k, v, [(P * B, 0.0)], scale)  # [P*B, H, T, D]
        elif dropout.fused_attention_rates is not None:
            y = attend(q, k, v, [(n_trials * B, rate) for n_trials, rate in dropout.fused_attention_rates], scale)
        else:
            y = self._masked_attention(q, k, v, P, dropout, scale)

        # The heads of a token become its channels again, and a last product mixes them.
        y = y.transpose(1, 2).reshape(P, BT, C)
        return drop(self._linear(f"{name}.output", y), dropout)

    @property
    def _attention_scale(self) -> float:
        """The factor of attention scores before the softmax."""
        C, H = self.shape.n_embd, self.shape.n_head
        return 1 / math.sqrt(C if self.shape.attention_scale == "width" else C // H)

    def _masked_attention(self, q: Tensor, k: Tensor, v: Tensor, P: int, dropout: Dropout, scale: float) -> Tensor:
        """Attention with dropout from given masks: q, k, v and the result are [P*B, H, T, D]."""
        PB, H, T, D = q.shape
        q, k, v = (x.reshape(PB * H, T, D) for x in (q, k, v))

        # The bias of a later token is minus infinity, so its weight after the softmax is zero.
        causal_bias = self.causal_bias[:T, :T].to(q.dtype).expand(PB * H, -1, -1)
        scores = torch.baddbmm(causal_bias, q, k.transpose(1, 2), alpha=scale)  # [P*B*H, T, T]

        # Masks belong to trials, so dropout needs the trial axis first.
        weights = drop(scores.softmax(dim=-1).view(P, -1), dropout)  # [P, B*H*T*T]
        return torch.bmm(weights.view(PB * H, T, T), v).view(PB, H, T, D)

    def _norm_heads(self, x: Tensor, name: str) -> Tensor:
        """Return queries or keys [P*B, H, T, D] with a root mean square of one, times each trial's weight [P, D]."""
        weight = self.parameters[name]
        per_trial = x.view(len(weight), -1, *x.shape[1:])  # [P, B, H, T, D]
        return rms_norm(per_trial, weight).flatten(0, 1)  # [P*B, H, T, D]

    def _mlp(self, layer: int, x: Tensor, dropout: Dropout | None) -> Tensor:
        hidden = activate(self._linear(f"blocks.{layer}.mlp.up", x), self.shape.activation)  # [P, B*T, 4*C]
        return drop(self._linear(f"blocks.{layer}.mlp.down", hidden), dropout)  # [P, B*T, C]

    def _linear(self, name: str, x: Tensor) -> Tensor:
        """Return x @ weight + bias for each trial: [P, rows, inputs] to [P, rows, outputs]."""
        weight, bias = self._operand(f"{name}.weight"), self._operand(f"{name}.bias")
        # On a GPU, a product that is not batched adds its bias in the same kernel. `squeeze` removes the trial axis,
        # because the backward pass of [0] would fill a tensor with zeros and copy into it.
        if len(weight) == 1 and on_gpu(x):
            return torch.addmm(bias.squeeze(0), x.squeeze(0), weight.squeeze(0)).unsqueeze(0)
        return torch.baddbmm(bias[:, None], x, weight)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        """Return x [P, rows, C] normalised over C, times each trial's weight, plus its bias."""
        weight = self.parameters[f"{name}.weight"]
        if self.shape.norm == "rms":
            return rms_norm(x, weight)
        bias = self.parameters[f"{name}.bias"]

        # torch's fused kernel takes the weights of one trial. A CPU calls it once per trial: no other way is faster
        # there, and the trials of a pack get the same bits as alone. A GPU applies the weights separately, because one
        # launch per trial would cost more.
        if len(weight) == 1:
            return F.layer_norm(x, x.shape[-1:], weight.squeeze(0), bias.squeeze(0))
        if not on_gpu(x):
            trials = zip(x, weight, bias, strict=True)
            return torch.stack([F.layer_norm(row, row.shape[-1:], w, b) for row, w, b in trials])
        return torch.addcmul(bias[:, None], F.layer_norm(x, x.shape[-1:]), weight[:, None])

    def _output(self, x: Tensor) -> Tensor:
        """Return logits [P, rows, V] for x [P, rows, C]."""
        bias = self._operand("output.bias")  # [P, V]
        if self.shape.tied_weights:
            weight = self.parameters["token_embedding"].transpose(1, 2)  # [P, C, V]
        else:
            weight = self._operand("output.weight")
        if not on_gpu(x):
            return torch.baddbmm(bias[:, None], x, weight)

        # A GPU multiplies by a matrix that is padded to whole tiles, which is many times faster.
        padding = (0, -self.shape.vocab_size % VOCABULARY_TILE)
        logits = torch.baddbmm(F.pad(bias, padding)[:, None], x, F.pad(weight, padding))
        return logits[..., : self.shape.vocab_size]


def on_gpu(x: Tensor) -> bool:
    """Return whether a tensor takes the GPU's path through the model."""
    return x.device.type == "cuda"


def drop(x: Tensor, dropout: Dropout | None) -> Tensor:
    """Return `x` [P, ...] with dropout by the next masks, or unchanged without any."""
    return x if dropout is None else dropout.drop(x)


def attend(q: Tensor, k: Tensor, v: Tensor, rates: Sequence[tuple[int, float]], scale: float | None = None) -> Tensor:
    """Return causal attention [N, H, T, D] by torch's fused kernels.

    `rates` are (sequences, dropout rate) pairs that cover the N sequences in order. Each rate needs a call of its own,
    and so does every multiple of what the kernels take in one call. `scale` multiplies the scores; None is 1 / sqrt(D).
    """
    most = sequences_per_call(q.shape[1], q.shape[2], q.shape[3])
    calls = [(min(most, count - start), rate) for count, rate in rates for start in range(0, count, most)]
    if len(calls) == 1:  # splitting into one part would copy in the backward pass
        return F.scaled_dot_product_attention(q, k, v, dropout_p=calls[0][1], is_causal=True, scale=scale)
    parts = zip(*(torch.split(x, [size for size, _ in calls]) for x in (q, k, v)), calls, strict=True)
    outputs = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True, scale=scale)
        for q, k, v, (_, rate) in parts
    ]
    return torch.cat(outputs)


def sequences_per_call(n_heads: int, length: int, head_size: int) -> int:
    """Return how many sequences one call of a fused attention kernel takes."""
    elements = n_heads * -(-length // 128) * 128 * max(head_size, 32)
    return max(1, min(SDPA_BATCH // n_heads, SDPA_ELEMENTS // elements))


def _look_up(table: Tensor, rows: Tensor) -> Tensor:
    """Return the rows of an embedding table; on a GPU by index_select, whose backward pass a CUDA graph can hold."""
    if on_gpu(table):
        return table.index_select(0, rows.flatten()).view(*rows.shape, -1)
    return F.embedding(rows, table)
