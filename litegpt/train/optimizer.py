"""AdamW, Muon, learning rates and loss scaling for rows of weights, with separate coefficients for each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from litegpt.study.trial import Trial
from litegpt.train.model import GPT, on_gpu

EPSILON = 1e-8

# torch.amp.GradScaler's values
INITIAL_SCALE = 65536.0
GROWTH = 2.0
BACKOFF = 0.5
GROWTH_INTERVAL = 2000  # updates without an overflow

# GradScaler never stops halving its scale. Here a trial that still overflows at this scale has diverged.
LOWEST_SCALE = 2.0**-20


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101) on rows [P, N].

    It decays every parameter, as torch's AdamW and the original study do. Learning rate, betas, decay, clip and the
    number of updates are vectors [P].
    """

    STATE = ("first", "second", "updates")
    can_fuse = True  # whether torch's fused kernel makes this update

    def __init__(self, trials: Sequence[Trial], weights: Tensor) -> None:
        self.first = torch.zeros_like(weights)  # m: the mean of the gradients
        self.second = torch.zeros_like(weights)  # v: the mean of their squares
        self.updates = torch.zeros(len(trials), device=weights.device)  # t

        def vector(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=weights.device)

        self.trials = list(trials)
        self.beta1 = vector([trial.beta1 for trial in trials])
        self.beta2 = vector([trial.beta2 for trial in trials])
        self.weight_decay = vector([trial.weight_decay for trial in trials])
        clips = [trial.grad_clip for trial in trials]
        self.grad_clip = vector([clip or float("inf") for clip in clips]) if any(clips) else None

    @torch.no_grad()
    def update(self, weights: Tensor, gradients: Tensor, norms: Tensor, rates: Tensor, moving: Tensor) -> None:
        """Update `weights` [P, N] in place, for the trials that are `moving` [P] (bool).

        `gradients` [P, N] serve as scratch memory and are overwritten. `norms` [P] are their lengths and `rates` [P]
        the learning rates (float64).
        """
        still = ~moving
        self.updates += moving
        if on_gpu(weights) and self.can_fuse:
            self._fused_update(weights, gradients, norms, rates, still)
            return
        if self.grad_clip is not None:
            gradients.mul_((self.grad_clip / norms.clamp(min=EPSILON)).clamp(max=1.0).float()[:, None])

        # A trial that is still must keep every bit of its row. Its gradient becomes zero and its coefficients those of
        # an update that changes nothing: beta 1, step 0, decay factor 1. They are replaced and not multiplied, because
        # NaN times 0 is NaN.
        gradients.masked_fill_(still[:, None], 0.0)
        beta1 = self.beta1.masked_fill(still, 1.0)
        beta2 = self.beta2.masked_fill(still, 1.0)
        decay_factor = (1 - rates * self.weight_decay).masked_fill(still, 1.0)

        # Adam divides m by (1 - beta1^t) and v by (1 - beta2^t). Here these corrections are part of the step size and
        # of the denominator, which saves two passes over the rows. They are computed in float64, because 1 - beta^t
        # loses most digits of a float32 at the first steps.
        t = self.updates.double().clamp(min=1)
        first_correction = 1 - self.beta1**t
        step_size = (rates / first_correction).masked_fill(still, 0.0)
        second_correction = (1 - self.beta2**t).rsqrt()
        step_size, second_correction, beta1, beta2, decay_factor = (
            vector.float()[:, None] for vector in (step_size, second_correction, beta1, beta2, decay_factor)
        )

        # m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        self.first.mul_(beta1).addcmul_(gradients, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradients.square_(), 1 - beta2)

        # w = (1 - rate * decay) w - step_size m / (sqrt(v) * correction + epsilon). The gradients are not needed any
        # more, so their memory holds the denominator and then the direction.
        denominator = torch.sqrt(self.second, out=gradients).mul_(second_correction).add_(EPSILON)
        direction = torch.div(self.first, denominator, out=gradients)
        self._redirect(direction, first_correction)
        weights.mul_(decay_factor).addcmul_(direction, -step_size)

    def _fused_update(self, weights: Tensor, gradients: Tensor, norms: Tensor, rates: Tensor, still: Tensor) -> None:
        """Make the same update by torch's fused kernel: one launch per trial, and one pass over the rows."""
        rates, skipped = rates.float(), still.float()
        # The kernel divides gradients by a scale, which serves for the clip. It skips a trial whose `found_inf` is 1
        # without touching its row.
        scales = None if self.grad_clip is None else (norms / self.grad_clip).clamp(min=1.0).float()
        for row, trial in enumerate(self.trials):
            torch._fused_adamw_(
                [weights[row]],
                [gradients[row]],
                [self.first[row]],
                [self.second[row]],
                [],
                [self.updates[row]],
                lr=rates[row],
                beta1=trial.beta1,
                beta2=trial.beta2,
                weight_decay=trial.weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
                grad_scale=None if scales is None else scales[row],
                found_inf=skipped[row],
            )

    def _redirect(self, direction: Tensor, correction: Tensor) -> None:
        """Change the direction [P, N] of the update; the step will be divided by `correction` [P]."""


