"""The model: a pre-norm, character-level GPT with a leading trial axis.

Every weight is [P, ...], one slice a trial: P = 1 is an ordinary model, P > 1 a pack of trials that share their shape
and nothing else. Matrix products are batched over trials (`baddbmm`), attention folds trials into its batch, and no
operation mixes two trials, so a trial that diverges leaves its neighbours' bits alone.

All weights of a trial lie in one row of `GPT.weights` [P, N], and the parameters that the forward pass uses are views
of it. The optimizer, gradient norms and checkpoints then work on whole rows instead of on dozens of tensors.

Architecture: nanoGPT (https://github.com/karpathy/nanoGPT) as the original study used it: learned positions, ReLU,
no biases on queries, keys and values, untied output layer. Hyperparameters replace its parts by `variants`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from litegpt.estimate.cost import hidden_width
from litegpt.study.trial import Trial, of_scope
from litegpt.train.random import DeviceNoise, Noise
from litegpt.train.variants import activate, rms_norm, rotary_tables, rotate

VOCABULARY_TILE = 64  # columns; bf16 products of other widths miss the tensor cores
SDPA_BATCH = 49152  # sequences times heads a call: a CUDA grid's second axis ends at 65,535
SDPA_ELEMENTS = 2**31 - 1  # of one tensor in a call, in whole tiles of 128 tokens: the kernels count them in 32 bits
ALIGNMENT = 64  # elements; every view of a row starts on a 256-byte boundary, as fast matrix kernels want


@dataclass(frozen=True)
class ModelShape:
    """What trials must have in common to be trained as one model."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    hidden_width: tuple[int, int]  # of an MLP: what its first matrix makes, and what its second one takes
    activation: str
    norm: str
    positions: str
    tied_weights: bool
    qk_norm: bool

    @classmethod
    def of(cls, trial: Trial, vocab_size: int) -> ModelShape:
        """Return the shape of a trial's model."""
        settings = {name: getattr(trial, name) for name in of_scope("shape") if name != "tokenizer"}
        return cls(**settings | {"vocab_size": vocab_size, "hidden_width": hidden_width(trial)})


