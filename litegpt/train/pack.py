"""A pack in training: the model, its optimizer and everything else that a step changes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from litegpt.estimate.memory import EVALUATION_TOKENS
from litegpt.estimate.tuning import Tuning
from litegpt.study.trial import Trial
from litegpt.train.batches import STEPS_AHEAD, Batches
from litegpt.train.model import GPT, ModelShape
from litegpt.train.optimizer import LossScale, learning_rate, make_optimizer
from litegpt.train.random import DeviceNoise, Noise
from litegpt.train.tokenized_corpus import TokenizedCorpus, Windows

WARM_UP_STEPS = 3  # before a CUDA graph is captured, so that kernels and workspaces are there
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ATTENTIONS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


class Pack:
    """P trials of one shape, trained in step. What is true of a trial is true of it in any pack, or alone.

    `step` is the number of updates made, `alive` [P] tells which trials have not diverged, and `minibatch_losses` [P]
    are those of the last update (NaN before the first). With `micro_batches` above 1 a batch is worked off in that many
    parts, which takes less memory and gives the same gradients, up to the dropout masks that the parts draw; it is
    never less than the trials' own `gradient_accumulation`. `tuning` says how the step is computed.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        corpus: TokenizedCorpus,
        precision: str,
        *,
        initialise: bool = True,
        tuning: Tuning | None = None,
    ) -> None:
        self.trials = list(trials)
        self.corpus, self.precision, self.tuning = corpus, precision, tuning or Tuning()
        self.micro_batches = max(self.tuning.micro_batches, trials[0].gradient_accumulation)
        self.device = corpus.device
        self.model = GPT(
            ModelShape.of(trials[0], corpus.vocab_size),
            len(trials),
            self.device,
            activation_checkpointing=trials[0].activation_checkpointing,
        )
        if initialise:
            self.model.initialise([trial.seed for trial in trials])
        self.optimizer = make_optimizer(trials, self.model)
        self.loss_scale = LossScale(len(trials), self.device) if precision == "fp16" else None
        self.alive = torch.ones(len(trials), dtype=torch.bool, device=self.device)
        self.minibatch_losses = torch.full((len(trials),), float("nan"), device=self.device)
        self.noise = self._make_noise() if any(trial.dropout for trial in trials) else None
        self.step = 0
        self._batches = Batches(self.trials, corpus)
        self._rates = torch.empty(0)  # [S, P], of the steps that are prepared
        self._rate_steps = range(0)
        # where the step finds its batch and its rates [P]: a CUDA graph reads the same memory at every replay
        self._batch_now: Tensor | None = None
        self._rates_now = torch.zeros(len(trials), dtype=torch.float64, device=self.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        # checkpointing puts the generator's state back, which a graph cannot hold; and large models gain nothing
        self._can_capture = self.device.type == "cuda" and not self.model.activation_checkpointing
        self._sum_losses: Callable[..., Tensor] = self.model.sum_losses
        if self.tuning.compiled:
            torch.compiler.reset()  # it keeps a few versions of a function and then gives up; this pack is the only one
            self._sum_losses = torch.compile(self.model.sum_losses, dynamic=False)
            self._update = torch.compile(self._update, dynamic=False)  # type: ignore[method-assign]

    def _make_noise(self) -> Noise | DeviceNoise:
        first = self.trials[0]
        seeds, rates = [trial.seed for trial in self.trials], [trial.dropout for trial in self.trials]
        if self.device.type == "cuda":
            return DeviceNoise(seeds, rates)
        tokens = -(-first.batch_size // self.micro_batches) * first.block_size
        elements = first.n_layer * tokens * (2 * first.n_embd + first.n_head * first.block_size)
        return Noise(seeds, rates, elements, self.device, DTYPES[self.precision])

    def advance(self) -> None:
        """Make one update of every trial that is alive."""
        batch = self._batches.at(self.step)
        if self._batch_now is None:
            self._batch_now = torch.empty_like(batch)
        self._batch_now.copy_(batch)
        if self.step not in self._rate_steps:
            self._prepare_rates()
        self._rates_now.copy_(self._rates[self.step - self._rate_steps.start])
        if self._can_capture and self._graph is None:
            self._graph = self._capture()
        if self.noise is not None:
            self.noise.draw(self.step)
        if self._graph is None:
            self._make_step()
        else:
            self._graph.replay()
        self.step += 1

    def _prepare_rates(self) -> None:
        """Fill the table of learning rates for the steps that come."""
        self._rate_steps = range(self.step, min(self.step + STEPS_AHEAD, self.trials[0].max_iters))
        rates = [[learning_rate(trial, step) for trial in self.trials] for step in self._rate_steps]
        self._rates = torch.tensor(rates, dtype=torch.float64, device=self.device)

    def _make_step(self) -> None:
        """Forward, backward and update, without one look at a result: a CUDA graph can hold all of it."""
        assert self._batch_now is not None
        tokens, targets = self.corpus.batch(self._batch_now, self.trials[0].block_size)
        self.model.gradients.zero_()
        losses = torch.zeros_like(self.minibatch_losses)
        parts = zip(*(torch.chunk(whole, self.micro_batches, dim=1) for whole in (tokens, targets)), strict=True)
        for number, (part, part_targets) in enumerate(parts):
            if number and self.noise is not None:
                self.noise.draw_more()
            with self._autocast(), self._attention():
                part_losses = self._sum_losses(part, part_targets, self.noise) / tokens[0].numel()
            scaled = part_losses if self.loss_scale is None else part_losses * self.loss_scale.scale
            scaled.sum().backward()  # type: ignore[no-untyped-call]
            losses += part_losses.detach()
        self._update(losses)

    @torch.no_grad()
    def _update(self, losses: Tensor) -> None:
        gradients = self.model.gradients
        if self.loss_scale is not None:
            gradients.div_(self.loss_scale.scale[:, None])
        norms = gradients.norm(dim=1)
        finite = norms.isfinite()
        # without a loss scale there is no excuse for an infinite gradient: its trial has diverged
        self.alive &= losses.isfinite() if self.loss_scale is not None else losses.isfinite() & finite
        self.optimizer.update(self.model.weights, gradients, norms.double(), self._rates_now, self.alive & finite)
        if self.loss_scale is not None:
            self.loss_scale.adjust(~finite, self.alive)
        self.minibatch_losses.copy_(losses)

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Return the step as a CUDA graph, None where it cannot be captured.

        Capturing runs nothing. The steps that warm it up find no trial alive, so they leave weights and moments alone.
        """
        self._can_capture = False  # whatever happens now, once is enough
        alive, losses = self.alive.clone(), self.minibatch_losses.clone()
        self.alive.zero_()
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self._make_step()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        self.alive.copy_(alive)
        self.minibatch_losses.copy_(losses)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._make_step()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            warnings.warn(f"this step cannot be a CUDA graph: {error}", stacklevel=2)
            return None
        return graph

    def _attention(self) -> contextlib.AbstractContextManager[object]:
        kernel = self.tuning.attention
        return contextlib.nullcontext() if kernel is None else sdpa_kernel(ATTENTIONS[kernel])

    def _autocast(self) -> torch.autocast:
        # a graph cannot hold the cache of casts; elsewhere one forward pass uses each weight once, so it gains nothing
        enabled = self.precision != "fp32"
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=enabled, cache_enabled=False)

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Return each trial's exact loss [P] over the training slice and over the whole validation split."""
        block_size = self.trials[0].block_size
        return (
            self._mean_losses(self.corpus.training_windows(block_size)),
            self._mean_losses(self.corpus.validation_windows(block_size)),
        )

    @torch.no_grad()
    def _mean_losses(self, windows: Windows) -> Tensor:
        n_trials, block_size = len(self.trials), windows.inputs.shape[1]
        tokens_at_once = EVALUATION_TOKENS[self.device.type] // self.micro_batches
        rows = max(1, tokens_at_once // (n_trials * block_size))
        total = torch.zeros(n_trials, dtype=torch.float64, device=self.device)
        for tokens, targets in zip(torch.split(windows.inputs, rows), torch.split(windows.targets, rows), strict=True):
            with self._autocast(), self._attention():
                total += self.model.sum_losses(
                    tokens.expand(n_trials, -1, -1), targets.expand(n_trials, -1, -1)
                ).double()
        return total / windows.count

    def row_state(self) -> dict[str, Tensor]:
        """Return every tensor that is part of a trial's state, by name, each with the trial axis first."""
        state = {"weights": self.model.weights, "alive": self.alive, "minibatch_losses": self.minibatch_losses}
        for part in (self.optimizer, self.loss_scale):
            if part is not None:
                state |= {name: getattr(part, name) for name in part.STATE}
        return state

    def keep(self, rows: Sequence[int]) -> Pack:
        """Return a narrower pack that goes on with the trials of these rows alone."""
        trials = [self.trials[row] for row in rows]
        kept = Pack(
            trials,
            self.corpus,
            self.precision,
            initialise=False,
            tuning=self.tuning,
        )
        index = torch.tensor(rows, device=self.device)
        for name, tensor in kept.row_state().items():
            tensor.copy_(self.row_state()[name][index])
        kept.step = self.step
        return kept


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


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether a device's allocator gave up; torch has an exception for GPUs and only messages for other cases.

    An allocator that gives up inside a capture is followed by another error, of the capture.
    """
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False
