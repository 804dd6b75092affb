"""A pack in training: the model, its optimizer and everything else that a step changes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from litegpt.estimate.packs import Tuning
from litegpt.study.evaluation import EVALUATION_BATCH_TOKENS
from litegpt.study.trial import Trial
from litegpt.train.batches import STEPS_AHEAD, Batches
from litegpt.train.model import GPT, ModelShape, on_gpu
from litegpt.train.optimizer import LossScale, learning_rate, make_optimizer
from litegpt.train.random import DeviceDropout, Dropout, DropoutMasks
from litegpt.train.tokenized_corpus import TokenizedCorpus, Windows

WARM_UP_STEPS = 3  # before a CUDA graph is captured: they load the kernels and allocate the libraries' workspaces
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ATTENTIONS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


class CaptureFailedError(RuntimeError):
    """A step cannot be captured as a CUDA graph. The process is unusable, because torch may still be capturing."""


class Pack:
    """P trials of one shape that train in step. A trial's results do not depend on the others in its pack.

    `step` counts the updates made. `alive` [P] is false for trials that have diverged. `minibatch_losses` [P] are the
    losses of the last update, NaN before the first one.

    Each batch is computed in `micro_batches` parts, one after another: with more parts it takes less memory and gives
    the same gradients, except that the parts draw other dropout masks. `tuning` can ask for more parts than the trials'
    own `gradient_accumulation`, never for fewer.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        corpus: TokenizedCorpus,
        precision: str,
        *,
        tuning: Tuning | None = None,
        initialise: bool = True,
    ) -> None:
        """Build the pack. Without `initialise` all weights are zero, for callers that restore them anyway."""
        self.trials = list(trials)
        self.corpus = corpus
        self.precision = precision
        self.tuning = tuning or Tuning()
        self.micro_batches = max(self.tuning.micro_batches, trials[0].gradient_accumulation)
        self.device = corpus.device
        self.model = GPT(
            ModelShape.of(trials[0], corpus.vocab_size),
            len(trials),
            self.device,
            activation_checkpointing=trials[0].activation_checkpointing,
            dtype=DTYPES[precision],
        )
        if initialise:
            self.model.initialise(trials)
        self.optimizer = make_optimizer(trials, self.model)
        self.loss_scale = LossScale(len(trials), self.device) if precision == "fp16" else None
        self.alive = torch.ones(len(trials), dtype=torch.bool, device=self.device)
        self.minibatch_losses = torch.full((len(trials),), float("nan"), device=self.device)
        self.dropout = self._make_dropout() if any(trial.dropout for trial in trials) else None
        self.step = 0
        self._batches = Batches(self.trials, corpus)
        self._rates = torch.empty(0)  # [steps, P]: the learning rates of the steps in `_rate_steps`
        self._rate_steps = range(0)

        # A step reads its batch and its rates [P] from these tensors, because a CUDA graph reads the same memory at
        # every replay.
        self._batch_now: Tensor | None = None
        self._rates_now = torch.zeros(len(trials), dtype=torch.float64, device=self.device)
        self._graph: torch.cuda.CUDAGraph | None = None

        # Checkpointing restores the generator's state, which a graph cannot hold. Models large enough to need it gain
        # nothing from a graph.
        self._can_capture = self.device.type == "cuda" and self.tuning.graph
        self._can_capture &= not self.model.activation_checkpointing
        self._sum_losses: Callable[..., Tensor] = self.model.sum_losses
        if self.tuning.compiled:
            # The compiler keeps a few versions of a function and then gives up. Only this pack's version is needed.
            torch.compiler.reset()
            self._sum_losses = torch.compile(self.model.sum_losses, dynamic=False)
            self._update = torch.compile(self._update, dynamic=False)  # type: ignore[method-assign]
            self.optimizer.can_fuse = False  # the compiler fuses the plain update, but not torch's kernel

    def _make_dropout(self) -> Dropout:
        first = self.trials[0]
        seeds, rates = [trial.seed for trial in self.trials], [trial.dropout for trial in self.trials]
        if on_gpu(self.model.weights):
            return DeviceDropout(seeds, rates)
        tokens = -(-first.batch_size // self.micro_batches) * first.block_size
        elements = first.n_layer * tokens * (2 * first.n_embd + first.n_head * first.block_size)
        return DropoutMasks(seeds, rates, elements, self.device, DTYPES[self.precision])

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
        if self.dropout is not None:
            self.dropout.draw(self.step)
        if self._graph is None:
            self._make_step()
        else:
            self._graph.replay()
        self.step += 1

    def _prepare_rates(self) -> None:
        """Fill the table of learning rates for the next steps."""
        self._rate_steps = range(self.step, min(self.step + STEPS_AHEAD, self.trials[0].max_iters))
        rates = [[learning_rate(trial, step) for trial in self.trials] for step in self._rate_steps]
        self._rates = torch.tensor(rates, dtype=torch.float64, device=self.device)

    def _make_step(self) -> None:
        """Run forward, backward and update without reading a result back, so that a CUDA graph can hold it all."""
        assert self._batch_now is not None
        tokens, targets = self.corpus.batch(self._batch_now, self.trials[0].block_size)  # each [P, B, T]
        self.model.cast_weights()
        losses = torch.zeros_like(self.minibatch_losses)  # [P]
        parts = zip(*(torch.chunk(batch, self.micro_batches, dim=1) for batch in (tokens, targets)), strict=True)
        for number, (part, part_targets) in enumerate(parts):
            self.model.accumulates = number > 0
            if number and self.dropout is not None:
                self.dropout.draw_more()
            with self._autocast(), self._attention():
                part_losses = self._sum_losses(part, part_targets, self.dropout) / tokens[0].numel()

            # The sum over trials gives each trial its own gradients, because no trial's loss depends on another's
            # weights. Under fp16 each loss is scaled first, so that small gradients do not round to zero.
            scaled = part_losses if self.loss_scale is None else part_losses * self.loss_scale.scale
            scaled.sum().backward()  # type: ignore[no-untyped-call]
            losses += part_losses.detach()
        self._update(losses)

    @torch.no_grad()
    def _update(self, losses: Tensor) -> None:
        """Update the weights of all trials that may move, and record which have diverged."""
        gradients = self.model.gradients
        if self.loss_scale is not None:
            gradients.div_(self.loss_scale.scale[:, None])
        norms = gradients.norm(dim=1)  # [P]
        finite = norms.isfinite()

        # Under a loss scale an infinite gradient is an overflow: the trial skips the step and its scale is halved. At a
        # very low scale the trial has diverged, and without a scale at once.
        self.alive &= losses.isfinite()
        self.alive &= finite if self.loss_scale is None else ~self.loss_scale.is_exhausted
        self.optimizer.update(self.model.weights, gradients, norms.double(), self._rates_now, self.alive & finite)
        if self.loss_scale is not None:
            self.loss_scale.adjust(~finite, self.alive)
        self.minibatch_losses.copy_(losses)

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Return the step as a CUDA graph; raises CaptureFailedError.

        Capturing runs nothing. The steps that warm it up see no trial alive, so they do not change weights or moments.
        """
        alive, losses = self.alive.clone(), self.minibatch_losses.clone()
        self.alive.zero_()
        stream = _capture_stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self._make_step()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        self.alive.copy_(alive)
        self.minibatch_losses.copy_(losses)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream):
                self._make_step()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise CaptureFailedError(f"a step cannot be captured as a CUDA graph: {error}") from error
        return graph

    def release_graph(self) -> None:
        """Free the CUDA graph. Graphs share workspaces, so an old one must not outlive the next capture."""
        if self._graph is not None:
            self._graph.reset()
            self._graph = None

    def _attention(self) -> contextlib.AbstractContextManager[object]:
        kernel = self.tuning.attention
        return contextlib.nullcontext() if kernel is None else sdpa_kernel(ATTENTIONS[kernel])

    def _autocast(self) -> torch.autocast:
        # A CUDA graph cannot hold the cache of casts. Elsewhere a forward pass uses each weight once, so a cache would
        # gain nothing.
        enabled = self.precision != "fp32"
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=enabled, cache_enabled=False)

    def evaluate(self, beat: Callable[[], None] = lambda: None) -> tuple[Tensor, Tensor]:
        """Return each trial's exact loss [P] over the training slice and over the whole validation split.

        `beat` is called often; an exception from it ends the evaluation.
        """
        self.model.cast_weights()
        block_size = self.trials[0].block_size
        return (
            self._mean_losses(self.corpus.training_windows(block_size), beat),
            self._mean_losses(self.corpus.validation_windows(block_size), beat),
        )

    @torch.no_grad()
    def _mean_losses(self, windows: Windows, beat: Callable[[], None]) -> Tensor:
        """Return each trial's mean loss [P] over fixed windows, which all trials share."""
        P, T = len(self.trials), windows.inputs.shape[1]

        # As many windows go through the model at once as fit the caches of a CPU, or the memory that the plan reserves
        # on a GPU. Every trial sees the same windows: `expand` adds the trial axis without copying them.
        tokens_at_once = EVALUATION_BATCH_TOKENS[self.device.type] // self.micro_batches
        at_once = max(1, tokens_at_once // (P * T))  # windows
        total = torch.zeros(P, dtype=torch.float64, device=self.device)
        parts = zip(torch.split(windows.inputs, at_once), torch.split(windows.targets, at_once), strict=True)
        for inputs, targets in parts:  # each [windows, T]
            with self._autocast(), self._attention():
                losses = self.model.sum_losses(inputs.expand(P, -1, -1), targets.expand(P, -1, -1))  # [P]
            total += losses.double()
            beat()
        return total / windows.count

    def row_state(self) -> dict[str, Tensor]:
        """Return all tensors of the trials' state by name, each with the trial axis first."""
        state = {"weights": self.model.weights, "alive": self.alive, "minibatch_losses": self.minibatch_losses}
        for part in (self.optimizer, self.loss_scale):
            if part is not None:
                state |= {name: getattr(part, name) for name in part.STATE}
        return state

    def keep(self, rows: Sequence[int]) -> Pack:
        """Return a narrower pack that continues with the trials of these rows."""
        trials = [self.trials[row] for row in rows]
        narrower = Pack(trials, self.corpus, self.precision, tuning=self.tuning, initialise=False)
        index = torch.tensor(rows, device=self.device)
        for name, tensor in narrower.row_state().items():
            tensor.copy_(self.row_state()[name][index])
        narrower.step = self.step
        self.release_graph()
        return narrower


@functools.cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream on which a process captures: torch keeps a workspace for each stream it has seen."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def configure_torch() -> None:
    """Set the switches of torch that training relies on, for the whole process."""
    # Denormal numbers in the optimizer's moments would slow a CPU down.
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = True
    # cuDNN's attention would be torch's first choice on recent GPUs. It builds a plan of about a second for each shape,
    # and some versions round the dropout rate without a warning. A tuning can still ask for it.
    torch.backends.cuda.enable_cudnn_sdp(False)


def limit_memory(device: torch.device) -> None:
    """Limit a GPU to its free memory. Windows would move tensors to the host's memory instead of failing."""
    free, total = torch.cuda.mem_get_info(device)
    torch.cuda.set_per_process_memory_fraction(free / total, device)


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16; 'auto' is the fastest format that the device computes natively.

    That is bf16 on Ampere and later and on CPUs with AVX512-BF16 or AMX, fp16 on older GPUs, and fp32 on other CPUs.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether a device ran out of memory.

    torch has an exception for GPUs, and only messages for other cases. When memory runs out inside a capture, another
    error about the capture follows, so causes and contexts count too.
    """
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def device_has_failed(device: torch.device) -> bool:
    """Return whether a device answers no more: after some errors, every later call of the process fails."""
    try:
        torch.zeros(1, device=device).item()
    except RuntimeError as error:
        return not is_out_of_memory(error)
    return False
