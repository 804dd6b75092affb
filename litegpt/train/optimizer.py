"""AdamW and loss scaling over rows of weights, each trial with its own coefficients and its own fate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from litegpt.study.trial import Trial
from litegpt.train.model import GPT

EPSILON = 1e-8
INITIAL_SCALE, GROWTH, BACKOFF, GROWTH_INTERVAL = 65536.0, 2.0, 0.5, 2000  # torch.amp.GradScaler's own


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019) on rows [P, N].

    As torch's AdamW, and so as the original study, it decays every parameter. Rate, betas, decay, clip and the number
    of updates made are vectors [P]. A trial that must not move has its coefficients replaced, by `where` and never by a
    product (NaN times 0 is NaN), so its row and everybody else's keep their bits.
    """

    STATE = ("first", "second", "updates")

    def __init__(self, trials: Sequence[Trial], weights: Tensor) -> None:
        self.first, self.second = torch.zeros_like(weights), torch.zeros_like(weights)
        self.updates = torch.zeros(len(trials), device=weights.device)

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=weights.device)

        self.beta1 = column([trial.beta1 for trial in trials])
        self.beta2 = column([trial.beta2 for trial in trials])
        self.weight_decay = column([trial.weight_decay for trial in trials])
        clips = [trial.grad_clip for trial in trials]
        self.grad_clip = column([clip or float("inf") for clip in clips]) if any(clips) else None

    @torch.no_grad()
    def update(self, weights: Tensor, gradients: Tensor, norms: Tensor, rates: Tensor, moving: Tensor) -> None:
        """Update `weights` [P, N] in place, for the trials that are `moving` [P] (bool).

        `gradients` [P, N] are used up; `norms` [P] are their lengths, `rates` [P] the learning rates (float64).
        """
        still = ~moving
        self.updates += moving
        if self.grad_clip is not None:
            gradients.mul_((self.grad_clip / norms.clamp(min=EPSILON)).clamp(max=1.0).float()[:, None])
        gradients.masked_fill_(still[:, None], 0.0)
        # the two bias corrections of Adam, folded into the step size and the second moment's scale
        count = self.updates.double().clamp(min=1)
        step_size = (rates / (1 - self.beta1**count)).masked_fill(still, 0.0)
        correction = (1 - self.beta2**count).rsqrt()
        keep1, keep2 = self.beta1.masked_fill(still, 1.0), self.beta2.masked_fill(still, 1.0)
        shrink = (1 - rates * self.weight_decay).masked_fill(still, 1.0)
        step_size, correction, keep1, keep2, shrink = (
            vector.float()[:, None] for vector in (step_size, correction, keep1, keep2, shrink)
        )
        self.first.mul_(keep1).addcmul_(gradients, 1 - keep1)
        self.second.mul_(keep2).addcmul_(gradients.square_(), 1 - keep2)
        denominator = torch.sqrt(self.second, out=gradients).mul_(correction).add_(EPSILON)
        direction = torch.div(self.first, denominator, out=gradients)  # no row of memory beside those that there are
        self._redirect(direction, 1 - self.beta1**count)
        weights.mul_(shrink).addcmul_(direction, -step_size)

    def _redirect(self, direction: Tensor, correction: Tensor) -> None:
        """Change where the rows go [P, N]; the step will be divided by `correction` [P]."""


class Muon(AdamW):
    """AdamW, but the blocks' matrices go where their momentum points once it is made orthogonal (Jordan et al. 2024).

    https://kellerjordan.github.io/posts/muon/: five Newton-Schulz iterations bring all singular values near one. The
    momentum is Adam's first moment: it decays by `beta1`, without Nesterov's look ahead. A matrix [I, O] moves
    0.2 sqrt(max(I, O)) times as far, as far as AdamW moves one (Liu et al. 2025, arXiv:2502.16982): rates and decays
    mean the same for both.
    """

    def __init__(self, trials: Sequence[Trial], model: GPT) -> None:
        super().__init__(trials, model.weights)
        self._views = model.views
        self._is_gated = model.shape.activation == "swiglu"

    def _redirect(self, direction: Tensor, correction: Tensor) -> None:
        momenta, directions = self._views(self.first), self._views(direction)
        for name, momentum in momenta.items():
            if not name.startswith("blocks.") or momentum.dim() < 3:
                continue
            split = (*momentum.shape[:2], self._parts(name), -1)  # [P, I, parts, O]
            matrices = momentum.view(split).transpose(1, 2)
            made = orthogonal(matrices.flatten(0, 1)).view(matrices.shape).transpose(1, 2)
            length = 0.2 * max(matrices.shape[2:]) ** 0.5
            directions[name].view(split).copy_(made * (length * correction.float()[:, None, None, None]))

    def _parts(self, name: str) -> int:
        """Return how many matrices lie side by side under a name: of queries, keys and values, of SwiGLU's halves."""
        if name.endswith("qkv.weight"):
            return 3
        return 2 if name.endswith("up.weight") and self._is_gated else 1


def orthogonal(matrices: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrices to these [P, I, O], roughly: singular values between 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan's, which rise most steeply at zero
    x = matrices.bfloat16() if matrices.device.type == "cuda" else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.transpose(1, 2)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    made: Tensor = x.transpose(1, 2) if is_tall else x
    return made.to(matrices.dtype)


def make_optimizer(trials: Sequence[Trial], model: GPT) -> AdamW:
    """Return the optimizer that the trials of a pack ask for."""
    return Muon(trials, model) if trials[0].optimizer == "muon" else AdamW(trials, model.weights)


def learning_rate(trial: Trial, step: int) -> float:
    """Return the rate of the update that follows `step` updates.

    Linear warm-up over `warmup_iters`, then constant, or a cosine down to `min_learning_rate` at `max_iters`
    (the schedule of nanoGPT, https://github.com/karpathy/nanoGPT).
    """
    if step < trial.warmup_iters:
        return trial.learning_rate * (step + 1) / (trial.warmup_iters + 1)
    if trial.lr_schedule == "constant":
        return trial.learning_rate
    progress = (step - trial.warmup_iters) / max(1, trial.max_iters - trial.warmup_iters)
    span = trial.learning_rate - trial.min_learning_rate
    return trial.min_learning_rate + 0.5 * (1 + math.cos(math.pi * progress)) * span


class LossScale:
    """fp16's gradient scaling, a scale a trial: halved by an overflow, doubled after 2,000 updates without one.

    The semantics of torch.amp.GradScaler, which has one scale for everything it sees.
    """

    STATE = ("scale", "clean_updates", "skipped")

    def __init__(self, n_trials: int, device: torch.device) -> None:
        self.scale = torch.full((n_trials,), INITIAL_SCALE, device=device)
        self.clean_updates = torch.zeros(n_trials, device=device)
        self.skipped = torch.zeros(n_trials, device=device)

    @torch.no_grad()
    def adjust(self, overflowed: Tensor, alive: Tensor) -> None:
        """Take note of which trials [P] overflowed in this step; those no longer `alive` [P] stay as they are."""
        overflowed = overflowed & alive
        self.skipped += overflowed
        clean = torch.where(overflowed, 0.0, self.clean_updates + 1)
        grown = alive & (clean >= GROWTH_INTERVAL)
        factor = torch.where(overflowed, BACKOFF, torch.where(grown, GROWTH, 1.0))
        self.scale.mul_(factor)
        self.clean_updates.copy_(torch.where(alive, torch.where(grown, 0.0, clean), self.clean_updates))