class Muon(AdamW):
    """AdamW, except that the blocks' matrices move along their orthogonalised momentum (Jordan et al. 2024).

    https://kellerjordan.github.io/posts/muon/: five Newton-Schulz iterations bring all singular values near one. The
    momentum is Adam's first moment: it decays by `beta1`, without Nesterov's look-ahead. The update of a matrix [I, O]
    is scaled by 0.2 sqrt(max(I, O)), to the length of an AdamW update (Liu et al. 2025, arXiv:2502.16982), so learning
    rates and decays mean the same for both.
    """

    can_fuse = False

    def __init__(self, trials: Sequence[Trial], model: GPT) -> None:
        super().__init__(trials, model.weights)
        self._views = model.views
        self._is_gated = model.shape.activation == "swiglu"

    def _redirect(self, direction: Tensor, correction: Tensor) -> None:
        momenta, directions = self._views(self.first), self._views(direction)
        for name, momentum in momenta.items():
            if not name.startswith("blocks.") or momentum.dim() < 3:
                continue

            # A parameter can hold several matrices side by side, and each is orthogonalised separately.
            n_matrices = self._n_matrices(name)
            P, inputs, _ = momentum.shape
            matrices = momentum.view(P, inputs, n_matrices, -1).transpose(1, 2)  # [P, n_matrices, I, O]
            orthogonalised = orthogonal(matrices.flatten(0, 1)).view(matrices.shape).transpose(1, 2)
            length = 0.2 * max(matrices.shape[2:]) ** 0.5
            update = orthogonalised * (length * correction.float()[:, None, None, None])  # [P, I, n_matrices, O]
            directions[name].view(update.shape).copy_(update)

    def _n_matrices(self, name: str) -> int:
        """Return 3 for queries, keys and values, 2 for the halves of SwiGLU, and 1 for other parameters."""
        if name.endswith("qkv.weight"):
            return 3
        return 2 if name.endswith("up.weight") and self._is_gated else 1


def orthogonal(matrices: Tensor) -> Tensor:
    """Return approximately the nearest semi-orthogonal matrices [P, I, O]: singular values between 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan's coefficients, which give the steepest slope at zero
    x = matrices.bfloat16() if on_gpu(matrices) else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)

    # Each iteration is x = a x + (b A + c A^2) x with A = x x^T, which is smallest if x has fewer rows than columns.
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.transpose(1, 2)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.transpose(1, 2) if is_tall else x
    return result.to(matrices.dtype)


def make_optimizer(trials: Sequence[Trial], model: GPT) -> AdamW:
    """Return the optimizer that a pack's trials ask for."""
    return Muon(trials, model) if trials[0].optimizer == "muon" else AdamW(trials, model.weights)


def learning_rate(trial: Trial, step: int) -> float:
    """Return the learning rate of the update that follows `step` updates.

    It rises linearly over `warmup_iters`, then stays constant or follows a cosine down to `min_learning_rate` at
    `max_iters`, as in nanoGPT (https://github.com/karpathy/nanoGPT).
    """
    if step < trial.warmup_iters:
        return trial.learning_rate * (step + 1) / (trial.warmup_iters + 1)
    if trial.lr_schedule == "constant":
        return trial.learning_rate
    progress = (step - trial.warmup_iters) / max(1, trial.max_iters - trial.warmup_iters)
    span = trial.learning_rate - trial.min_learning_rate
    return trial.min_learning_rate + 0.5 * (1 + math.cos(math.pi * progress)) * span


class LossScale:
    """Gradient scaling for fp16, as in torch.amp.GradScaler but with one scale per trial.

    Small gradients would round to zero in fp16, so losses are multiplied by a scale before the backward pass. If a
    gradient overflows, the trial skips the update and its scale is halved. After 2,000 updates without an overflow the
    scale is doubled. Unlike GradScaler's, a scale does not fall to zero: see `is_exhausted`.
    """

    STATE = ("scale", "clean_updates", "skipped")

    def __init__(self, n_trials: int, device: torch.device) -> None:
        self.scale = torch.full((n_trials,), INITIAL_SCALE, device=device)
        self.clean_updates = torch.zeros(n_trials, device=device)  # since the last overflow or growth
        self.skipped = torch.zeros(n_trials, device=device)

    @property
    def is_exhausted(self) -> Tensor:
        """The trials [P] (bool) that overflow at every scale."""
        return self.scale < LOWEST_SCALE

    @torch.no_grad()
    def adjust(self, overflowed: Tensor, alive: Tensor) -> None:
        """Adjust the scales after a step, given which trials [P] overflowed; only trials `alive` [P] change."""
        overflowed = overflowed & alive
        self.skipped += overflowed
        clean = torch.where(overflowed, 0.0, self.clean_updates + 1)
        grown = alive & (clean >= GROWTH_INTERVAL)
        self.scale.mul_(torch.where(overflowed, BACKOFF, torch.where(grown, GROWTH, 1.0)))
        self.clean_updates.copy_(torch.where(alive, torch.where(grown, 0.0, clean), self.clean_updates))
