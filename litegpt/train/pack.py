"""A pack in training: the model, its optimizer and everything else that a step changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from litegpt.plan.trial import Trial
from litegpt.train.corpus import Corpus, Windows
from litegpt.train.model import GPT, ModelShape
from litegpt.train.noise import Noise, batch_starts
from litegpt.train.optimizer import AdamW, LossScale
from litegpt.train.precision import DTYPES
from litegpt.train.schedule import learning_rate

TABLE_STEPS = 128  # how many steps of batches and rates are prepared at a time
EVALUATION_TOKENS = {"cpu": 4096, "cuda": 131072}  # tokens a forward pass: what the caches, or the memory, hold well


class Pack:
    """P trials of one shape, trained in step. What is true of a trial is true of it in any pack, or alone.

    `step` is the number of updates made, `alive` [P] tells which trials have not diverged, and `minibatch_losses` [P]
    are those of the last update (NaN before the first).
    """

    def __init__(self, trials: Sequence[Trial], corpus: Corpus, vocab_size: int, precision: str) -> None:
        self.trials = list(trials)
        self.corpus, self.precision = corpus, precision
        self.device = corpus.train.device
        first = trials[0]
        self.model = GPT(ModelShape.of(first, vocab_size), len(trials), self.device)
        self.model.initialise([trial.seed for trial in trials])
        self.optimizer = AdamW(trials, self.model.weights)
        self.loss_scale = LossScale(len(trials), self.device) if precision == "fp16" else None
        self.alive = torch.ones(len(trials), dtype=torch.bool, device=self.device)
        self.minibatch_losses = torch.full((len(trials),), float("nan"), device=self.device)
        self.noise = self._make_noise() if any(trial.dropout for trial in trials) else None
        self.step = 0
        self._table = range(0)
        self._starts = self._rates = torch.empty(0)

    def _make_noise(self) -> Noise:
        first = self.trials[0]
        tokens = first.batch_size * first.block_size
        elements = first.n_layer * tokens * (2 * first.n_embd + first.n_head * first.block_size)
        seeds, rates = [trial.seed for trial in self.trials], [trial.dropout for trial in self.trials]
        return Noise(seeds, rates, elements, self.device)

    def _prepare_tables(self) -> None:
        """Fill the tables of batch starts [S, P, B] and learning rates [S, P] for the steps that come."""
        first = self.trials[0]
        self._table = range(self.step, min(self.step + TABLE_STEPS, first.max_iters))
        seeds = [trial.seed for trial in self.trials]
        starts = batch_starts(seeds, self._table, first.batch_size, self.corpus.positions(first.block_size))
        self._starts = torch.from_numpy(starts).to(self.device)
        rates = [[learning_rate(trial, step) for trial in self.trials] for step in self._table]
        self._rates = torch.tensor(rates, dtype=torch.float64, device=self.device)

    def advance(self) -> None:
        """Make one update of every trial that is alive."""
        if self.step not in self._table:
            self._prepare_tables()
        at = self.step - self._table.start
        tokens, targets = self.corpus.batch(self._starts[at], self.trials[0].block_size)
        if self.noise is not None:
            self.noise.draw(self.step)
        self.model.gradients.zero_()
        with self._autocast():
            losses = self.model.losses(tokens, targets, self.noise)
        scaled = losses if self.loss_scale is None else losses * self.loss_scale.scale
        scaled.sum().backward()  # type: ignore[no-untyped-call]
        self._update(losses.detach(), self._rates[at])
        self.step += 1

    @torch.no_grad()
    def _update(self, losses: Tensor, rates: Tensor) -> None:
        gradients = self.model.gradients
        if self.loss_scale is not None:
            gradients.div_(self.loss_scale.scale[:, None])
        norms = gradients.norm(dim=1)
        finite = norms.isfinite()
        # without a loss scale there is no excuse for an infinite gradient: its trial has diverged
        self.alive &= losses.isfinite() if self.loss_scale is not None else losses.isfinite() & finite
        self.optimizer.update(self.model.weights, gradients, norms.double(), rates, self.alive & finite)
        if self.loss_scale is not None:
            self.loss_scale.adjust(~finite, self.alive)
        self.minibatch_losses = losses

    def _autocast(self) -> torch.autocast:
        enabled = self.precision != "fp32"
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=enabled)

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
        rows = max(1, EVALUATION_TOKENS[self.device.type] // (n_trials * block_size))
        total = torch.zeros(n_trials, dtype=torch.float64, device=self.device)
        for tokens, targets in zip(torch.split(windows.inputs, rows), torch.split(windows.targets, rows), strict=True):
            with self._autocast():
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