def parameter_shapes(shape: ModelShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each parameter's name and its shape within one trial; matrices are [inputs, outputs]."""
    width, (made, taken) = shape.n_embd, shape.hidden_width

    def norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (width,)
        if shape.norm == "layer":
            yield f"{name}.bias", (width,)

    yield "token_embedding", (shape.vocab_size, width)
    if shape.positions == "learned":
        yield "position_embedding", (shape.block_size, width)
    for layer in range(shape.n_layer):
        block = f"blocks.{layer}"
        yield from norm(f"{block}.norm1")
        yield f"{block}.attention.qkv.weight", (width, 3 * width)
        if shape.qk_norm:
            yield f"{block}.attention.query_norm.weight", (width // shape.n_head,)
            yield f"{block}.attention.key_norm.weight", (width // shape.n_head,)
        yield f"{block}.attention.output.weight", (width, width)
        yield f"{block}.attention.output.bias", (width,)
        yield from norm(f"{block}.norm2")
        yield f"{block}.mlp.up.weight", (width, made)
        yield f"{block}.mlp.up.bias", (made,)
        yield f"{block}.mlp.down.weight", (taken, width)
        yield f"{block}.mlp.down.bias", (width,)
    yield from norm("norm")
    if not shape.tied_weights:
        yield "output.weight", (width, shape.vocab_size)
    yield "output.bias", (shape.vocab_size,)


class GPT:
    """P models of one shape. `weights` and `gradients` are [P, N] fp32, a row a trial."""

    def __init__(
        self,
        shape: ModelShape,
        n_trials: int,
        device: torch.device | str = "cpu",
        *,
        activation_checkpointing: bool = False,
    ) -> None:
        """Make room for the weights. With `activation_checkpointing` the backward pass computes each block again."""
        self.shape, self.activation_checkpointing = shape, activation_checkpointing
        self.slices: dict[str, tuple[int, tuple[int, ...]]] = {}
        size = 0
        for name, dimensions in parameter_shapes(shape):
            self.slices[name] = (size, dimensions)
            size += math.ceil(math.prod(dimensions) / ALIGNMENT) * ALIGNMENT
        self.weights = torch.zeros(n_trials, size, device=device)
        self.gradients = torch.zeros_like(self.weights)
        self.parameters = {name: view.requires_grad_() for name, view in self.views(self.weights).items()}
        for name, view in self.views(self.gradients).items():
            self.parameters[name].grad = view
        causal = torch.ones(shape.block_size, shape.block_size, dtype=torch.bool, device=device).tril()
        self.causal_bias = torch.zeros(causal.shape, device=device).masked_fill(~causal, float("-inf"))
        is_turned = shape.positions == "rope"
        self.rotary = rotary_tables(shape.block_size, shape.n_embd // shape.n_head, device) if is_turned else None

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the named parameters inside `rows` [P, N] (weights, gradients or moments) as [P, ...] views."""
        return {
            name: rows[:, start : start + math.prod(dimensions)].detach().view(-1, *dimensions)
            for name, (start, dimensions) in self.slices.items()
        }

    @torch.no_grad()
    def initialise(self, seeds: list[int]) -> None:
        """Draw each trial's weights from its seed alone, on the CPU, so that no pack, slot or machine changes them.

        Matrices are normal with the deviation that torch gives a linear layer, 1 / sqrt(3 inputs); those that write
        into the residual stream are zero, so that every block begins as the identity (Zhang et al. 2019, "Fixup");
        biases are zero and norms one. Embeddings have a deviation of n_embd / 512, at most 1: wide models learn faster
        from the original's 1, narrow ones from less (docs/LOG.md has the figures). Where they are the output layer's
        matrix too it is 0.5 / sqrt(n_embd), which is GPT-2's 0.02 at its width.
        """
        rows: dict[int, Tensor] = {}
        for seed in seeds:
            if seed not in rows:
                rows[seed] = self._initial_row(seed)
        self.weights.copy_(torch.cat([rows[seed] for seed in seeds]))

    def _initial_row(self, seed: int) -> Tensor:
        row = torch.zeros(1, self.weights.shape[1])
        width = self.shape.n_embd
        embedded = 0.5 * width**-0.5 if self.shape.tied_weights else min(1.0, width / 512)
        generator = torch.Generator().manual_seed(seed)
        for name, view in self.views(row).items():
            if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
                view.fill_(1.0)
            elif name.endswith("embedding"):
                view.normal_(0.0, embedded, generator=generator)
            elif not name.endswith(("bias", "attention.output.weight", "mlp.down.weight")):
                view.normal_(0.0, (3 * view.shape[1]) ** -0.5, generator=generator)
        return row

    def logits(self, tokens: Tensor, noise: Noise | DeviceNoise | None = None) -> Tensor:
        """Return next-token logits [P, B*T, V] for tokens [P, B, T]; `noise` gives dropout masks in training."""
        n_trials, batch, length = tokens.shape
        shape, weights = self.shape, self.parameters
        offsets = torch.arange(n_trials, device=tokens.device)[:, None, None] * shape.vocab_size
        x = _look_up(weights["token_embedding"].flatten(0, 1), tokens + offsets)
        if "position_embedding" in weights:
            x = x + weights["position_embedding"][:, None, :length]
        x = x.view(n_trials, batch * length, shape.n_embd)
        for layer in range(shape.n_layer):
            if self.activation_checkpointing and torch.is_grad_enabled():
                x = self._checkpointed_block(layer, x, batch, noise)
            else:
                x = self._block(layer, x, batch, noise)
        return self._output(self._norm("norm", x))

    def _block(self, layer: int, x: Tensor, batch: int, noise: Noise | DeviceNoise | None) -> Tensor:
        x = x + self._attention(layer, self._norm(f"blocks.{layer}.norm1", x), batch, noise)
        return x + self._mlp(layer, self._norm(f"blocks.{layer}.norm2", x), noise)

    def _checkpointed_block(self, layer: int, x: Tensor, batch: int, noise: Noise | DeviceNoise | None) -> Tensor:
        if not isinstance(noise, Noise):  # what a device's generator draws, torch draws again by itself
            return checkpoint(self._block, layer, x, batch, noise, use_reentrant=False)  # type: ignore[no-any-return]
        start = noise.used

        def block(x: Tensor) -> Tensor:
            handed_out, noise.used = noise.used, start
            y = self._block(layer, x, batch, noise)
            noise.used = max(handed_out, noise.used)  # the second time, the masks of later blocks are handed out
            return y

        return checkpoint(block, x, use_reentrant=False)  # type: ignore[no-any-return]

    def _output(self, x: Tensor) -> Tensor:
        """Return logits [P, rows, V]; a GPU multiplies by a matrix padded to whole tiles, many times faster."""
        bias = self.parameters["output.bias"]
        if self.shape.tied_weights:
            weight = self.parameters["token_embedding"].transpose(1, 2)
        else:
            weight = self.parameters["output.weight"]
        if x.device.type != "cuda":
            return torch.baddbmm(bias[:, None], x, weight)
        padding = (0, -self.shape.vocab_size % VOCABULARY_TILE)
        logits = torch.baddbmm(F.pad(bias, padding)[:, None], x, F.pad(weight, padding))
        return logits[..., : self.shape.vocab_size]

    def losses(self, tokens: Tensor, targets: Tensor, noise: Noise | DeviceNoise | None = None) -> Tensor:
        """Return each trial's mean cross-entropy [P], in nats a token, for tokens and targets [P, B, T]."""
        return self.sum_losses(tokens, targets, noise) / tokens[0].numel()

    def sum_losses(self, tokens: Tensor, targets: Tensor, noise: Noise | DeviceNoise | None = None) -> Tensor:
        """Return each trial's summed cross-entropy [P], leaving out targets of -100."""
        logits = self.logits(tokens, noise).float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view(len(tokens), -1).sum(dim=1)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        if len(weight) == 1 and x.device.type == "cuda":  # there a lone product adds its bias on the way out
            return torch.addmm(bias[0], x[0], weight[0])[None]
        return torch.baddbmm(bias[:, None], x, weight)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight = self.parameters[f"{name}.weight"]
        if self.shape.norm == "rms":
            return rms_norm(x, weight)
        bias = self.parameters[f"{name}.bias"]
        if len(weight) == 1:  # the fused kernel takes one trial's weights only
            return F.layer_norm(x, x.shape[-1:], weight[0], bias[0])
        if x.device.type == "cpu":  # trial by trial, then: as fast as any way there, and with a lone trial's bits
            trials = zip(x, weight, bias, strict=True)
            return torch.stack([F.layer_norm(row, row.shape[-1:], w, b) for row, w, b in trials])
        return torch.addcmul(bias[:, None], F.layer_norm(x, x.shape[-1:]), weight[:, None])

    def _mlp(self, layer: int, x: Tensor, noise: Noise | DeviceNoise | None) -> Tensor:
        hidden = activate(self._linear(f"blocks.{layer}.mlp.up", x), self.shape.activation)
        return dropout(self._linear(f"blocks.{layer}.mlp.down", hidden), noise)

    def _attention(self, layer: int, x: Tensor, batch: int, noise: Noise | DeviceNoise | None) -> Tensor:
        n_trials, rows, width = x.shape
        heads, length = self.shape.n_head, rows // batch
        qkv = torch.bmm(x, self.parameters[f"blocks.{layer}.attention.qkv.weight"])
        # [P, B*T, 3C] -> three of [P*B, H, T, D]: trials fold into the batch of the attention kernels
        q, k, v = qkv.view(n_trials * batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        q, k = self._placed(q, f"blocks.{layer}.attention.query"), self._placed(k, f"blocks.{layer}.attention.key")
        if noise is None or noise.attention_runs is not None:
            runs = ((n_trials, 0.0),) if noise is None or noise.attention_runs is None else noise.attention_runs
            y = attend(q, k, v, [(count * batch, rate) for count, rate in runs])
        else:
            y = self._noisy_attention(q, k, v, n_trials, noise)
        y = y.transpose(1, 2).reshape(n_trials, rows, width)
        return dropout(self._linear(f"blocks.{layer}.attention.output", y), noise)

    def _placed(self, x: Tensor, name: str) -> Tensor:
        """Return queries or keys [P*B, H, T, D] with the norm and the positions that the shape gives them."""
        if self.shape.qk_norm:
            weight = self.parameters[f"{name}_norm.weight"]
            x = rms_norm(x.view(len(weight), -1, *x.shape[1:]), weight).flatten(0, 1)
        return x if self.rotary is None else rotate(x, *(table[: x.shape[2]] for table in self.rotary))

    def _noisy_attention(self, q: Tensor, k: Tensor, v: Tensor, n_trials: int, noise: Noise | DeviceNoise) -> Tensor:
        """Attention with dropout from given masks: q, k, v and the result are [P*B, H, T, D]."""
        batch, heads, length, size = q.shape
        bias = self.causal_bias[:length, :length].to(q.dtype)
        scores = torch.baddbmm(
            bias.expand(batch * heads, -1, -1),
            q.reshape(-1, length, size),
            k.reshape(-1, length, size).transpose(1, 2),
            alpha=size**-0.5,
        )
        weights = dropout(scores.softmax(dim=-1).view(n_trials, -1), noise)
        y = torch.bmm(weights.view(-1, length, length), v.reshape(-1, length, size))
        return y.view(batch, heads, length, size)


def dropout(x: Tensor, noise: Noise | DeviceNoise | None) -> Tensor:
    """Return `x` [P, ...] with dropout by the next masks of `noise`, or as it is."""
    return x if noise is None else noise.drop(x)


def attend(q: Tensor, k: Tensor, v: Tensor, runs: Sequence[tuple[int, float]]) -> Tensor:
    """Causal attention [N, H, T, D] by torch's fused kernels; `runs` are (sequences, dropout rate).

    It takes a call for each rate, and as many as the kernels' limits ask for.
    """
    most = sequences_per_call(q.shape[1], q.shape[2], q.shape[3])
    sizes = [(min(most, count - start), rate) for count, rate in runs for start in range(0, count, most)]
    parts = zip(*(torch.split(part, [size for size, _ in sizes]) for part in (q, k, v)), sizes, strict=True)
    outputs = [F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True) for q, k, v, (_, rate) in parts]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def sequences_per_call(heads: int, length: int, head_size: int) -> int:
    """Return how many sequences one call of a fused attention kernel takes."""
    elements = heads * -(-length // 128) * 128 * max(head_size, 32)
    return max(1, min(SDPA_BATCH // heads, SDPA_ELEMENTS // elements))


def _look_up(table: Tensor, rows: Tensor) -> Tensor:
    """Return the rows of an embedding table; on a GPU by index_select, whose backward pass a CUDA graph can hold."""
    if table.device.type == "cuda":
        return table.index_select(0, rows.flatten()).view(*rows.shape, -1)
    return F.embedding(rows, table)
